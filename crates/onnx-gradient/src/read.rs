//! From a model to its graph: every name provided once, every operand there before it is read.

use std::collections::HashMap;

use crate::declared;
use crate::error::{GradientError, limited};
use crate::graph::Graph;
use crate::node::Node;
use crate::onnx::{ModelProto, ValueInfoProto};
use crate::ops;
use crate::tensor::Tensor;

/// Nodes of a file, those that were attached included. The largest networks for spectra have a few hundred.
const NODES_MAX: usize = 20_000;
/// The oldest operator set whose Slice, Pad and Clip take operands as the ones written here.
const OPERATOR_SET_OLDEST: i64 = 11;
/// The newest one these operators were checked against.
const OPERATOR_SET_NEWEST: i64 = 23;

impl Graph {
    /// Checks the graph of a model, and finds the shape of each value. A batch dimension without a size is 1.
    ///
    /// # Errors
    /// When a name is missing, produced twice or used before it is produced, when a shape is impossible or too large,
    /// or when a known operator is used in a way that is not supported.
    pub fn new(model: &ModelProto) -> Result<Self, GradientError> {
        let proto = model.graph.as_option().ok_or(GradientError::NoGraph)?;
        let set = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        let operator_set = set.map_or(0, |set| set.version);
        if !(OPERATOR_SET_OLDEST..=OPERATOR_SET_NEWEST).contains(&operator_set) {
            let (oldest, newest) = (OPERATOR_SET_OLDEST, OPERATOR_SET_NEWEST);
            return Err(GradientError::OperatorSet { found: operator_set, oldest, newest });
        }
        limited("nodes", proto.node.len(), NODES_MAX)?;
        let outputs = proto.output.iter().map(|output| output.name.clone());
        let mut graph = Self::empty(operator_set, outputs.collect(), ops::rule);
        for initializer in &proto.initializer {
            graph.provide(&initializer.name)?;
            if let Some(constant) = Tensor::read(initializer)? {
                graph.set_constant(&initializer.name, constant)?;
            }
        }
        for input in &proto.input {
            // Old files list their initialisers among the inputs.
            if !graph.provides(&input.name) {
                graph.add_input(&input.name, declared::input(input)?)?;
            }
        }
        let declared: HashMap<&str, &ValueInfoProto> =
            proto.value_info.iter().chain(&proto.output).map(|info| (info.name.as_str(), info)).collect();
        for node in &proto.node {
            graph.add(Node::new(node))?;
            for output in &node.output {
                let known = graph.element(output).is_some() || output.is_empty();
                if let (false, Some(fact)) =
                    (known, declared.get(output.as_str()).and_then(|info| declared::declared(info)))
                {
                    graph.set_fact(output, fact)?;
                }
            }
        }
        for output in &proto.output {
            if !graph.provides(&output.name) {
                return Err(GradientError::NoValue { name: output.name.clone() });
            }
        }
        Ok(graph)
    }
}
