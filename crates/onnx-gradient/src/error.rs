//! What can be wrong with a graph.

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
    #[error(
        "node '{node}': there is no gradient rule for {}; choose a target after it{}",
        operator(op),
        advised(instead)
    )]
    NoRule {
        /// Which node.
        node: String,
        /// Its operator.
        op: String,
        /// The nearest layer behind it, where there is one.
        instead: Option<String>,
    },
    /// The gradient was asked for as a constant, and is none.
    #[error(
        "node '{node}' ({op}) makes the gradient of '{output}' by '{target}' depend on the input, so it is not linear: use the seed argmax, or a target after it"
    )]
    NotLinear {
        /// The first such node.
        node: String,
        /// Its operator.
        op: String,
        /// The output.
        output: String,
        /// The target.
        target: String,
    },
    /// A graph without outputs.
    #[error("the graph has no output")]
    NoOutput,
    /// Nothing that a map can be made of.
    #[error("no convolution between the input and '{output}' keeps its place on the spectrum: name a layer")]
    NoLayer {
        /// The output.
        output: String,
    },
    /// No layer or output of that name.
    #[error("there is no {kind} '{name}'; the nearest names are {}", candidates.join(", "))]
    Unknown {
        /// Layer or output.
        kind: &'static str,
        /// Asked for.
        name: String,
        /// The nearest names.
        candidates: Vec<String>,
    },
    /// One name for several things.
    #[error("'{name}' can mean {}", candidates.join(" or "))]
    Ambiguous {
        /// Asked for.
        name: String,
        /// What would be clear.
        candidates: Vec<String>,
    },
    /// A graph that holds a gradient already.
    #[error("the graph already holds '{name}': attach to the network as it was exported")]
    Attached {
        /// The name that is taken.
        name: String,
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
    #[error(
        "the shape of '{name}' is unknown: {}, node '{node}' before it, is not understood; choose a target after both",
        operator(op)
    )]
    NoShape {
        /// Which.
        name: String,
        /// The first node before it that is not understood.
        node: String,
        /// Its operator.
        op: String,
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
