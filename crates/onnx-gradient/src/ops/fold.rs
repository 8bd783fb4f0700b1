//! Operators of the shape arithmetic that exporters write: counted, compared and looked up before anything runs.

use super::elementwise::{broadcast, broadcast_shape};
use super::operator::{Operator, cotangent_shape, operand};
use crate::error::GradientError;
use crate::fact::Element;
use crate::graph::{Graph, Rule};
use crate::node::Node;
use crate::onnx::Enumeration;
use crate::onnx::tensor_proto::DataType;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements, size, strides};

/// The rule for the operator of that name.
pub(super) fn rule(op: &str) -> Option<&'static dyn Rule> {
    Some(match op {
        "Shape" => &Shape,
        "Size" => &Size,
        "ConstantOfShape" => &ConstantOfShape,
        "Range" => &Range,
        "Equal" => &Compare(|left, right| left == right),
        "Less" => &Compare(|left, right| left < right),
        "LessOrEqual" => &Compare(|left, right| left <= right),
        "Greater" => &Compare(|left, right| left > right),
        "GreaterOrEqual" => &Compare(|left, right| left >= right),
        "And" => &Compare(|left, right| left != 0.0 && right != 0.0),
        "Or" => &Compare(|left, right| left != 0.0 || right != 0.0),
        "Not" => &Step(|value| f64::from(u8::from(value == 0.0))),
        "Floor" => &Step(f64::floor),
        "Ceil" => &Step(f64::ceil),
        "Round" => &Step(f64::round_ties_even),
        "Mod" => &Mod,
        "ArgMax" => &ArgMax,
        "Cast" => &Cast,
        _ => return None,
    })
}

/// The sizes of the operand's axes.
struct Shape;
/// How many elements the operand has.
struct Size;
/// One number everywhere.
struct ConstantOfShape;
/// start, start + delta, … below the limit.
struct Range;
/// True where it holds for the two operands.
struct Compare(fn(f64, f64) -> bool);
/// A function that is constant almost everywhere.
struct Step(fn(f64) -> f64);
/// The remainder of a division of integers.
struct Mod;
/// The place of the greatest element along an axis, the first of equals.
struct ArgMax;
/// The same numbers in another element type.
struct Cast;

/// Integers have no cotangent, so nobody asks for these.
macro_rules! no_backward {
    () => {
        fn backward(&self, _: &mut Graph, node: &Node, _: usize, _: &str) -> Result<String, GradientError> {
            Err(node.no_rule())
        }
    };
}

/// What is no longer laid out along the input axis.
macro_rules! no_reach {
    () => {
        fn reach(&self, _: &Graph, _: &Node, _: &[Option<Reach>]) -> Option<Reach> {
            None
        }
    };
}

impl Shape {
    fn sizes(graph: &Graph, node: &Node) -> Result<Vec<i64>, GradientError> {
        let shape = graph.operand_shape(node, 0)?;
        let rank = shape.len() as i64;
        let place = |place: i64| if place < 0 { place.saturating_add(rank) } else { place }.clamp(0, rank) as usize;
        let (start, end) = (place(node.int("start", 0)?), place(node.int("end", rank)?));
        Ok(shape.get(start..end).unwrap_or_default().iter().map(|&size| size as i64).collect())
    }
}

impl Operator for Shape {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        Ok(vec![Self::sizes(graph, node)?.len()])
    }

    fn element(&self, _graph: &Graph, _node: &Node) -> Result<Element, GradientError> {
        Ok(Element::Integer)
    }

    fn known(&self, graph: &Graph, node: &Node) -> Option<Tensor> {
        Self::sizes(graph, node).ok().map(|sizes| Tensor::integers(&sizes))
    }

    fn evaluate(&self, graph: &Graph, node: &Node, _operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        Ok(Tensor::integers(&Self::sizes(graph, node)?))
    }

    no_backward!();
    no_reach!();
}

impl Operator for Size {
    fn shape(&self, _graph: &Graph, _node: &Node) -> Result<Vec<usize>, GradientError> {
        Ok(Vec::new())
    }

    fn element(&self, _graph: &Graph, _node: &Node) -> Result<Element, GradientError> {
        Ok(Element::Integer)
    }

    fn known(&self, graph: &Graph, node: &Node) -> Option<Tensor> {
        let count = elements(graph.operand_shape(node, 0).ok()?).ok()?;
        Some(Tensor::new(Vec::new(), vec![count as f64]))
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        Ok(Tensor::new(Vec::new(), vec![operand(node, operands, 0)?.data().len() as f64]))
    }

    no_backward!();
    no_reach!();
}

impl ConstantOfShape {
    fn value(node: &Node) -> Result<Tensor, GradientError> {
        let value =
            node.attribute("value").and_then(|attribute| attribute.t.as_option()).map(Tensor::read).transpose()?;
        match value {
            None => Ok(Tensor::zeros(vec![1])),
            Some(Some(value)) if value.data().len() == 1 => Ok(value),
            Some(_) => Err(node.fault("'value' is not one number of a type that is understood")),
        }
    }
}

impl Operator for ConstantOfShape {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let sizes = graph.integers(node, 0)?.ok_or_else(|| node.fault("the shape is missing"))?;
        sizes_of(node, &sizes)
    }

    fn element(&self, _graph: &Graph, node: &Node) -> Result<Element, GradientError> {
        Self::value(node).map(|value| value.element())
    }

    fn evaluate(&self, graph: &Graph, node: &Node, _operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let shape = self.shape(graph, node)?;
        let count = elements(&shape)?;
        Ok(Tensor::new(shape, vec![Self::value(node)?.data()[0]; count]))
    }

    no_backward!();
    no_reach!();
}

impl Range {
    /// Start, step and number of steps: ⌈(limit − start) / delta⌉, at least 0.
    fn steps(graph: &Graph, node: &Node) -> Result<(f64, f64, usize), GradientError> {
        let scalar = |index: usize| {
            let constant = node.input(index).and_then(|name| graph.constant(name));
            let number = constant.and_then(|constant| constant.data().first().copied());
            number.ok_or_else(|| node.fault(format!("operand {index} is not a constant number")))
        };
        let (start, limit, delta) = (scalar(0)?, scalar(1)?, scalar(2)?);
        let steps = ((limit - start) / delta).ceil();
        if steps.is_finite() {
            Ok((start, delta, steps.max(0.0) as usize))
        } else {
            Err(node.fault(format!("from {start} to {limit} in steps of {delta}")))
        }
    }
}

impl Operator for Range {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        Self::steps(graph, node).map(|(.., steps)| vec![steps])
    }

    fn evaluate(&self, graph: &Graph, node: &Node, _operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let (start, delta, steps) = Self::steps(graph, node)?;
        Ok(Tensor::new(vec![steps], (0..steps).map(|step| start + delta * step as f64).collect()))
    }

    no_backward!();
    no_reach!();
}

impl Operator for Compare {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn element(&self, _graph: &Graph, _node: &Node) -> Result<Element, GradientError> {
        Ok(Element::Boolean)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        broadcast(node, operands, |left, right| f64::from(u8::from((self.0)(left, right))))
    }

    no_backward!();
    no_reach!();
}

impl Operator for Step {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let value = operand(node, operands, 0)?;
        Ok(Tensor::new(value.shape().to_vec(), value.data().iter().map(|&value| (self.0)(value)).collect()))
    }

    fn backward(&self, graph: &mut Graph, node: &Node, index: usize, cotangent: &str) -> Result<String, GradientError> {
        let shape = cotangent_shape(graph, node, index, cotangent)?;
        graph.emit_constant(Tensor::zeros(shape))
    }
}

impl Operator for Mod {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        broadcast_shape(graph, node)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        match node.int("fmod", 0)? {
            0 => broadcast(node, operands, |left, right| left - right * (left / right).floor()),
            _ => broadcast(node, operands, |left, right| left % right),
        }
    }

    no_backward!();
    no_reach!();
}

impl ArgMax {
    fn axis(graph: &Graph, node: &Node) -> Result<usize, GradientError> {
        node.axis(node.int("axis", 0)?, graph.operand_shape(node, 0)?.len())
    }
}

impl Operator for ArgMax {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        let axis = Self::axis(graph, node)?;
        let mut shape = graph.operand_shape(node, 0)?.to_vec();
        match node.int("keepdims", 1)? {
            0 => drop(shape.remove(axis)),
            _ => shape[axis] = 1,
        }
        Ok(shape)
    }

    fn element(&self, _graph: &Graph, _node: &Node) -> Result<Element, GradientError> {
        Ok(Element::Integer)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let value = operand(node, operands, 0)?;
        let axis = Self::axis(graph, node)?;
        let last = node.int("select_last_index", 0)? != 0;
        let (size, inner) = (value.shape()[axis], strides(value.shape())[axis]);
        let outer: usize = value.shape()[..axis].iter().product();
        let places = (0..outer * inner).map(|place| {
            let at = |step: usize| value.data()[(place / inner * size + step) * inner + place % inner];
            let best = (0..size).reduce(|best, step| {
                let better = at(step) > at(best) || (last && at(step) == at(best));
                if better { step } else { best }
            });
            best.unwrap_or(0) as f64
        });
        Ok(Tensor::new(self.shape(graph, node)?, places.collect()))
    }

    no_backward!();
    no_reach!();
}

/// ONNX's numbers for the element types that are understood.
fn element_of(node: &Node, data_type: i64) -> Result<Element, GradientError> {
    let known = i32::try_from(data_type).ok().and_then(DataType::from_i32);
    match known {
        Some(DataType::Float | DataType::Double) => Ok(Element::Float),
        Some(DataType::Int32 | DataType::Int64) => Ok(Element::Integer),
        Some(DataType::Bool) => Ok(Element::Boolean),
        Some(other) => Err(node.fault(format!("elements of type {} are not supported", other.proto_name()))),
        None => Err(node.fault(format!("there is no element type {data_type}"))),
    }
}

impl Operator for Cast {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn element(&self, _graph: &Graph, node: &Node) -> Result<Element, GradientError> {
        element_of(node, node.int("to", 0)?)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let value = operand(node, operands, 0)?;
        let cast: fn(f64) -> f64 = match self.element(graph, node)? {
            Element::Float => |value| value,
            Element::Integer => f64::trunc,
            Element::Boolean => |value| f64::from(u8::from(value != 0.0)),
        };
        Ok(Tensor::new(value.shape().to_vec(), value.data().iter().map(|&value| cast(value)).collect()))
    }

    /// Only floating-point numbers have cotangents, and theirs are all f32.
    fn backward(
        &self,
        _graph: &mut Graph,
        _node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        Ok(cotangent.to_owned())
    }
}

/// A list of integers as a shape.
pub(super) fn sizes_of(node: &Node, sizes: &[i64]) -> Result<Vec<usize>, GradientError> {
    let read = |&stated: &i64| size(stated).ok_or_else(|| node.fault(format!("a size of {stated}")));
    sizes.iter().map(read).collect()
}
