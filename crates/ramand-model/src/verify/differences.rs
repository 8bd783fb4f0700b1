//! The gradient against central differences in f64.

use std::collections::HashMap;

use onnx_gradient::{GradientError, Graph, Tensor};

use super::subject::{Holds, VerifiedGraph, VerifiedLayer};

/// Step of the central difference in f64.
const STEP: f64 = 1e-5;
/// Elements of a layer that are moved one by one; more would only take longer.
const PROBED_MAX: usize = 400;
/// Where the slopes to both sides differ by this share of the largest gradient, the output has a kink there (a rectifier
/// at zero, a tie of a maximum): any value between them is a gradient, and none is a difference.
const KINK: f64 = 1e-3;

/// The central differences of y by some elements of a layer.
pub(super) struct Differences {
    /// What was given: the input, and every layer that is held fixed.
    pub(super) given: HashMap<String, Tensor>,
    /// How much each output counts in each row of the gradient.
    pub(super) rows: Vec<Vec<f64>>,
    /// Elements, counted in the layout of the gradient.
    pub(super) probed: Vec<usize>,
    /// Elements left out, as y has a kink there.
    pub(super) kinks: usize,
    /// ∂y_o/∂A of each probed element.
    slopes: Vec<Vec<f64>>,
    /// A of each probed element.
    values: Vec<f64>,
}

impl Differences {
    /// Of layer `cut` at a random spectrum, every other layer held fixed.
    pub(super) fn new(subject: &VerifiedGraph, cut: &VerifiedLayer) -> Result<Self, GradientError> {
        let mut given = subject.random(0)?;
        let tensors: Vec<&str> = subject.cuts.iter().map(|cut| cut.tensor.as_str()).collect();
        given.extend(subject.graph.evaluate(&given, &tensors)?);
        let rows = subject.rows(&given)?;
        let rest = subject.value(&given, &subject.output)?;
        let mut found = Self { rows, given, probed: Vec::new(), kinks: 0, slopes: Vec::new(), values: Vec::new() };
        let mut both = Vec::new();
        for place in probes(subject, cut)? {
            let moved = cut.places[place];
            let value = found.given.get(&cut.tensor).map_or(0.0, |tensor| tensor.data()[moved]);
            let mut y_at = |step: f64| {
                if let Some(tensor) = found.given.get_mut(&cut.tensor) {
                    tensor.data_mut()[moved] = value + step;
                }
                subject.value(&found.given, &subject.output)
            };
            let (above, below) = (y_at(STEP)?, y_at(-STEP)?);
            y_at(0.0)?;
            let slope = |one: &Tensor, other: &Tensor, width: f64| -> Vec<f64> {
                one.data().iter().zip(other.data()).map(|(one, other)| (one - other) / width).collect()
            };
            both.push((slope(&above, &rest, STEP), slope(&rest, &below, STEP)));
            found.slopes.push(slope(&above, &below, 2.0 * STEP));
            found.values.push(value);
            found.probed.push(place);
        }
        let largest = found.slopes.iter().flatten().fold(0.0_f64, |largest, slope| largest.max(slope.abs()));
        let smooth: Vec<bool> = both
            .iter()
            .map(|(up, down)| up.iter().zip(down).all(|(up, down)| (up - down).abs() <= KINK * largest))
            .collect();
        found.kinks = smooth.iter().filter(|smooth| !**smooth).count();
        // A map needs all the slopes of a cell.
        if matches!(cut.holds, Holds::Gradient(_)) {
            let mut kept = smooth.iter();
            found.probed.retain(|_| *kept.next().unwrap_or(&false));
            let mut kept = smooth.iter();
            found.slopes.retain(|_| *kept.next().unwrap_or(&false));
            let mut kept = smooth.iter();
            found.values.retain(|_| *kept.next().unwrap_or(&false));
        }
        Ok(found)
    }

    /// What the graph, or a mutated copy of it, says the gradient or the map is.
    pub(super) fn said_by(&self, graph: &Graph, cut: &VerifiedLayer) -> Result<Tensor, GradientError> {
        let name = cut.holds.name();
        let found = graph.evaluate(&self.given, &[name])?.remove(name);
        found.ok_or_else(|| GradientError::NoValue { name: name.to_owned() })
    }

    /// The largest difference of `said` from the differences, relative to the largest of them; with the outputs' order
    /// rotated by `rotated`.
    pub(super) fn error(&self, cut: &VerifiedLayer, shape: &[usize], said: &Tensor, rotated: usize) -> f64 {
        let (mut worst, mut largest) = (0.0_f64, f64::MIN_POSITIVE);
        let mut compare = |found: f64, expected: f64| {
            largest = largest.max(expected.abs());
            worst = if found.is_finite() { worst.max((found - expected).abs()) } else { f64::INFINITY };
        };
        let weighted = |row: usize, slopes: &[f64]| -> f64 {
            let mut weights = self.rows[row].clone();
            weights.rotate_right(rotated);
            slopes.iter().zip(&weights).map(|(slope, weight)| slope * weight).sum()
        };
        let size = cut.places.len();
        match cut.holds {
            Holds::Gradient(_) => {
                for (&place, slopes) in self.probed.iter().zip(&self.slopes) {
                    for row in 0..self.rows.len() {
                        compare(said.data()[row * size + place], weighted(row, slopes));
                    }
                }
            }
            Holds::Map(_) => {
                let cells = shape[cut.positions.cell_axis];
                let mut sums: HashMap<usize, Vec<f64>> = HashMap::new();
                for ((&place, slopes), value) in self.probed.iter().zip(&self.slopes).zip(&self.values) {
                    let of_cell = sums.entry(cell_of(cut, shape, place)).or_insert_with(|| vec![0.0; self.rows.len()]);
                    for (row, sum) in of_cell.iter_mut().enumerate() {
                        *sum += weighted(row, slopes) * value;
                    }
                }
                for (cell, of_cell) in sums {
                    for (row, sum) in of_cell.into_iter().enumerate() {
                        compare(said.data()[row * cells + cell], sum);
                    }
                }
            }
        }
        worst / largest
    }

    /// Whether two gradients differ at all where differences were taken.
    pub(super) fn tells_apart(&self, cut: &VerifiedLayer, shape: &[usize], one: &Tensor, other: &Tensor) -> bool {
        let size = cut.places.len();
        match cut.holds {
            Holds::Gradient(_) => self.probed.iter().any(|&place| {
                (0..self.rows.len()).any(|row| one.data()[row * size + place] != other.data()[row * size + place])
            }),
            Holds::Map(_) => {
                let cells = shape[cut.positions.cell_axis];
                self.probed.iter().any(|&place| {
                    let cell = cell_of(cut, shape, place);
                    (0..self.rows.len()).any(|row| one.data()[row * cells + cell] != other.data()[row * cells + cell])
                })
            }
        }
    }
}

/// The elements that are moved: all of a small layer. Of a large one every n-th, where n shares no factor with the number
/// of maps or cells, so that all of both are visited; for a map, all maps of some cells.
fn probes(subject: &VerifiedGraph, cut: &VerifiedLayer) -> Result<Vec<usize>, GradientError> {
    let size = cut.places.len();
    let shape = subject.graph.shape(&cut.activation)?;
    let every = |count: usize| (count / PROBED_MAX).max(1) | 1;
    Ok(match cut.holds {
        Holds::Gradient(_) => (0..size).step_by(every(size)).collect(),
        Holds::Map(_) => {
            let step = every(size);
            (0..size).filter(|&place| cell_of(cut, shape, place).is_multiple_of(step)).collect()
        }
    })
}

/// The cell an element of a layer belongs to.
pub(super) fn cell_of(cut: &VerifiedLayer, shape: &[usize], place: usize) -> usize {
    let axis = cut.positions.cell_axis;
    let inner: usize = shape[axis + 1..].iter().product();
    place / inner.max(1) % shape[axis]
}
