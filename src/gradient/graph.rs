//! A graph with the shape of every value, grown node by node: first the file's, then the gradient's.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use super::error::GradientError;
use super::node::Node;
use super::ops::{self, Operator};
use super::proto;
use super::tensor::{Constant, Tensor, elements};

/// Nodes of a file. The largest networks for spectra have a few hundred.
const NODES_MAX: usize = 20_000;
/// Elements of all values together, weights included: 4 GB of f32 is no network for the edge, half of that neither.
const TOTAL_ELEMENTS_MAX: usize = 1 << 27;
/// Multiplications spent on folding constants: about a second.
const FOLDING_MAX: u64 = 1 << 30;
/// The oldest operator set whose Slice, Pad and Clip take operands as the ones written here.
const OPERATOR_SET_OLDEST: i64 = 11;
/// The newest one these operators were checked against.
const OPERATOR_SET_NEWEST: i64 = 23;
/// Every name that [`Graph::emit`] makes begins like this.
const PREFIX: &str = "grad/";

/// A validated graph: sorted, every name produced once, every shape known or known to be unknown.
#[derive(Debug)]
pub struct Graph {
    operator_set: i64,
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: Vec<Arc<Node>>,
    shapes: HashMap<String, Vec<usize>>,
    constants: HashMap<String, Constant>,
    /// Every name that is provided, of known shape or not.
    names: HashSet<String>,
    unknown: Vec<Arc<Node>>,
    emitted: Vec<NodeProto>,
    total_elements: usize,
    folding: u64,
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
            shapes: HashMap::new(),
            constants: HashMap::new(),
            names: HashSet::new(),
            unknown: Vec::new(),
            emitted: Vec::new(),
            total_elements: 0,
            folding: 0,
        };
        for initializer in &proto.initializer {
            graph.provide(&initializer.name)?;
            if let Some(constant) = Constant::read(initializer)? {
                graph.set_constant(&initializer.name, constant)?;
            }
        }
        for input in &proto.input {
            // Old files list their initialisers among the inputs.
            if !graph.names.contains(&input.name) {
                graph.provide(&input.name)?;
                graph.set_shape(&input.name, input_shape(input)?)?;
                graph.inputs.push(input.name.clone());
            }
        }
        let declared: HashMap<&str, &ValueInfoProto> =
            proto.value_info.iter().chain(&proto.output).map(|info| (info.name.as_str(), info)).collect();
        for node in &proto.node {
            graph.add(Node::new(node))?;
            for output in &node.output {
                let known = graph.shapes.contains_key(output) || output.is_empty();
                if let (false, Some(shape)) = (known, declared.get(output.as_str()).and_then(|info| fixed_shape(info)))
                {
                    graph.set_shape(output, shape)?;
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
        match self.shapes.get(name) {
            Some(shape) => Ok(shape),
            None if self.names.contains(name) => Err(GradientError::NoShape { name: name.to_owned() }),
            None => Err(GradientError::NoValue { name: name.to_owned() }),
        }
    }

    /// Every value a node of known shape gives, in order: node, operator, value.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let known = self.nodes.iter().filter(|node| self.shapes.contains_key(node.output()));
        known.map(|node| (node.name.as_str(), node.op.as_str(), node.output()))
    }

    /// The value that `name` is another name of: Identity nodes are followed back.
    pub fn source<'a>(&'a self, name: &'a str) -> &'a str {
        let renaming = self.nodes.iter().find(|node| node.output() == name && node.op == "Identity");
        renaming.and_then(|node| node.input(0)).map_or(name, |input| self.source(input))
    }

    /// Refuses graphs with an operator whose shapes and values are not understood here.
    ///
    /// # Errors
    /// Names the first such node.
    pub fn understood(&self) -> Result<(), GradientError> {
        match self.unknown.first() {
            None => Ok(()),
            Some(node) => Err(GradientError::NoRule { node: node.name.clone(), op: node.op.clone() }),
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
            let output = node.output();
            let computed = !given.contains_key(output) && !self.constants.contains_key(output);
            if computed && needed.contains(output) {
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
            let value = operator.evaluate(self, node, &tensors)?;
            values.insert(node.output().to_owned(), value);
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

    /// The shape of an operand.
    pub(super) fn operand_shape(&self, node: &Node, index: usize) -> Result<&[usize], GradientError> {
        self.shape(node.input(index).ok_or_else(|| node.fault(format!("operand {index} is missing")))?)
    }

    /// The floating-point constant of that name.
    pub(super) fn constant(&self, name: &str) -> Option<&Tensor> {
        match self.constants.get(name) {
            Some(Constant::Floats(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// An operand that must be a floating-point constant.
    pub(super) fn constant_operand(&self, node: &Node, index: usize) -> Result<&Tensor, GradientError> {
        let constant = node.input(index).and_then(|name| self.constant(name));
        constant.ok_or_else(|| node.fault(format!("operand {index} is not a constant")))
    }

    /// An operand that must be a constant list of integers; `None` where it is left out.
    pub(super) fn integers(&self, node: &Node, index: usize) -> Result<Option<&[i64]>, GradientError> {
        let Some(name) = node.input(index) else { return Ok(None) };
        match self.constants.get(name) {
            Some(Constant::Integers(values)) => Ok(Some(values)),
            _ => Err(node.fault(format!("operand {index} is not a constant list of integers"))),
        }
    }

    /// Axes, which newer operator sets give as an operand and older ones as an attribute.
    pub(super) fn axes(&self, node: &Node) -> Result<Option<Vec<i64>>, GradientError> {
        let operand = self.integers(node, 1)?;
        Ok(operand.or(node.ints("axes")?).map(<[i64]>::to_vec))
    }

    /// Appends a node to the gradient and returns the name of its output. A node whose operands are all constant is
    /// calculated here and now instead.
    pub(super) fn emit(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> Result<String, GradientError> {
        let output = self.free_name(op);
        let node = proto::node(op, inputs, &output, attributes);
        self.add(Node::new(&node))?;
        if !self.constants.contains_key(&output) {
            self.emitted.push(node);
        }
        Ok(output)
    }

    /// A node of the gradient with a name that was promised to the caller.
    pub(super) fn emit_as(&mut self, output: &str, input: &str) -> Result<(), GradientError> {
        self.provide(output)?;
        let shape = self.shape(input)?.to_vec();
        self.set_shape(output, shape)?;
        self.emitted.push(proto::node("Identity", &[input], output, Vec::new()));
        self.outputs.push(output.to_owned());
        Ok(())
    }

    /// Names a constant of the gradient.
    pub(super) fn emit_constant(&mut self, tensor: Tensor) -> Result<String, GradientError> {
        let name = self.free_name("constant");
        self.provide(&name)?;
        self.set_constant(&name, Constant::Floats(tensor))?;
        Ok(name)
    }

    /// Names a list of integers of the gradient: a shape, axes.
    pub(super) fn emit_integers(&mut self, values: Vec<i64>) -> Result<String, GradientError> {
        let name = self.free_name("integers");
        self.provide(&name)?;
        self.set_constant(&name, Constant::Integers(values))?;
        Ok(name)
    }

    pub(super) fn emit_reshape(&mut self, value: &str, shape: &[usize]) -> Result<String, GradientError> {
        if self.shape(value)? == shape {
            return Ok(value.to_owned());
        }
        let shape = self.emit_integers(shape.iter().map(|&size| size as i64).collect())?;
        self.emit("Reshape", &[value, &shape], Vec::new())
    }

    /// `start..end` of one axis.
    pub(super) fn emit_slice(
        &mut self,
        value: &str,
        axis: usize,
        start: usize,
        end: usize,
    ) -> Result<String, GradientError> {
        if start == 0 && self.shape(value)?.get(axis) == Some(&end) {
            return Ok(value.to_owned());
        }
        let start = self.emit_integers(vec![start as i64])?;
        let end = self.emit_integers(vec![end as i64])?;
        let axis = self.emit_integers(vec![axis as i64])?;
        self.emit("Slice", &[value, &start, &end, &axis], Vec::new())
    }

    /// The sum over some axes, which stay with size 1.
    pub(super) fn emit_sum(&mut self, value: &str, axes: &[usize]) -> Result<String, GradientError> {
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        // The axes became an operand with operator set 13.
        if self.operator_set < 13 {
            return self.emit("ReduceSum", &[value], vec![proto::ints("axes", &axes)]);
        }
        let axes = self.emit_integers(axes)?;
        self.emit("ReduceSum", &[value, &axes], Vec::new())
    }

    /// The emitted nodes, and the constants they read that the file does not hold, as initialisers.
    pub(super) fn into_emitted(self, file: &HashSet<String>) -> (Vec<NodeProto>, Vec<TensorProto>) {
        let read: BTreeSet<&str> = self.emitted.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        let initializers = read.into_iter().filter(|&name| !file.contains(name)).filter_map(|name| {
            self.constants.get(name).map(|constant| match constant {
                Constant::Floats(tensor) => proto::floats(name, tensor.shape(), &tensor.to_f32()),
                Constant::Integers(values) => proto::integers(name, values),
            })
        });
        let initializers = initializers.collect();
        (self.emitted, initializers)
    }

    fn add(&mut self, node: Node) -> Result<(), GradientError> {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            if !self.names.contains(name) {
                return Err(GradientError::Unresolved { node: node.name.clone(), value: name.clone() });
            }
        }
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            self.provide(name)?;
        }
        let node = Arc::new(node);
        self.nodes.push(node.clone());
        if node.op == "Constant" {
            return match node.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
                Some(tensor) => match Constant::read(tensor)? {
                    Some(constant) => self.set_constant(node.output(), constant),
                    None => Ok(()),
                },
                None => Ok(()),
            };
        }
        let Some(operator) = ops::operator(&node.op) else {
            self.unknown.push(node);
            return Ok(());
        };
        // A value of unknown shape is not this operator's fault: it passes the ignorance on.
        let shapes_known = node.inputs.iter().all(|name| name.is_empty() || self.describes(name));
        if !shapes_known {
            return Ok(());
        }
        let shape = operator.shape(self, &node)?;
        let cost = operator.cost(self, &node, &shape);
        self.set_shape(node.output(), shape)?;
        let operands: Option<Vec<Option<&Tensor>>> =
            (0..node.inputs.len()).map(|index| self.folded(&node, index)).collect();
        if let Some(operands) = operands.filter(|_| self.folding.saturating_add(cost) <= FOLDING_MAX) {
            let value = operator.evaluate(self, &node, &operands)?;
            self.folding += cost;
            self.constants.insert(node.output().to_owned(), Constant::Floats(value));
        }
        Ok(())
    }

    /// An operand for folding: `None` where it is not constant, `Some(None)` where it is left out or a list of integers.
    fn folded(&self, node: &Node, index: usize) -> Option<Option<&Tensor>> {
        let Some(name) = node.input(index) else { return Some(None) };
        match self.constants.get(name)? {
            Constant::Floats(tensor) => Some(Some(tensor)),
            Constant::Integers(_) => Some(None),
        }
    }

    fn describes(&self, name: &str) -> bool {
        self.shapes.contains_key(name) || self.constants.contains_key(name)
    }

    fn provide(&mut self, name: &str) -> Result<(), GradientError> {
        if self.names.insert(name.to_owned()) { Ok(()) } else { Err(GradientError::Twice { value: name.to_owned() }) }
    }

    fn set_constant(&mut self, name: &str, constant: Constant) -> Result<(), GradientError> {
        if let Constant::Floats(tensor) = &constant {
            self.set_shape(name, tensor.shape().to_vec())?;
        }
        self.constants.insert(name.to_owned(), constant);
        Ok(())
    }

    fn set_shape(&mut self, name: &str, shape: Vec<usize>) -> Result<(), GradientError> {
        self.total_elements += elements(&shape)?;
        limited("elements of all tensors together", self.total_elements, TOTAL_ELEMENTS_MAX)?;
        self.shapes.insert(name.to_owned(), shape);
        Ok(())
    }

    fn free_name(&self, kind: &str) -> String {
        let named = self.names.len();
        let mut candidates = (named..).map(|number| format!("{PREFIX}{}_{number}", kind.to_lowercase()));
        candidates.find(|name| !self.names.contains(name)).expect("there are more numbers than names")
    }
}

/// The operator of a node.
///
/// # Errors
/// When there is no rule for it.
pub(super) fn operator(node: &Node) -> Result<&'static dyn Operator, GradientError> {
    ops::operator(&node.op).ok_or_else(|| GradientError::NoRule { node: node.name.clone(), op: node.op.clone() })
}

fn limited(what: &'static str, found: usize, limit: usize) -> Result<(), GradientError> {
    let (found, limit) = (found as u64, limit as u64);
    if found <= limit { Ok(()) } else { Err(GradientError::TooMany { what, found, limit }) }
}

/// The sizes of a declared value; the batch, where it has none, is 1.
fn declared_shape(info: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    let size = |dimension: &tract_onnx::pb::tensor_shape_proto::Dimension| match dimension.value {
        Some(dimension::Value::DimValue(size)) => Some(size),
        _ => None,
    };
    let mut sizes: Vec<Option<i64>> = tensor.shape.as_ref()?.dim.iter().map(size).collect();
    if let Some(batch @ None) = sizes.first_mut() {
        *batch = Some(1);
    }
    Some(sizes)
}

fn fixed_shape(info: &ValueInfoProto) -> Option<Vec<usize>> {
    declared_shape(info)?.into_iter().map(|size| usize::try_from(size?).ok()).collect()
}

fn input_shape(info: &ValueInfoProto) -> Result<Vec<usize>, GradientError> {
    let failed = |problem: &str| GradientError::Input { name: info.name.clone(), problem: problem.into() };
    let sizes = declared_shape(info).ok_or_else(|| failed("it has no shape"))?;
    let sized = |size: Option<i64>| {
        let size = size.ok_or_else(|| failed("only the batch may be of variable size: fix the others"))?;
        usize::try_from(size).ok().filter(|&size| size > 0).ok_or_else(|| failed("a size is not above 0"))
    };
    sizes.into_iter().map(sized).collect()
}
