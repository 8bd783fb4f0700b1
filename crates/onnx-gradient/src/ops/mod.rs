//! The operators: what shape they give, what value, and what their vector-Jacobian product is.

mod activation;
mod choice;
mod conv;
mod coordinates;
mod elementwise;
mod emission;
mod fold;
mod layout;
mod matmul;
mod normalise;
mod pad;
mod parts;
mod phases;
mod pool;
mod power;
mod reduce;
mod select;
mod window;

use super::error::GradientError;
use super::geometry::Reach;
use super::graph::{Fact, Graph};
use super::node::Node;
use super::tensor::{Element, Tensor, elements};

/// One ONNX operator, as the graph sees it: any number of outputs.
///
/// A cotangent has the shape of its value; with [`Graph::rows`] above one it counts the outputs that are differentiated
/// on the first axis, the batch, which is of size 1 in the value.
pub(super) trait Rule: Sync {
    /// Shape and element type of the outputs. Optional outputs at the end may be missing: nothing is known of them.
    fn facts(&self, graph: &Graph, node: &Node) -> Result<Vec<Fact>, GradientError>;

    /// The value of the first output, where the shapes alone determine it.
    fn known(&self, _graph: &Graph, _node: &Node) -> Option<Tensor> {
        None
    }

    /// The outputs in f64. An operand is `None` where it is left out.
    fn values(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Vec<Tensor>, GradientError>;

    /// Appends the nodes that turn the cotangents of the outputs into the one of operand `index`, whose name they return.
    /// `None` stands for zero, for what is given as for what is returned.
    fn cotangent(
        &self,
        graph: &mut Graph,
        node: &Node,
        index: usize,
        cotangents: &[Option<String>],
    ) -> Result<Option<String>, GradientError>;

    /// Where the outputs' cells look on the input axis, from where the operands' do; `None` where position is lost.
    fn reaches(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Vec<Option<Reach>>;

    /// About how many multiplications [`Rule::values`] takes.
    fn work(&self, graph: &Graph, node: &Node, outputs: &[Fact]) -> u64;
}

/// An operator of which only the first output matters: nearly every one.
pub(super) trait Operator: Sync {
    /// The shape of the output.
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError>;

    /// What the output's numbers stand for: the same as the first operand's, unless the operator says otherwise.
    fn element(&self, graph: &Graph, node: &Node) -> Result<Element, GradientError> {
        graph.operand_element(node, 0)
    }

    /// The output's value, where the shapes alone determine it.
    fn known(&self, _graph: &Graph, _node: &Node) -> Option<Tensor> {
        None
    }

    /// The output in f64. An operand is `None` where it is left out.
    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError>;

    /// Appends the nodes that turn the cotangent of the output into the one of operand `index`, whose name they return.
    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError>;

    /// Where the output's cells look on the input axis, from where the operands' do; `None` where position is lost.
    fn reach(&self, _graph: &Graph, _node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        operands.first().copied().flatten()
    }

    /// About how many multiplications [`Operator::evaluate`] takes.
    fn cost(&self, _graph: &Graph, _node: &Node, output: &[usize]) -> u64 {
        elements(output).map_or(u64::MAX, |count| count as u64)
    }
}

impl<T: Operator> Rule for T {
    fn facts(&self, graph: &Graph, node: &Node) -> Result<Vec<Fact>, GradientError> {
        Ok(vec![Fact { shape: self.shape(graph, node)?, element: self.element(graph, node)? }])
    }

    fn known(&self, graph: &Graph, node: &Node) -> Option<Tensor> {
        Operator::known(self, graph, node)
    }

    fn values(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Vec<Tensor>, GradientError> {
        Ok(vec![self.evaluate(graph, node, operands)?])
    }

    fn cotangent(
        &self,
        graph: &mut Graph,
        node: &Node,
        index: usize,
        cotangents: &[Option<String>],
    ) -> Result<Option<String>, GradientError> {
        match cotangents {
            [cotangent, others @ ..] if others.iter().all(Option::is_none) => {
                cotangent.as_ref().map(|cotangent| self.backward(graph, node, index, cotangent)).transpose()
            }
            _ => Err(node.fault("an output after its first leads to the differentiated one")),
        }
    }

    fn reaches(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Vec<Option<Reach>> {
        vec![self.reach(graph, node, operands)]
    }

    fn work(&self, graph: &Graph, node: &Node, outputs: &[Fact]) -> u64 {
        outputs.first().map_or(0, |output| self.cost(graph, node, &output.shape))
    }
}

/// The operator of that name.
pub(super) fn operator(op: &str) -> Option<&'static dyn Rule> {
    Some(match op {
        "Add" => &elementwise::Add,
        "Sub" => &elementwise::Sub,
        "Mul" => &elementwise::Mul,
        "Div" => &elementwise::Div,
        "Sign" => &elementwise::Sign,
        "Identity" | "Dropout" => &elementwise::Identity,
        "Pow" => &power::Pow,
        "Sum" => &power::SUM,
        "Mean" => &power::MEAN,
        "Relu" => &activation::RELU,
        "LeakyRelu" => &activation::LEAKY_RELU,
        "Elu" => &activation::ELU,
        "Selu" => &activation::SELU,
        "Celu" => &activation::CELU,
        "ThresholdedRelu" => &activation::THRESHOLDED_RELU,
        "Sigmoid" => &activation::SIGMOID,
        "HardSigmoid" => &activation::HARD_SIGMOID,
        "HardSwish" => &activation::HARD_SWISH,
        "Tanh" => &activation::TANH,
        "Softplus" => &activation::SOFTPLUS,
        "Softsign" => &activation::SOFTSIGN,
        "Erf" => &activation::ERF,
        "Gelu" => &activation::GELU,
        "Mish" => &activation::MISH,
        "Swish" => &activation::SWISH,
        "Exp" => &activation::EXP,
        "Log" => &activation::LOG,
        "Sqrt" => &activation::SQRT,
        "Reciprocal" => &activation::RECIPROCAL,
        "Neg" => &activation::NEG,
        "Abs" => &activation::ABS,
        "Sin" => &activation::SIN,
        "Cos" => &activation::COS,
        "Max" => &choice::MAX,
        "Min" => &choice::MIN,
        "Clip" => &choice::Clip,
        "PRelu" => &choice::PRelu,
        "Where" => &select::Where,
        "Gather" => &select::Gather,
        "GatherND" => &coordinates::GatherNd,
        "Expand" => &select::Expand,
        "Conv" => &conv::Conv,
        "ConvTranspose" => &conv::ConvTranspose,
        "Gemm" => &matmul::Gemm,
        "MatMul" => &matmul::MatMul,
        "Softmax" => &normalise::SOFTMAX,
        "LogSoftmax" => &normalise::LOG_SOFTMAX,
        "BatchNormalization" => &normalise::BatchNormalization,
        "LayerNormalization" => &normalise::LAYER_NORMALIZATION,
        "InstanceNormalization" => &normalise::INSTANCE_NORMALIZATION,
        "GroupNormalization" => &normalise::GROUP_NORMALIZATION,
        "AveragePool" => &pool::AveragePool,
        "MaxPool" => &pool::MaxPool,
        "GlobalAveragePool" => &reduce::GLOBAL_AVERAGE_POOL,
        "GlobalMaxPool" => &reduce::GLOBAL_MAX_POOL,
        "ReduceMean" => &reduce::MEAN,
        "ReduceSum" => &reduce::SUM,
        "ReduceProd" => &reduce::PRODUCT,
        "ReduceMax" => &reduce::MAX,
        "ReduceMin" => &reduce::MIN,
        "ReduceL1" => &reduce::L1,
        "ReduceL2" => &reduce::L2,
        "ReduceSumSquare" => &reduce::SUM_SQUARE,
        "ReduceLogSum" => &reduce::LOG_SUM,
        "ReduceLogSumExp" => &reduce::LOG_SUM_EXP,
        "Flatten" => &layout::Flatten,
        "Reshape" => &layout::Reshape,
        "Squeeze" => &layout::Squeeze,
        "Unsqueeze" => &layout::Unsqueeze,
        "Transpose" => &layout::Transpose,
        "Concat" => &layout::Concat,
        "Slice" => &parts::Slice,
        "Split" => &parts::Split,
        "Pad" => &pad::Pad,
        _ => return fold::operator(op),
    })
}

/// The operand of that index.
fn operand<'t>(node: &Node, operands: &[Option<&'t Tensor>], index: usize) -> Result<&'t Tensor, GradientError> {
    operands.get(index).copied().flatten().ok_or_else(|| node.fault(format!("operand {index} has no value")))
}

/// The shape of an operand's cotangent: the operand's, with as many rows on the batch axis as the cotangents have.
fn cotangent_shape(graph: &Graph, node: &Node, index: usize, _cotangent: &str) -> Result<Vec<usize>, GradientError> {
    let mut shape = graph.operand_shape(node, index)?.to_vec();
    if graph.rows() > 1 {
        match shape.first_mut() {
            Some(first) if *first == 1 => *first = graph.rows(),
            _ => return Err(one_row(node)),
        }
    }
    Ok(shape)
}

/// Refuses several rows where an operator moves, joins, sums or splits the axis they lie on.
fn whole_batch(graph: &Graph, node: &Node, whole: bool) -> Result<(), GradientError> {
    if whole || graph.rows() == 1 { Ok(()) } else { Err(one_row(node)) }
}

fn one_row(node: &Node) -> GradientError {
    GradientError::Rows { node: node.name.clone(), op: node.op.clone() }
}
