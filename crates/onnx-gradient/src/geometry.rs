//! Where the cells of a layer look on the input axis: centres, distance and receptive field.

use std::collections::HashMap;

use crate::error::GradientError;
use crate::graph::Graph;
pub use crate::reach::Reach;

/// Where every value between an input and the rest of the graph looks on that input's axis `axis`. Values that lost
/// their position (behind a dense layer or a global average) or whose operators are unknown are missing.
///
/// # Errors
/// [`GradientError::NoValue`] when there is no such input.
pub fn reaches(graph: &Graph, input: &str, axis: usize) -> Result<HashMap<String, Reach>, GradientError> {
    graph.shape(input)?;
    let mut reaches = HashMap::from([(input.to_owned(), Reach::identity(axis))]);
    for node in graph.nodes() {
        let operands: Vec<Option<Reach>> = node.inputs.iter().map(|name| reaches.get(name).copied()).collect();
        let Ok(rule) = graph.rule(node) else { continue };
        if operands.iter().all(Option::is_none) || graph.shape(node.output()).is_err() {
            continue;
        }
        for (name, reach) in node.outputs.iter().zip(rule.reaches(graph, node, &operands)) {
            if let Some(reach) = reach {
                reaches.insert(name.clone(), reach);
            }
        }
    }
    Ok(reaches)
}
