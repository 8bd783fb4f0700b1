//! Reverse-mode differentiation over ONNX graphs, attached as plain ONNX operators.
//!
#![doc = include_str!("../README.md")]
//!
//! # In the source
//!
//! A new operator is one `impl` in `ops`: its shape, its value in f64, its vector-Jacobian product. `graph` holds what is known
//! of every value and grows node by node; `walk` takes the cotangents from the output back to the targets.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod attach;
mod cost;
mod declared;
mod error;
pub mod external;
mod fact;
pub mod geometry;
mod graph;
mod node;
pub mod onnx;
mod ops;
mod positions;
pub mod proto;
mod reach;
mod read;
mod seed;
mod select;
mod shapes;
mod tensor;
mod walk;

pub use attach::{ACTIVATION, Attached, AttachedTarget, GRADIENT, MAP, MapOf, Target, attach, attach_map};
pub use cost::{has_global_receptive_field, multiplications, unsupported_nodes};
pub use error::GradientError;
pub use fact::Element;
pub use graph::Graph;
pub use positions::Positions;
pub use seed::{CLASS_INDEX, COTANGENT, Seed};
pub use select::{Explained, Layer, Role, auto_layer, earlier_layer, explained, find_layer, layers, score_of};
pub use shapes::{fix_shape, sizes};
pub use tensor::Tensor;
