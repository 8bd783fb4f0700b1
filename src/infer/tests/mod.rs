//! Whole bundles: opened, asked, damaged, and compared with another runtime.

pub(crate) mod bundles;
mod calibrated;
mod convolution;
mod damaged;
mod judged;
mod operators;
mod optimised;
mod shipped;
mod verified;
