//! A graph with the shape of every value, grown node by node: first the file's, then the gradient's.

mod emit;
mod grow;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::error::GradientError;
use crate::fact::{Element, Fact};
use crate::node::Node;
use crate::onnx::NodeProto;
use crate::reach::Reach;
use crate::tensor::Tensor;

/// A validated graph: sorted, every name produced once, every shape known or known to be unknown.
#[derive(Debug, Clone)]
pub struct Graph {
    rules: Rules,
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

/// One ONNX operator, as the graph sees it: any number of outputs.
///
/// A cotangent has the shape of its value; with [`Graph::rows`] above one it counts the outputs that are differentiated
/// on the first axis, the batch, which is of size 1 in the value.
pub(crate) trait Rule: Sync {
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

/// The rule for the operator of that name; `None` where there is none. The operators lie above the graph, which is given
/// them when it is made.
pub(crate) type Rules = fn(&str) -> Option<&'static dyn Rule>;

/// The cotangent that is 1 at the greatest output, and that output's index.
#[derive(Debug, Clone)]
struct Winner {
    cotangent: String,
    index: String,
}

impl Graph {
    /// A graph of nothing yet, for nodes of that operator set.
    pub(crate) fn empty(operator_set: i64, outputs: Vec<String>, rules: Rules) -> Self {
        Self {
            rules,
            operator_set,
            inputs: Vec::new(),
            outputs,
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
        }
    }

    /// The names of the inputs that are no initialisers, in the file's order.
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The names of the outputs, in the file's order, those that were attached last.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The sizes of a value's axes.
    ///
    /// # Errors
    /// [`GradientError::NoValue`] when there is no such value, [`GradientError::NoShape`] when its shape is not known.
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
    /// [`GradientError::NoRule`] of the first such node.
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
    /// [`GradientError::NoValue`] when a value needed is neither given nor constant, [`GradientError::NoRule`] when an operator
    /// is not understood.
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
            let rule = self.rule(node)?;
            let tensors = (0..node.inputs.len()).map(|index| {
                let name = node.input(index)?;
                values.get(name).or(self.constant(name))
            });
            let tensors: Vec<Option<&Tensor>> = tensors.collect();
            for (name, value) in node.outputs.iter().zip(rule.values(self, node, &tensors)?) {
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

    /// Whether something gives a value of that name.
    pub(crate) fn provides(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The rule for the operator of a node.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn rule(&self, node: &Node) -> Result<&'static dyn Rule, GradientError> {
        (self.rules)(&node.op).ok_or_else(|| node.no_rule())
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node that gives a value; `None` for inputs and initialisers.
    pub(crate) fn producer(&self, name: &str) -> Option<&Arc<Node>> {
        self.producers.get(name).and_then(|&place| self.nodes.get(place))
    }

    /// The place of the node that gives a value, in the order they are computed.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.producers.get(name).copied()
    }

    /// The nodes that read a value.
    pub(crate) fn consumers(&self, name: &str) -> impl Iterator<Item = &Node> {
        let places = self.consumers.get(name).map_or(&[] as &[usize], Vec::as_slice);
        places.iter().filter_map(|&place| self.nodes.get(place)).map(AsRef::as_ref)
    }

    /// Rows that cotangents have on the batch axis: one for each output that is differentiated. With one row, a cotangent
    /// has the shape of its value.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn set_rows(&mut self, rows: usize) {
        self.rows = rows;
    }

    pub(crate) fn operator_set(&self) -> i64 {
        self.operator_set
    }

    /// The first node that `name` depends on and nobody here understands; else the one that gives `name`.
    fn not_understood(&self, name: &str) -> Option<&Arc<Node>> {
        let mut needed = BTreeSet::from([name]);
        let mut blamed = self.producer(name);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().any(|output| needed.contains(output.as_str()) && !self.facts.contains_key(output)) {
                needed.extend(node.reads());
                if (self.rules)(&node.op).is_none() {
                    blamed = Some(node);
                }
            }
        }
        blamed
    }

    pub(crate) fn fact(&self, name: &str) -> Result<&Fact, GradientError> {
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
    pub(crate) fn operand_shape(&self, node: &Node, index: usize) -> Result<&[usize], GradientError> {
        self.shape(node.input(index).ok_or_else(|| node.fault(format!("operand {index} is missing")))?)
    }

    /// What the element type of an operand is.
    pub(crate) fn operand_element(&self, node: &Node, index: usize) -> Result<Element, GradientError> {
        let name = node.input(index).ok_or_else(|| node.fault(format!("operand {index} is missing")))?;
        self.fact(name).map(|fact| fact.element)
    }

    /// The constant of that name.
    pub(crate) fn constant(&self, name: &str) -> Option<&Tensor> {
        self.constants.get(name).map(Arc::as_ref)
    }

    /// An operand that must be a floating-point constant.
    pub(crate) fn constant_operand(&self, node: &Node, index: usize) -> Result<&Tensor, GradientError> {
        let constant = node.input(index).and_then(|name| self.constant(name));
        let numbers = constant.filter(|constant| constant.element() == Element::Float);
        numbers.ok_or_else(|| node.fault(format!("operand {index} is not a constant")))
    }

    /// An operand that must be a constant list of integers, or one integer; `None` where it is left out.
    pub(crate) fn integers(&self, node: &Node, index: usize) -> Result<Option<Vec<i64>>, GradientError> {
        let Some(name) = node.input(index) else { return Ok(None) };
        let listed = |constant: &&Tensor| constant.element() == Element::Integer && constant.shape().len() <= 1;
        match self.constant(name).filter(listed) {
            Some(constant) => Ok(Some(constant.to_i64())),
            None => Err(node.fault(format!("operand {index} is not a constant list of integers"))),
        }
    }

    /// Axes, which newer operator sets give as an operand and older ones as an attribute.
    pub(crate) fn axes(&self, node: &Node) -> Result<Option<Vec<i64>>, GradientError> {
        let operand = self.integers(node, 1)?;
        Ok(operand.or(node.ints("axes")?.map(<[i64]>::to_vec)))
    }
}
