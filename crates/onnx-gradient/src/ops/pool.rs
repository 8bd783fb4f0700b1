//! Windows that keep the mean or the greatest of what they see.

use super::operator::{Operator, operand};
use super::phases;
use super::window::{self, Counted, SPATIAL, Slide, slides};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::proto;
use crate::reach::Reach;
use crate::tensor::{Tensor, elements};

pub(super) struct AveragePool;
pub(super) struct MaxPool;

/// Less than every value of a network, and still a number in f32.
const LOWEST: f64 = -3.0e38;
/// Taps of a kernel whose windows overlap: each is compared on its own.
const TAPS_COMPARED_MAX: usize = 256;

fn settings(graph: &Graph, node: &Node) -> Result<Vec<Slide>, GradientError> {
    let kernel = node.ints("kernel_shape")?.ok_or_else(|| node.fault("'kernel_shape' is missing"))?;
    let sizes: Vec<usize> = kernel.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    slides(graph, node, &sizes)
}

fn pooled_shape(graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
    let slides = settings(graph, node)?;
    let kept = graph.operand_shape(node, 0)?.iter().take(SPATIAL).copied();
    Ok(kept.chain(slides.iter().map(|slide| slide.cells)).collect())
}

/// Calls `see` with each cell of each line and every point under it.
fn visit(slides: &[Slide], input: &Tensor, result: &mut Tensor, see: impl Fn(&mut f64, f64)) {
    let points: usize = slides.iter().map(|slide| slide.length).product();
    let cells = window::cells(slides);
    for tap in 0..window::taps(slides) {
        let under: Vec<Option<usize>> = window::under(slides, tap).collect();
        for (cells_of, line) in result.data_mut().chunks_exact_mut(cells).zip(input.data().chunks_exact(points)) {
            for (cell, place) in cells_of.iter_mut().zip(&under) {
                if let Some(place) = *place {
                    see(cell, line[place]);
                }
            }
        }
    }
}

fn cost(graph: &Graph, node: &Node, output: &[usize]) -> u64 {
    let taps = settings(graph, node).map_or(1, |slides| window::taps(&slides));
    output.iter().fold(taps as u64, |product, &size| product.saturating_mul(size as u64))
}

/// [1, 1, cells...]: by what the sum of each window is divided.
fn counts(node: &Node, slides: &[Slide]) -> Result<Tensor, GradientError> {
    let counted = match node.int("count_include_pad", 0)? {
        0 => Counted::Points,
        _ => Counted::PointsAndPadding,
    };
    let shape: Vec<usize> = [1, 1].into_iter().chain(slides.iter().map(|slide| slide.cells)).collect();
    let mut counts = Tensor::new(shape, vec![1.0; window::cells(slides)]);
    for (place, count) in counts.data_mut().iter_mut().enumerate() {
        let mut cell = place;
        for slide in slides.iter().rev() {
            *count *= slide.seen(cell % slide.cells, counted).max(1) as f64;
            cell /= slide.cells;
        }
    }
    Ok(counts)
}

impl Operator for AveragePool {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        pooled_shape(graph, node)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let slides = settings(graph, node)?;
        let mut result = Tensor::zeros(self.shape(graph, node)?);
        visit(&slides, operand(node, operands, 0)?, &mut result, |cell, point| *cell += point);
        let counts = counts(node, &slides)?;
        for cells_of in result.data_mut().chunks_exact_mut(counts.data().len()) {
            cells_of.iter_mut().zip(counts.data()).for_each(|(cell, count)| *cell /= count);
        }
        Ok(result)
    }

    /// Each cell's share goes to every point of its window.
    fn backward(
        &self,
        graph: &mut Graph,
        node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        let slides = settings(graph, node)?;
        let counts = counts(node, &slides)?;
        let channels = graph.shape(cotangent)?[1];
        let filled = |shape: Vec<usize>, value: f64| {
            let count = elements(&shape)?;
            Ok::<_, GradientError>(Tensor::new(shape, vec![value; count]))
        };
        let first = counts.data()[0];
        let even = counts.data().iter().all(|&count| count == first);
        if even && slides.iter().all(|slide| slide.tiles()) {
            let shared = graph.emit_scaled(cotangent, 1.0 / first)?;
            let columns = side_by_side(graph, &shared, &slides, |_| 1)?;
            let mut spread = graph.shape(&columns)?.to_vec();
            let places = spread.iter_mut().skip(SPATIAL + 1).step_by(2);
            places.zip(&slides).for_each(|(places, slide)| *places = slide.kernel);
            let tiles = graph.emit_expanded(&columns, &spread)?;
            return untiled(graph, &tiles, &slides);
        }
        let kernel = [channels, 1].into_iter().chain(slides.iter().map(|slide| slide.kernel)).collect();
        if even {
            return phases::transposed(graph, cotangent, &slides, &filled(kernel, 1.0 / first)?, channels);
        }
        let shares = counts.data().iter().map(|count| 1.0 / count).collect();
        let shares = graph.emit_constant(Tensor::new(counts.shape().to_vec(), shares))?;
        let shared = graph.emit_pair("Mul", cotangent, &shares)?;
        phases::transposed(graph, &shared, &slides, &filled(kernel, 1.0)?, channels)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        window::reach(&settings(graph, node).ok()?, operands.first().copied().flatten())
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        cost(graph, node, output)
    }
}

/// [batch, channels, cells...] as [batch, channels, cells, size, cells, size...], where `size` gives the places of a cell.
fn side_by_side(
    graph: &mut Graph,
    value: &str,
    slides: &[Slide],
    size: fn(&Slide) -> usize,
) -> Result<String, GradientError> {
    let shape = graph.shape(value)?;
    let axes = slides.iter().flat_map(|slide| [slide.cells, size(slide)]);
    let shape: Vec<usize> = shape.iter().take(SPATIAL).copied().chain(axes).collect();
    graph.emit_reshape(value, &shape)
}

/// The inverse for whole tiles: points behind the last tile receive nothing, and what lies beyond the last point is cut.
fn untiled(graph: &mut Graph, tiles: &str, slides: &[Slide]) -> Result<String, GradientError> {
    let shape = graph.shape(tiles)?.to_vec();
    let covered = slides.iter().map(|slide| slide.cells * slide.kernel);
    let shape: Vec<usize> = shape.iter().take(SPATIAL).copied().chain(covered).collect();
    let mut value = graph.emit_reshape(tiles, &shape)?;
    for (axis, slide) in slides.iter().enumerate() {
        let covered = slide.cells * slide.kernel;
        value = graph.emit_slice(&value, SPATIAL + axis, 0, slide.length.min(covered))?;
        value = graph.emit_padded(&value, SPATIAL + axis, 0, slide.length.saturating_sub(covered))?;
    }
    Ok(value)
}

impl Operator for MaxPool {
    fn shape(&self, graph: &Graph, node: &Node) -> Result<Vec<usize>, GradientError> {
        pooled_shape(graph, node)
    }

    fn evaluate(&self, graph: &Graph, node: &Node, operands: &[Option<&Tensor>]) -> Result<Tensor, GradientError> {
        let slides = settings(graph, node)?;
        let shape = self.shape(graph, node)?;
        let count = elements(&shape)?;
        let mut result = Tensor::new(shape, vec![f64::NEG_INFINITY; count]);
        visit(&slides, operand(node, operands, 0)?, &mut result, |cell, point| *cell = cell.max(point));
        Ok(result)
    }

    /// A cell's cotangent goes to the first point of its window that holds the maximum.
    fn backward(
        &self,
        graph: &mut Graph,
        node: &Node,
        _index: usize,
        cotangent: &str,
    ) -> Result<String, GradientError> {
        let slides = settings(graph, node)?;
        let operand = node.input(0).ok_or_else(|| node.fault("the operand is missing"))?;
        let wide = slides.iter().filter(|slide| slide.kernel > 1).count();
        let whole = |slide: &Slide| slide.cells * slide.kernel <= slide.length;
        if wide <= 1 && slides.iter().all(|slide| slide.tiles() && whole(slide)) {
            return tiled_maximum(graph, operand, &slides, cotangent);
        }
        overlapping_maximum(graph, node, operand, &slides, cotangent)
    }

    fn reach(&self, graph: &Graph, node: &Node, operands: &[Option<Reach>]) -> Option<Reach> {
        window::reach(&settings(graph, node).ok()?, operands.first().copied().flatten())
    }

    fn cost(&self, graph: &Graph, node: &Node, output: &[usize]) -> u64 {
        cost(graph, node, output)
    }
}

/// Windows side by side, wider than one point along one axis at most: the place of the maximum within each, compared with
/// the places there are.
fn tiled_maximum(graph: &mut Graph, operand: &str, slides: &[Slide], cotangent: &str) -> Result<String, GradientError> {
    let mut tiles = operand.to_owned();
    for (axis, slide) in slides.iter().enumerate() {
        tiles = graph.emit_slice(&tiles, SPATIAL + axis, 0, slide.cells * slide.kernel)?;
    }
    let tiles = side_by_side(graph, &tiles, slides, |slide| slide.kernel)?;
    let along = slides.iter().position(|slide| slide.kernel > 1).unwrap_or(0);
    let chosen = graph.emit_first_greatest(&tiles, SPATIAL + 2 * along + 1)?;
    let columns = side_by_side(graph, cotangent, slides, |_| 1)?;
    let passed = graph.emit_pair("Mul", &columns, &chosen)?;
    untiled(graph, &passed, slides)
}

/// Windows of any kind: each tap is compared with the maximum in turn, and what it receives goes back as a convolution's
/// cotangent does, through kernels of a single one.
fn overlapping_maximum(
    graph: &mut Graph,
    node: &Node,
    operand: &str,
    slides: &[Slide],
    cotangent: &str,
) -> Result<String, GradientError> {
    let taps = window::taps(slides);
    if taps > TAPS_COMPARED_MAX {
        return Err(
            node.fault(format!("a kernel of {taps} overlapping taps, at most {TAPS_COMPARED_MAX} are compared"))
        );
    }
    // Tap t stands on the points d t, d t + s, ... of the padded operand: cut into stretches of s points, on one point of
    // each. tract 0.23.9 fails on a Slice in steps that follows a Reshape, so the cuts are made here.
    let mut stretches = operand.to_owned();
    let mut cut = graph.shape(operand)?[..SPATIAL].to_vec();
    for (axis, slide) in slides.iter().enumerate() {
        let count = slide.cells + slide.dilation * (slide.kernel - 1) / slide.stride;
        let (given, wanted) = (slide.before + slide.length, count * slide.stride);
        let after = wanted.saturating_sub(given);
        stretches = graph.emit_filled(&stretches, SPATIAL + axis, slide.before, after, LOWEST)?;
        stretches = graph.emit_slice(&stretches, SPATIAL + axis, 0, wanted)?;
        cut.extend([count, slide.stride]);
    }
    let stretches = graph.emit_reshape(&stretches, &cut)?;
    let own = graph.shape(cotangent)?.to_vec();
    let pooled = graph.shape(node.output())?.to_vec();
    let zero = graph.emit_number(0.0)?;
    let mut rest = cotangent.to_owned();
    let mut parts = Vec::new();
    for tap in 0..taps {
        let (mut seen, mut place) = (stretches.clone(), tap);
        for (axis, slide) in slides.iter().enumerate().rev() {
            let point = place % slide.kernel * slide.dilation;
            let (first, phase) = (point / slide.stride, point % slide.stride);
            seen = graph.emit_slice(&seen, SPATIAL + 2 * axis + 1, phase, phase + 1)?;
            seen = graph.emit_slice(&seen, SPATIAL + 2 * axis, first, first + slide.cells)?;
            place /= slide.kernel;
        }
        let seen = graph.emit_reshape(&seen, &pooled)?;
        let chosen = graph.emit_pair("Equal", &seen, node.output())?;
        let received = graph.emit("Where", &[&chosen, &rest, &zero], Vec::new())?;
        if tap + 1 < taps {
            rest = graph.emit("Where", &[&chosen, &zero, &rest], Vec::new())?;
        }
        let column: Vec<usize> =
            own[..SPATIAL].iter().copied().chain([1]).chain(own[SPATIAL..].iter().copied()).collect();
        parts.push(graph.emit_reshape(&received, &column)?);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let stacked = graph.emit("Concat", &parts, vec![proto::int("axis", 2)])?;
    let channels = own[1];
    let lines: Vec<usize> = [own[0], channels * taps].into_iter().chain(own[SPATIAL..].iter().copied()).collect();
    let stacked = graph.emit_reshape(&stacked, &lines)?;
    let kernel: Vec<usize> = [channels * taps, 1].into_iter().chain(slides.iter().map(|slide| slide.kernel)).collect();
    elements(&kernel)?;
    let mut ones = Tensor::zeros(kernel);
    ones.data_mut().chunks_exact_mut(taps).enumerate().for_each(|(row, line)| line[row % taps] = 1.0);
    phases::transposed(graph, &stacked, slides, &ones, channels)
}
