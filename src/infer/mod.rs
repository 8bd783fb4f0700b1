//! Model bundles and their execution: prediction and 1D Grad-CAM in one run of the network.

pub mod manifest;
