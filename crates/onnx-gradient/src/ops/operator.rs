//! What nearly every operator is: one output that matters, and the checks that all of them share.

use crate::error::GradientError;
use crate::fact::{Element, Fact};
use crate::graph::{Graph, Rule};
use crate::node::Node;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements};

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

/// The operand of that index.
pub(super) fn operand<'t>(
    node: &Node,
    operands: &[Option<&'t Tensor>],
    index: usize,
) -> Result<&'t Tensor, GradientError> {
    operands.get(index).copied().flatten().ok_or_else(|| node.fault(format!("operand {index} has no value")))
}

/// The shape of an operand's cotangent: the operand's, with as many rows on the batch axis as the cotangents have.
pub(super) fn cotangent_shape(
    graph: &Graph,
    node: &Node,
    index: usize,
    _cotangent: &str,
) -> Result<Vec<usize>, GradientError> {
    let mut shape = graph.operand_shape(node, index)?.to_vec();
    if graph.rows() > 1 {
        match shape.first_mut() {
            Some(first) if *first == 1 => *first = graph.rows(),
            _ => return Err(one_row(node)),
        }
    }
    Ok(shape)
}

/// Refuses several rows where an operator moves, joins, sums or splits the axis they lie on, unless it is left `whole`.
pub(super) fn whole_batch(graph: &Graph, node: &Node, whole: bool) -> Result<(), GradientError> {
    if whole { Ok(()) } else { single_row(graph, node) }
}

/// Refuses several rows where an operator always mixes them.
pub(super) fn single_row(graph: &Graph, node: &Node) -> Result<(), GradientError> {
    if graph.rows() == 1 { Ok(()) } else { Err(one_row(node)) }
}

fn one_row(node: &Node) -> GradientError {
    GradientError::Rows { node: node.name.clone(), op: node.op.clone() }
}
