//! Activation functions, and the other functions of one value taken element by element.
//!
//! Each has its value in f64 and its slope as nodes, from what the forward pass has already: x, the operand, or y, the
//! output. At a kink the slope is the one PyTorch takes.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::operator::{Operator, operand};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::tensor::Tensor;

/// The value of one element.
type Function = Box<dyn Fn(f64) -> f64>;

/// y = f(x), element by element.
pub(super) struct Pointwise {
    /// f, with the node's attributes in it.
    value: fn(&Node) -> Result<Function, GradientError>,
    /// Appends the nodes of f′, given the names of x and y.
    slope: fn(&mut Graph, &Node, &str, &str) -> Result<String, GradientError>,
}

impl Operator for Pointwise {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        graph.operand_shape(node, 0).map(<[usize]>::to_vec)
    }

    fn evaluate(&self, _graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let function = (self.value)(node)?;
        let mut value = operand(node, operands, 0)?.clone();
        value.data_mut().iter_mut().for_each(|element| *element = function(*element));
        Ok(value)
    }

    fn backward(
        &self,
        graph: &mut Graph,
        node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        let operand = node.input(0).ok_or_else(|| node.fault("the operand is missing"))?;
        let slope = (self.slope)(graph, node, operand, node.output())?;
        graph.emit_pair("Mul", cotangent, &slope)
    }
}

/// The sign of the output is 1 where the operand passed and 0 elsewhere: faster in tract than a comparison.
pub(super) static RELU: Pointwise =
    Pointwise { value: |_| Ok(Box::new(|x| x.max(0.0))), slope: |graph, _, _, y| graph.emit_of("Sign", y) };

/// x, or α x below 0.
pub(super) static LEAKY_RELU: Pointwise = Pointwise {
    value: |node| {
        let alpha = node.float("alpha", 0.01)?;
        Ok(Box::new(move |x| if x < 0.0 { alpha * x } else { x }))
    },
    slope: |graph, node, x, _| {
        let alpha = node.float("alpha", 0.01)?;
        if (0.0..=1.0).contains(&alpha) {
            let sign = graph.emit_of("Sign", x)?;
            return graph.emit_with("Max", &sign, alpha);
        }
        two_slopes(graph, x, 1.0, alpha)
    },
};

/// x, or α (eˣ − 1) below 0, where the slope is y + α.
pub(super) static ELU: Pointwise = Pointwise {
    value: |node| {
        let alpha = node.float("alpha", 1.0)?;
        Ok(Box::new(move |x| if x < 0.0 { alpha * x.exp_m1() } else { x }))
    },
    slope: |graph, node, x, y| exponential_slope(graph, x, y, [1.0, 1.0, node.float("alpha", 1.0)?]),
};

/// γ x, or γ α (eˣ − 1) below 0, where the slope is y + γ α.
pub(super) static SELU: Pointwise = Pointwise {
    value: |node| {
        let (alpha, gamma) = selu(node)?;
        Ok(Box::new(move |x| gamma * if x < 0.0 { alpha * x.exp_m1() } else { x }))
    },
    slope: |graph, node, x, y| {
        let (alpha, gamma) = selu(node)?;
        exponential_slope(graph, x, y, [gamma, 1.0, gamma * alpha])
    },
};

fn selu(node: &Node) -> Result<(f64, f64), GradientError> {
    Ok((node.float("alpha", 1.673_263_2)?, node.float("gamma", 1.050_701)?))
}

/// x, or α (exp(x / α) − 1) below 0, where the slope is y / α + 1.
pub(super) static CELU: Pointwise = Pointwise {
    value: |node| {
        let alpha = celu(node)?;
        Ok(Box::new(move |x| if x < 0.0 { alpha * (x / alpha).exp_m1() } else { x }))
    },
    slope: |graph, node, x, y| exponential_slope(graph, x, y, [1.0, 1.0 / celu(node)?, 1.0]),
};

fn celu(node: &Node) -> Result<f64, GradientError> {
    let alpha = node.float("alpha", 1.0)?;
    if alpha == 0.0 { Err(node.fault("'alpha' is 0")) } else { Ok(alpha) }
}

/// `above` where x > 0, factor · y + offset elsewhere.
fn exponential_slope(
    graph: &mut Graph,
    x: &str,
    y: &str,
    [above, factor, offset]: [f64; 3],
) -> Result<String, GradientError> {
    // Where both branches meet with one slope, and y < 0 exactly where x < 0, a minimum replaces the choice.
    if above == offset && factor > 0.0 && offset > 0.0 {
        let below = graph.emit_with("Min", y, 0.0)?;
        let scaled = graph.emit_scaled(&below, factor)?;
        return graph.emit_with("Add", &scaled, offset);
    }
    let scaled = graph.emit_scaled(y, factor)?;
    let below = graph.emit_with("Add", &scaled, offset)?;
    let positive = graph.emit_with("Greater", x, 0.0)?;
    let above = graph.emit_number(above)?;
    graph.emit("Where", &[&positive, &above, &below], Vec::new())
}

/// `above` where x > 0, `below` elsewhere.
fn two_slopes(graph: &mut Graph, x: &str, above: f64, below: f64) -> Result<String, GradientError> {
    let step = graph.emit_step(x)?;
    let scaled = graph.emit_scaled(&step, above - below)?;
    graph.emit_with("Add", &scaled, below)
}

/// x where it is above α, 0 elsewhere.
pub(super) static THRESHOLDED_RELU: Pointwise = Pointwise {
    value: |node| {
        let alpha = node.float("alpha", 1.0)?;
        Ok(Box::new(move |x| if x > alpha { x } else { 0.0 }))
    },
    slope: |graph, node, x, _| {
        let above = graph.emit_with("Sub", x, node.float("alpha", 1.0)?)?;
        graph.emit_step(&above)
    },
};

/// 1 / (1 + e⁻ˣ), with the slope y − y².
pub(super) static SIGMOID: Pointwise =
    Pointwise { value: |_| Ok(Box::new(logistic)), slope: |graph, _, _, y| logistic_slope(graph, y) };

/// The slope of a value that stays between 0 and 1 as the logistic function does: y − y².
fn logistic_slope(graph: &mut Graph, y: &str) -> Result<String, GradientError> {
    let square = graph.emit_pair("Mul", y, y)?;
    graph.emit_pair("Sub", y, &square)
}

/// α x + β between 0 and 1.
pub(super) static HARD_SIGMOID: Pointwise = Pointwise {
    value: |node| {
        let (alpha, beta) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
        Ok(Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0)))
    },
    slope: |graph, node, _, y| {
        let inside = inside_unit(graph, y)?;
        graph.emit_scaled(&inside, node.float("alpha", 0.2)?)
    },
};

/// 1 where 0 < y < 1, 0 at both ends.
fn inside_unit(graph: &mut Graph, y: &str) -> Result<String, GradientError> {
    let product = logistic_slope(graph, y)?;
    graph.emit_of("Sign", &product)
}

/// x · h with h = x / 6 + 1/2 between 0 and 1; the slope is h + x / 6 where h is inside.
pub(super) static HARD_SWISH: Pointwise = Pointwise {
    value: |_| Ok(Box::new(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
    slope: |graph, _, x, _| {
        let sixth = crate::proto::float("alpha", 1.0 / 6.0);
        let hard = graph.emit("HardSigmoid", &[x], vec![sixth])?;
        let inside = inside_unit(graph, &hard)?;
        let ramp = graph.emit_with("Mul", x, 1.0 / 6.0)?;
        let inner = graph.emit_pair("Mul", &ramp, &inside)?;
        graph.emit_pair("Add", &hard, &inner)
    },
};

/// With the slope 1 − y².
pub(super) static TANH: Pointwise = Pointwise {
    value: |_| Ok(Box::new(f64::tanh)),
    slope: |graph, _, _, y| {
        let square = graph.emit_pair("Mul", y, y)?;
        graph.emit_less(1.0, &square)
    },
};

/// ln(1 + eˣ), whose slope is the logistic function.
pub(super) static SOFTPLUS: Pointwise =
    Pointwise { value: |_| Ok(Box::new(softplus)), slope: |graph, _, x, _| graph.emit_of("Sigmoid", x) };

/// x / (1 + |x|), with the slope (1 − |y|)².
pub(super) static SOFTSIGN: Pointwise = Pointwise {
    value: |_| Ok(Box::new(|x| x / (1.0 + x.abs()))),
    slope: |graph, _, _, y| {
        let size = graph.emit_of("Abs", y)?;
        let rest = graph.emit_less(1.0, &size)?;
        graph.emit_pair("Mul", &rest, &rest)
    },
};

/// With the slope 2/√π exp(−x²).
pub(super) static ERF: Pointwise = Pointwise {
    value: |_| Ok(Box::new(erf)),
    slope: |graph, _, x, _| {
        let bell = bell(graph, x, 1.0)?;
        graph.emit_with("Mul", &bell, FRAC_2_SQRT_PI)
    },
};

/// exp(−x² · `narrowness`).
fn bell(graph: &mut Graph, x: &str, narrowness: f64) -> Result<String, GradientError> {
    let square = graph.emit_pair("Mul", x, x)?;
    let exponent = graph.emit_with("Mul", &square, -narrowness)?;
    graph.emit_of("Exp", &exponent)
}

/// √(2/π), of the approximation by a hyperbolic tangent.
const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
/// The factor of x³ in it.
const TANH_CUBIC: f64 = 0.044_715;

/// x Φ(x), or x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))), of D. Hendrycks and K. Gimpel, arXiv:1606.08415.
pub(super) static GELU: Pointwise = Pointwise {
    value: |node| {
        Ok(match approximated(node)? {
            false => Box::new(|x| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))),
            true => Box::new(|x| 0.5 * x * (1.0 + (TANH_SCALE * (x + TANH_CUBIC * x * x * x)).tanh())),
        })
    },
    slope: |graph, node, x, _| {
        if !approximated(node)? {
            // Φ(x) + x φ(x)
            let scaled = graph.emit_with("Mul", x, FRAC_1_SQRT_2)?;
            let error = graph.emit_of("Erf", &scaled)?;
            let half = graph.emit_with("Mul", &error, 0.5)?;
            let below = graph.emit_with("Add", &half, 0.5)?;
            let bell = bell(graph, x, 0.5)?;
            let density = graph.emit_with("Mul", &bell, 1.0 / (2.0 * PI).sqrt())?;
            let inner = graph.emit_pair("Mul", x, &density)?;
            return graph.emit_pair("Add", &below, &inner);
        }
        // With t = tanh(u): (1 + t) / 2 + x (1 − t²) u′ / 2
        let square = graph.emit_pair("Mul", x, x)?;
        let cubic = graph.emit_with("Mul", &square, TANH_SCALE * TANH_CUBIC)?;
        let factor = graph.emit_with("Add", &cubic, TANH_SCALE)?;
        let argument = graph.emit_pair("Mul", x, &factor)?;
        let tanh = graph.emit_of("Tanh", &argument)?;
        let half = graph.emit_with("Mul", &tanh, 0.5)?;
        let below = graph.emit_with("Add", &half, 0.5)?;
        // (1 − t²) / 2 is twice p − p² of p = (1 + t) / 2.
        let rest = logistic_slope(graph, &below)?;
        let triple = graph.emit_with("Mul", &square, 6.0 * TANH_SCALE * TANH_CUBIC)?;
        let steepness = graph.emit_with("Add", &triple, 2.0 * TANH_SCALE)?;
        let inner = graph.emit_pair("Mul", x, &steepness)?;
        let inner = graph.emit_pair("Mul", &inner, &rest)?;
        graph.emit_pair("Add", &below, &inner)
    },
};

fn approximated(node: &Node) -> Result<bool, GradientError> {
    match node.text("approximate")? {
        None | Some(b"none") => Ok(false),
        Some(b"tanh") => Ok(true),
        Some(other) => Err(node.fault(format!("'approximate' is {}", String::from_utf8_lossy(other)))),
    }
}

/// x tanh(softplus(x)), of D. Misra, arXiv:1908.08681.
pub(super) static MISH: Pointwise = Pointwise {
    value: |_| Ok(Box::new(|x| x * softplus(x).tanh())),
    slope: |graph, _, x, _| {
        let soft = graph.emit_of("Softplus", x)?;
        let tanh = graph.emit_of("Tanh", &soft)?;
        let square = graph.emit_pair("Mul", &tanh, &tanh)?;
        let rest = graph.emit_less(1.0, &square)?;
        let logistic = graph.emit_of("Sigmoid", x)?;
        let inner = graph.emit_pair("Mul", x, &rest)?;
        let inner = graph.emit_pair("Mul", &inner, &logistic)?;
        graph.emit_pair("Add", &tanh, &inner)
    },
};

/// x σ(α x), of operator set 24 (there with α = 1 by default).
pub(super) static SWISH: Pointwise = Pointwise {
    value: |node| {
        let alpha = node.float("alpha", 1.0)?;
        Ok(Box::new(move |x| x * logistic(alpha * x)))
    },
    slope: |graph, node, x, _| {
        let alpha = node.float("alpha", 1.0)?;
        let scaled = graph.emit_scaled(x, alpha)?;
        let logistic = graph.emit_of("Sigmoid", &scaled)?;
        let slope = logistic_slope(graph, &logistic)?;
        let inner = graph.emit_pair("Mul", &scaled, &slope)?;
        graph.emit_pair("Add", &logistic, &inner)
    },
};

pub(super) static EXP: Pointwise =
    Pointwise { value: |_| Ok(Box::new(f64::exp)), slope: |_, _, _, y| Ok(y.to_owned()) };

pub(super) static LOG: Pointwise =
    Pointwise { value: |_| Ok(Box::new(f64::ln)), slope: |graph, _, x, _| graph.emit_of("Reciprocal", x) };

/// With the slope 1 / 2y.
pub(super) static SQRT: Pointwise = Pointwise {
    value: |_| Ok(Box::new(f64::sqrt)),
    slope: |graph, _, _, y| {
        let half = graph.emit_number(0.5)?;
        graph.emit_pair("Div", &half, y)
    },
};

/// With the slope −y².
pub(super) static RECIPROCAL: Pointwise = Pointwise {
    value: |_| Ok(Box::new(f64::recip)),
    slope: |graph, _, _, y| {
        let square = graph.emit_pair("Mul", y, y)?;
        graph.emit_of("Neg", &square)
    },
};

pub(super) static NEG: Pointwise =
    Pointwise { value: |_| Ok(Box::new(|x| -x)), slope: |graph, _, _, _| graph.emit_number(-1.0) };

pub(super) static ABS: Pointwise =
    Pointwise { value: |_| Ok(Box::new(f64::abs)), slope: |graph, _, x, _| graph.emit_of("Sign", x) };

pub(super) static SIN: Pointwise =
    Pointwise { value: |_| Ok(Box::new(f64::sin)), slope: |graph, _, x, _| graph.emit_of("Cos", x) };

pub(super) static COS: Pointwise = Pointwise {
    value: |_| Ok(Box::new(f64::cos)),
    slope: |graph, _, x, _| {
        let sine = graph.emit_of("Sin", x)?;
        graph.emit_of("Neg", &sine)
    },
};

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function: 2/√π exp(−x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n + 1)!! (M. Abramowitz and I. Stegun, 7.1.6). All terms have one sign, so
/// nothing cancels; beyond 6 the function is 1 to the last bit.
fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let mut term = x;
    let mut sum = x;
    let mut n = 0.0;
    while term.abs() > f64::EPSILON * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
