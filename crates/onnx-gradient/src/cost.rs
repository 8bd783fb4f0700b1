//! What a graph costs, what of it is not understood, and how far a value looks.

use std::collections::{HashMap, HashSet};

use crate::fact::Element;
use crate::graph::Graph;
use crate::node::Node;
use crate::reach::Reach;
use crate::walk::{dependents, sources};

/// About how many multiplications it takes to calculate `wanted` where `given` is there already: a convolution or a matrix
/// product counts its terms, any other operator the elements it gives. What is constant costs nothing, nor does what only
/// renames or moves elements.
pub fn multiplications(graph: &Graph, wanted: &[&str], given: &[&str]) -> u64 {
    let mut needed: HashSet<&str> = wanted.iter().copied().filter(|name| !given.contains(name)).collect();
    let mut total = 0_u64;
    for node in graph.nodes().iter().rev() {
        let computed = |output: &String| needed.contains(output.as_str()) && graph.constant(output).is_none();
        if !node.outputs.iter().any(computed) {
            continue;
        }
        needed.extend(node.reads().filter(|name| !given.contains(name)));
        let facts = node.outputs.iter().map(|output| graph.fact(output).cloned());
        let (Ok(rule), Ok(facts)) = (graph.rule(node), facts.collect::<Result<Vec<_>, _>>()) else { continue };
        if !MOVES.contains(&node.op.as_str()) {
            total = total.saturating_add(rule.work(graph, node, &facts));
        }
    }
    total
}

/// Operators that calculate nothing.
const MOVES: &[&str] = &[
    "Identity",
    "Dropout",
    "Cast",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Concat",
    "Split",
    "Slice",
    "Pad",
    "Gather",
    "Expand",
    "Shape",
];

/// The nodes whose operator is not understood: name and operator, in order.
pub fn unsupported_nodes(graph: &Graph) -> Vec<(&str, &str)> {
    let unknown = graph.nodes().iter().filter(|node| node.op != "Constant" && graph.rule(node).is_err());
    unknown.map(|node| (node.name.as_str(), node.op.as_str())).collect()
}

/// Whether a value depends on `input` also along a way on which position is lost (a global average, a dense layer, an
/// attention) or through a normalisation over the positions, so that each of its cells depends on the whole axis; `reaches`
/// are those of [`super::geometry::reaches`].
pub fn has_global_receptive_field(graph: &Graph, input: &str, value: &str, reaches: &HashMap<String, Reach>) -> bool {
    let (behind, before) = (dependents(graph, &[input], &[]), sources(graph, value));
    let lost = |name: &&String| {
        graph.constant(name).is_none()
            && graph.element(name).is_none_or(|element| element == Element::Float)
            && !reaches.contains_key(*name)
    };
    let normalised = graph.nodes().iter().any(|node| {
        let output = node.output();
        behind.contains(output) && before.contains(output) && normalises(graph, node, reaches.get(output))
    });
    normalised || behind.intersection(&before).any(|name| lost(&name))
}

/// Whether a node makes each cell of its output depend on all cells.
fn normalises(graph: &Graph, node: &Node, reach: Option<&Reach>) -> bool {
    let rank = graph.shape(node.output()).map_or(0, <[usize]>::len);
    let axis = node.int("axis", -1).and_then(|axis| node.axis(axis, rank));
    match (node.op.as_str(), reach, axis) {
        ("InstanceNormalization" | "GroupNormalization" | "MeanVarianceNormalization", ..) => true,
        // Over this axis and all behind it.
        ("LayerNormalization", Some(reach), Ok(axis)) => axis <= reach.axis,
        ("Softmax" | "LogSoftmax", Some(reach), Ok(axis)) => axis == reach.axis,
        _ => false,
    }
}
