//! Reverse-mode differentiation over ONNX graphs: attaches the gradient subgraph as plain ONNX operators.
//!
//! [`attach`] walks the graph backwards from an output to one or more target tensors. Every operator knows its own
//! vector-Jacobian product and appends the nodes that compute it; what depends on constants alone is computed here, so
//! that a linear head's gradient costs nothing at run time. The result is an ordinary ONNX file.
//!
//! A new operator is one `impl` in `ops`: its shape, its value, its vector-Jacobian product.

mod attach;
mod cost;
mod dropped;
mod error;
pub mod external;
pub mod geometry;
mod graph;
mod node;
mod ops;
mod positions;
pub mod proto;
pub use tract_onnx::pb as onnx;
mod seed;
mod select;
mod shapes;
mod tensor;
mod walk;

pub use attach::{ACTIVATION, Attached, AttachedTarget, GRADIENT, MAP, MapOf, Target, attach, attach_map};
pub use cost::{multiplications, unruled, whole_axis};
pub use dropped::dropped;
pub use error::GradientError;
pub use graph::Graph;
pub use positions::Positions;
pub use seed::{CLASS_INDEX, COTANGENT, Seed};
pub use select::{Explained, Layer, Role, auto_layer, earlier_layer, explained, find_layer, layers, score_of};
pub use shapes::{fix_shape, open_shape, sizes};
pub use tensor::{Element, Tensor};
