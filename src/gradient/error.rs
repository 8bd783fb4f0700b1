//! What can be wrong with a graph.

use crate::failure::{Failure, Kind};

/// Why a graph cannot be read or differentiated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GradientError {
    /// The bytes are no ONNX file.
    #[error("not an ONNX file")]
    Decode(#[source] prost::DecodeError),
    /// A model without a graph.
    #[error("the ONNX file holds no graph")]
    NoGraph,
    /// An operator set whose operators have other inputs than the ones known here.
    #[error("operator set {found}; {oldest} to {newest} are understood: export the model again")]
    OperatorSet {
        /// The file's.
        found: i64,
        /// Oldest known.
        oldest: i64,
        /// Newest known.
        newest: i64,
    },
    /// More of something than a network at the edge has.
    #[error("{found} {what}, at most {limit} are accepted")]
    TooMany {
        /// Nodes, elements of a tensor, dimensions.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// An initialiser whose numbers do not fit its shape.
    #[error("initialiser '{name}': {problem}")]
    Initializer {
        /// Which.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A graph input without a fixed shape.
    #[error("input '{name}': {problem}")]
    Input {
        /// Which.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A node reads what no initialiser, no input and no node before it gives: something is missing, or there is a cycle.
    #[error("node '{node}' reads '{value}', which nothing before it provides")]
    Unresolved {
        /// Which node.
        node: String,
        /// The name it asks for.
        value: String,
    },
    /// Two producers of one name.
    #[error("'{value}' is produced twice")]
    Twice {
        /// The name.
        value: String,
    },
    /// An operator that cannot be differentiated here.
    #[error("node '{node}': there is no gradient rule for operator {op}; choose a target after it")]
    NoRule {
        /// Which node.
        node: String,
        /// Its operator.
        op: String,
    },
    /// An operator that mixes the batch axis with others, where every output has a row of its own on that axis.
    #[error(
        "node '{node}' ({op}) mixes the batch axis, on which the seed 'all' puts one row for each output: use argmax, class-index or cotangent"
    )]
    Rows {
        /// Which node.
        node: String,
        /// Its operator.
        op: String,
    },
    /// A known operator with an attribute, operand or shape that is not supported or makes no sense.
    #[error("node '{node}' ({op}): {problem}")]
    Node {
        /// Which node.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong.
        problem: String,
    },
    /// A name the graph does not know.
    #[error("there is no value '{name}' in the graph")]
    NoValue {
        /// Asked for.
        name: String,
    },
    /// A value of unknown shape.
    #[error("the shape of '{name}' is unknown: an operator before it is not understood")]
    NoShape {
        /// Which.
        name: String,
    },
    /// A value of another shape than an output or a target has.
    #[error("'{name}' has shape {found:?}, expected {expected}")]
    Shape {
        /// Which.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What it should be.
        expected: &'static str,
    },
    /// The output does not depend on the target.
    #[error("'{output}' does not depend on '{target}'")]
    Independent {
        /// The output.
        output: String,
        /// The target.
        target: String,
    },
}

impl Failure for GradientError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}
