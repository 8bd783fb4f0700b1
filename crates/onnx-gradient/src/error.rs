//! What can be wrong with a graph.

/// Why a graph cannot be read or differentiated. More reasons may come with later versions.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GradientError {
    /// The bytes are no ONNX file.
    #[error("not an ONNX file")]
    Decode(#[source] buffa::DecodeError),
    /// A file of millions of nodes, names or dimensions: each takes memory, however few bytes it has in the file.
    #[error("the records in the file take more than {bytes_max} bytes of memory")]
    TooManyRecords {
        /// How many bytes they may take.
        bytes_max: usize,
    },
    /// A model without a graph.
    #[error("the ONNX file holds no graph")]
    NoGraph,
    /// An operator set whose operators have other inputs than the ones known here.
    #[error("operator set {found}; {oldest} to {newest} are understood: export the model again")]
    OperatorSet {
        /// The operator set that the file asks for.
        found: i64,
        /// The oldest that is understood.
        oldest: i64,
        /// The newest that is understood.
        newest: i64,
    },
    /// More of something than a network at the edge has.
    #[error("{found} {what}, at most {limit} are accepted")]
    TooMany {
        /// What there is too much of, as a plural: nodes, elements of a tensor, dimensions.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// An initialiser whose numbers do not fit its shape.
    #[error("initialiser '{name}': {problem}")]
    Initializer {
        /// The initialiser's name in the file.
        name: String,
        /// What is wrong with it, as a clause.
        problem: String,
    },
    /// A graph input without a fixed shape.
    #[error("input '{name}': {problem}")]
    Input {
        /// The graph input's name in the file.
        name: String,
        /// What is wrong with it, as a clause.
        problem: String,
    },
    /// A node reads what no initialiser, no input and no node before it gives: something is missing, or there is a cycle.
    #[error("node '{node}' reads '{value}', which nothing before it provides")]
    Unresolved {
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The name of the operand that is missing.
        value: String,
    },
    /// Two producers of one name.
    #[error("'{value}' is produced twice")]
    Twice {
        /// The name that two nodes, inputs or initialisers give.
        value: String,
    },
    /// An operator that cannot be differentiated here.
    #[error(
        "node '{node}': there is no gradient rule for {}; choose a target after it{}",
        operator(op),
        advised(instead)
    )]
    NoRule {
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The node's operator, as in `op_type`.
        op: String,
        /// The value nearest behind the node from which the walk meets no operator without a rule; `None` where there is none.
        instead: Option<String>,
    },
    /// The gradient was asked for as a constant, and is none.
    #[error(
        "node '{node}' ({op}) makes the gradient of '{output}' by '{target}' depend on the input, so it is not linear: use the seed argmax, or a target after it"
    )]
    NotLinear {
        /// The first node behind the target whose derivative depends on the input.
        node: String,
        /// The node's operator, as in `op_type`.
        op: String,
        /// The value that is differentiated.
        output: String,
        /// The value it is differentiated with respect to.
        target: String,
    },
    /// A graph without outputs.
    #[error("the graph has no output")]
    NoOutput,
    /// Nothing that a map can be made of.
    #[error("no convolution between the input and '{output}' keeps its place on the spectrum: name a layer")]
    NoLayer {
        /// The value that is differentiated.
        output: String,
    },
    /// No layer or output of that name.
    #[error("there is no {kind} '{name}'; the nearest names are {}", candidates.join(", "))]
    Unknown {
        /// What was looked for: "layer" or "output".
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// Names of the graph that are spelt most alike, the nearest first.
        candidates: Vec<String>,
    },
    /// One name for several things.
    #[error("'{name}' can mean {}", candidates.join(" or "))]
    Ambiguous {
        /// The name that was asked for.
        name: String,
        /// The names that each mean one of them.
        candidates: Vec<String>,
    },
    /// A graph that holds a gradient already.
    #[error("the graph already holds '{name}': attach to the network as it was exported")]
    Attached {
        /// The name that the gradient needs and the graph already gives.
        name: String,
    },
    /// An operator that mixes the batch axis with others, where every output has a row of its own on that axis.
    #[error(
        "node '{node}' ({op}) mixes the batch axis, on which the seed 'all' puts one row for each output: use argmax, class-index or cotangent"
    )]
    Rows {
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The node's operator, as in `op_type`.
        op: String,
    },
    /// A known operator with an attribute, operand or shape that is not supported or makes no sense.
    #[error("node '{node}' ({op}): {problem}")]
    Node {
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The node's operator, as in `op_type`.
        op: String,
        /// What is wrong with it, as a clause.
        problem: String,
    },
    /// A name the graph does not know.
    #[error("there is no value '{name}' in the graph")]
    NoValue {
        /// The name that was asked for.
        name: String,
    },
    /// A value of unknown shape.
    #[error(
        "the shape of '{name}' is unknown: {}, node '{node}' before it, is not understood; choose a target after both",
        operator(op)
    )]
    NoShape {
        /// The name of the value of unknown shape.
        name: String,
        /// The first node before it that is not understood.
        node: String,
        /// The node's operator, as in `op_type`.
        op: String,
    },
    /// A value of another shape than an output or a target has.
    #[error("'{name}' has shape {found:?}, expected {expected}")]
    Shape {
        /// The name of the value, the output or a target.
        name: String,
        /// The size of each of its axes.
        found: Vec<usize>,
        /// What its shape should be, in words.
        expected: &'static str,
    },
    /// The output does not depend on the target.
    #[error("'{output}' does not depend on '{target}'")]
    Independent {
        /// The value that is differentiated.
        output: String,
        /// The value it is differentiated with respect to.
        target: String,
    },
}

/// Refuses more of something than there may be.
pub(super) fn limited(what: &'static str, found: usize, limit: usize) -> Result<(), GradientError> {
    let (found, limit) = (found as u64, limit as u64);
    if found <= limit { Ok(()) } else { Err(GradientError::TooMany { what, found, limit }) }
}

/// The operator in a message; If, Loop and Scan hold graphs of their own.
fn operator(op: &str) -> String {
    match op {
        "If" | "Loop" | "Scan" => format!("operator {op}, which holds a subgraph"),
        _ => format!("operator {op}"),
    }
}

fn advised(instead: &Option<String>) -> String {
    instead.as_ref().map_or_else(String::new, |layer| format!(", such as '{layer}'"))
}
