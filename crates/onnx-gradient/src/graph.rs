//! A graph with the shape of every value, grown node by node: first the file's, then the gradient's.

mod emit;
mod grow;
mod read;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::error::GradientError;
use super::node::Node;
use super::ops::{self, Rule};
use super::tensor::{Element, Tensor};
use crate::onnx::{ModelProto, NodeProto, ValueInfoProto};

/// Nodes of a file, those that were attached included. The largest networks for spectra have a few hundred.
const NODES_MAX: usize = 20_000;
/// The oldest operator set whose Slice, Pad and Clip take operands as the ones written here.
const OPERATOR_SET_OLDEST: i64 = 11;
/// The newest one these operators were checked against.
const OPERATOR_SET_NEWEST: i64 = 23;

/// What is known of a value before the graph runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
}

/// A validated graph: sorted, every name produced once, every shape known or known to be unknown.
#[derive(Debug, Clone)]
pub struct Graph {
    operator_set: i64,
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: Vec<Arc<Node>>,
    facts: HashMap<String, Fact>,
    /// Shared, because a graph is cloned for every trial walk.
    constants: HashMap<String, Arc<Tensor>>,
    /// The place in `nodes` of the node that gives a value.
    producers: HashMap<String, usize>,
    /// The places of the nodes that read a value.
    consumers: HashMap<String, Vec<usize>>,
    /// Every name that is provided, of known shape or not.
    names: HashSet<String>,
    unknown: Vec<Arc<Node>>,
    emitted: Vec<NodeProto>,
    total_elements: usize,
    folding: u64,
    /// Rows that cotangents have on the batch axis.
    rows: usize,
    winner: Option<Winner>,
}

/// The cotangent that is 1 at the greatest output, and that output's index.
#[derive(Debug, Clone)]
struct Winner {
    cotangent: String,
    index: String,
}

impl Graph {
    /// Checks the graph of a model, and finds the shape of each value. A batch dimension without a size is 1.
    ///
    /// # Errors
    /// When a name is missing, produced twice or used before it is produced, when a shape is impossible or too large,
    /// or when a known operator is used in a way that is not supported.
    pub fn new(model: &ModelProto) -> Result<Self, GradientError> {
        let proto = model.graph.as_ref().ok_or(GradientError::NoGraph)?;
        let set = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        let operator_set = set.map_or(0, |set| set.version);
        if !(OPERATOR_SET_OLDEST..=OPERATOR_SET_NEWEST).contains(&operator_set) {
            let (oldest, newest) = (OPERATOR_SET_OLDEST, OPERATOR_SET_NEWEST);
            return Err(GradientError::OperatorSet { found: operator_set, oldest, newest });
        }
        limited("nodes", proto.node.len(), NODES_MAX)?;
        let mut graph = Self {
            operator_set,
            inputs: Vec::new(),
            outputs: proto.output.iter().map(|output| output.name.clone()).collect(),
            nodes: Vec::new(),
            facts: HashMap::new(),
            constants: HashMap::new(),
            producers: HashMap::new(),
            consumers: HashMap::new(),
            names: HashSet::new(),
            unknown: Vec::new(),
            emitted: Vec::new(),
            total_elements: 0,
            folding: 0,
            rows: 1,
            winner: None,
        };
        for initializer in &proto.initializer {
            graph.provide(&initializer.name)?;
            if let Some(constant) = Tensor::read(initializer)? {
                graph.set_constant(&initializer.name, constant)?;
            }
        }
        for input in &proto.input {
            // Old files list their initialisers among the inputs.
            if !graph.names.contains(&input.name) {
                graph.provide(&input.name)?;
                graph.set_fact(&input.name, read::input(input)?)?;
                graph.inputs.push(input.name.clone());
            }
        }
        let declared: HashMap<&str, &ValueInfoProto> =
            proto.value_info.iter().chain(&proto.output).map(|info| (info.name.as_str(), info)).collect();
        for node in &proto.node {
            graph.add(Node::new(node))?;
            for output in &node.output {
                let known = graph.facts.contains_key(output) || output.is_empty();
                if let (false, Some(fact)) =
                    (known, declared.get(output.as_str()).and_then(|info| read::declared(info)))
                {
                    graph.set_fact(output, fact)?;
                }
            }
        }
        for output in &proto.output {
            if !graph.names.contains(&output.name) {
                return Err(GradientError::NoValue { name: output.name.clone() });
            }
        }
        Ok(graph)
    }

    /// The inputs that are no initialisers, in order.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The shape of a value.
    ///
    /// # Errors
    /// When there is no such value, or its shape is not known.
    pub fn shape(&self, name: &str) -> Result<&[usize], GradientError> {
        self.fact(name).map(|fact| fact.shape.as_slice())
    }

    /// What the numbers of a value stand for; `None` where that is not known.
    pub fn element(&self, name: &str) -> Option<Element> {
        self.facts.get(name).map(|fact| fact.element)
    }

    /// Whether a value is the same whatever the inputs are.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(self.source(name))
    }

    /// Every value a node of known shape gives, in order: node, operator, value.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let known = self.nodes.iter().filter(|node| self.facts.contains_key(node.output()));
        known.map(|node| (node.name.as_str(), node.op.as_str(), node.output()))
    }

    /// The value that `name` is another name of: Identity nodes are followed back.
    pub fn source<'a>(&'a self, name: &'a str) -> &'a str {
        let renaming = |name: &str| self.producer(name).filter(|node| node.op == "Identity");
        std::iter::successors(Some(name), |&name| renaming(name)?.input(0)).last().unwrap_or(name)
    }

    /// Refuses graphs with an operator whose shapes and values are not understood here.
    ///
    /// # Errors
    /// Names the first such node.
    pub fn understood(&self) -> Result<(), GradientError> {
        match self.unknown.first() {
            None => Ok(()),
            Some(node) => Err(node.no_rule()),
        }
    }

    /// Calculates the values `wanted` in f64, one operator after the other: slow, and independent of any runtime.
    /// `given` are the inputs; a value inside the graph can be given too, and its producer is then left out.
    ///
    /// # Errors
    /// When a value needed is neither given nor constant, or an operator is not understood.
    pub fn evaluate(
        &self,
        given: &HashMap<String, Tensor>,
        wanted: &[&str],
    ) -> Result<HashMap<String, Tensor>, GradientError> {
        let mut needed: BTreeSet<&str> = wanted.iter().copied().collect();
        let mut run = Vec::new();
        for node in self.nodes.iter().rev() {
            let computed = |output: &str| !given.contains_key(output) && !self.constants.contains_key(output);
            if node.outputs.iter().any(|output| needed.contains(output.as_str()) && computed(output)) {
                needed.extend(node.inputs.iter().map(String::as_str));
                run.push(node);
            }
        }
        let mut values = given.clone();
        for node in run.into_iter().rev() {
            let operator = operator(node)?;
            let tensors = (0..node.inputs.len()).map(|index| {
                let name = node.input(index)?;
                values.get(name).or(self.constant(name))
            });
            let tensors: Vec<Option<&Tensor>> = tensors.collect();
            for (name, value) in node.outputs.iter().zip(operator.values(self, node, &tensors)?) {
                // What was given stays, though its producer runs for another output.
                if let (false, Some(element)) = (given.contains_key(name), self.element(name)) {
                    values.insert(name.clone(), value.with_element(element));
                }
            }
        }
        let found = wanted.iter().map(|&name| {
            let value = values.get(name).or(self.constant(name)).cloned();
            value.map(|value| (name.to_owned(), value)).ok_or_else(|| GradientError::NoValue { name: name.to_owned() })
        });
        found.collect()
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node that gives a value; `None` for inputs and initialisers.
    pub(super) fn producer(&self, name: &str) -> Option<&Arc<Node>> {
        self.producers.get(name).and_then(|&place| self.nodes.get(place))
    }

    /// The place of the node that gives a value, in the order they are computed.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.producers.get(name).copied()
    }

    /// The nodes that read a value.
    pub(super) fn consumers(&self, name: &str) -> impl Iterator<Item = &Node> {
        let places = self.consumers.get(name).map_or(&[] as &[usize], Vec::as_slice);
        places.iter().filter_map(|&place| self.nodes.get(place)).map(AsRef::as_ref)
    }

    /// Rows that cotangents have on the batch axis: one for each output that is differentiated. With one row, a cotangent
    /// has the shape of its value.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn set_rows(&mut self, rows: usize) {
        self.rows = rows;
    }

    pub(super) fn operator_set(&self) -> i64 {
        self.operator_set
    }

    /// The first node that `name` depends on and nobody here understands; else the one that gives `name`.
    fn not_understood(&self, name: &str) -> Option<&Arc<Node>> {
        let mut needed = BTreeSet::from([name]);
        let mut blamed = self.producer(name);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().any(|output| needed.contains(output.as_str()) && !self.facts.contains_key(output)) {
                needed.extend(node.reads());
                if ops::operator(&node.op).is_none() {
                    blamed = Some(node);
                }
            }
        }
        blamed
    }

    pub(super) fn fact(&self, name: &str) -> Result<&Fact, GradientError> {
        match self.facts.get(name) {
            Some(fact) => Ok(fact),
            None if self.names.contains(name) => {
                let blamed = self.not_understood(name);
                let (node, op) = blamed.map_or_else(Default::default, |node| (node.name.clone(), node.op.clone()));
                Err(GradientError::NoShape { name: name.to_owned(), node, op })
            }
            None => Err(GradientError::NoValue { name: name.to_owned() }),
        }
    }

    /// The shape of an operand.
    pub(super) fn operand_shape(&self, node: &Node, index: usize) -> Result<&[usize], GradientError> {
        self.shape(node.input(index).ok_or_else(|| node.fault(format!("operand {index} is missing")))?)
    }

    /// What the element type of an operand is.
    pub(super) fn operand_element(&self, node: &Node, index: usize) -> Result<Element, GradientError> {
        let name = node.input(index).ok_or_else(|| node.fault(format!("operand {index} is missing")))?;
        self.fact(name).map(|fact| fact.element)
    }

    /// The constant of that name.
    pub(super) fn constant(&self, name: &str) -> Option<&Tensor> {
        self.constants.get(name).map(Arc::as_ref)
    }

    /// An operand that must be a floating-point constant.
    pub(super) fn constant_operand(&self, node: &Node, index: usize) -> Result<&Tensor, GradientError> {
        let constant = node.input(index).and_then(|name| self.constant(name));
        let numbers = constant.filter(|constant| constant.element() == Element::Float);
        numbers.ok_or_else(|| node.fault(format!("operand {index} is not a constant")))
    }

    /// An operand that must be a constant list of integers, or one integer; `None` where it is left out.
    pub(super) fn integers(&self, node: &Node, index: usize) -> Result<Option<Vec<i64>>, GradientError> {
        let Some(name) = node.input(index) else { return Ok(None) };
        let listed = |constant: &&Tensor| constant.element() == Element::Integer && constant.shape().len() <= 1;
        match self.constant(name).filter(listed) {
            Some(constant) => Ok(Some(constant.to_i64())),
            None => Err(node.fault(format!("operand {index} is not a constant list of integers"))),
        }
    }

    /// Axes, which newer operator sets give as an operand and older ones as an attribute.
    pub(super) fn axes(&self, node: &Node) -> Result<Option<Vec<i64>>, GradientError> {
        let operand = self.integers(node, 1)?;
        Ok(operand.or(node.ints("axes")?.map(<[i64]>::to_vec)))
    }
}

/// The operator of a node.
///
/// # Errors
/// When there is no rule for it.
pub(super) fn operator(node: &Node) -> Result<&'static dyn Rule, GradientError> {
    ops::operator(&node.op).ok_or_else(|| node.no_rule())
}

fn limited(what: &'static str, found: usize, limit: usize) -> Result<(), GradientError> {
    let (found, limit) = (found as u64, limit as u64);
    if found <= limit { Ok(()) } else { Err(GradientError::TooMany { what, found, limit }) }
}
