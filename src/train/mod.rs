//! `ramand train`: PLS and a small residual network from labelled spectra to a bundle.

mod layers;
mod matrix;
mod network;
mod pls;
