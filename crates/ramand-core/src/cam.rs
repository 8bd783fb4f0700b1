//! 1D Grad-CAM and the difference map, on slices: what each point of the axis adds to the output.
//!
//! M\[i\] = Σ_k ∂y/∂A\[k,i\] · A\[k,i\], signed, neither averaged nor clamped, for the raw score or value y; D\[i\] = M\[i\] less its mean
//! over a reference population. Cells become points by sharing each cell's sum out, so that no sum changes. The bands'
//! contributions and shares, the off-band share and the linear share are this project's definitions; `docs/explanation.md`
//! says what they mean and what they do not claim.

use std::ops::{Add, Range};
use std::sync::Arc;

use crate::outcome::{Attribution, Band, BandContribution, Completeness, Explained};
use crate::spectrum::ShiftAxis;

/// Below this ratio of |Σ D| to Σ |D| the contributions cancel, and a share of their sum says nothing.
const SHARE_RATIO_MIN: f32 = 0.01;

/// How the sum of each cell is shared out among the points of the axis: linearly with the distance from the cell's centre
/// up to the neighbouring cell's, and all of it, at the ends of the axis too.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    cells: usize,
    /// Of each point, the cell at its left, and the weights of that one and of the next.
    between: Vec<(usize, [f32; 2])>,
    /// What a point receives from other cells than those two: cells beyond the ends of the axis. Point, cell, weight.
    beyond: Vec<(usize, usize, f32)>,
    /// Nothing to share out: a linear part sees every point by itself.
    cell_is_point: bool,
}

impl Spread {
    /// For `cells` whose centres lie at `first_cell` + i · `stride` on an axis of `points`, in points.
    pub fn new(points: usize, cells: usize, first_cell: f64, stride: f64) -> Self {
        let end = points.saturating_sub(1) as f64;
        let left = |point: usize| {
            let place = ((point as f64 - first_cell) / stride).floor().max(0.0) as usize;
            (place.min(cells.saturating_sub(2)), [0.0; 2])
        };
        let mut between: Vec<(usize, [f32; 2])> = (0..points).map(left).collect();
        let mut beyond = Vec::new();
        let mut give = |point: usize, cell: usize, weight: f32| {
            let (left, weights) = &mut between[point];
            match cell.checked_sub(*left) {
                Some(side @ 0..=1) if cells > 1 => weights[side] += weight,
                _ => beyond.push((point, cell, weight)),
            }
        };
        for cell in 0..cells {
            let centre = first_cell + cell as f64 * stride;
            let from = (centre - stride).max(0.0).min(end).floor() as usize;
            let to = (centre + stride).max(0.0).min(end).ceil() as usize;
            let near = |point: usize| (1.0 - (point as f64 - centre).abs() / stride).max(0.0);
            let total: f64 = (from..=to).map(near).sum();
            if total > 0.0 {
                let seen = (from..=to).filter(|&point| near(point) > 0.0);
                seen.for_each(|point| give(point, cell, (near(point) / total) as f32));
            } else {
                // Beyond the ends of the axis: the end itself.
                give(centre.clamp(0.0, end) as usize, cell, 1.0);
            }
        }
        Self { cells, between, beyond, cell_is_point: cells == points && first_cell == 0.0 && stride == 1.0 }
    }

    pub fn cells(&self) -> usize {
        self.cells
    }

    pub fn points(&self) -> usize {
        self.between.len()
    }

    /// Adds each cell's value to the points around its centre.
    ///
    /// # Panics
    /// When there are more or fewer cells or points than there should be.
    pub fn add(&self, cells: &[f32], points: &mut [f32]) {
        assert_eq!((cells.len(), points.len()), (self.cells(), self.points()));
        if self.cell_is_point {
            return self::add(points, cells);
        }
        if cells.len() > 1 {
            for (point, &(left, [first, second])) in points.iter_mut().zip(&self.between) {
                let pair = &cells[left..left + 2];
                *point += pair[0] * first + pair[1] * second;
            }
        }
        self.beyond.iter().for_each(|&(point, cell, weight)| points[point] += cells[cell] * weight);
    }
}

/// How an explained layer depends on the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Through a network.
    Network,
    /// As an affine function: a skip.
    Linear,
}

/// One explained layer, as far as it is known before a spectrum comes.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedLayer {
    spread: Spread,
    /// Mean map of the reference population on the axis, [outputs][points].
    reference: Vec<f32>,
    branch: Branch,
}

impl ExplainedLayer {
    /// `reference` is the population's mean map by cells, [outputs][cells].
    pub fn new(spread: Spread, reference: &[f32], branch: Branch) -> Self {
        let outputs = reference.len() / spread.cells().max(1);
        let mut points = vec![0.0; outputs * spread.points()];
        for (row, cells) in points.chunks_mut(spread.points()).zip(reference.chunks(spread.cells().max(1))) {
            spread.add(cells, row);
        }
        Self { spread, reference: points, branch }
    }
}

/// The values of one explained layer for one spectrum.
#[derive(Debug, Clone, Copy)]
pub struct LayerValues<'a> {
    /// A, [maps][cells].
    pub activation: &'a [f32],
    /// ∂y/∂A, [outputs][maps][cells].
    pub gradient: &'a [f32],
}

/// M of every output at once, \[outputs\]\[points\]: any contrast is the difference of two rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputMaps {
    /// All layers together.
    pub map: Vec<f32>,
    /// The linear parts alone; empty where there are none.
    pub linear: Vec<f32>,
}

/// What a model's explanations have in common.
#[derive(Debug, Clone)]
pub struct Explainer {
    axis: Arc<ShiftAxis>,
    bands: Vec<(Arc<Band>, Range<usize>)>,
    /// Where no band lies.
    unbanded: Vec<Range<usize>>,
    layers: Vec<ExplainedLayer>,
    /// Mean map of the reference population, all layers but the linear ones together: [outputs][points].
    reference: Vec<f32>,
    /// The same of the linear parts.
    linear_reference: Vec<f32>,
    offset: Vec<f32>,
    reference_output: Vec<f32>,
    receptive_field: f64,
    completeness: Completeness,
}

/// What an [`Explainer`] is made of.
#[derive(Debug, Clone)]
pub struct ExplainerSettings {
    /// The model's axis.
    pub axis: Arc<ShiftAxis>,
    /// Its named stretches.
    pub bands: Vec<Band>,
    /// What is explained, in the order of the network's outputs.
    pub layers: Vec<ExplainedLayer>,
    /// y where all layers are zero, one per output.
    pub offset: Vec<f32>,
    /// Mean y of the reference population, one per output.
    pub reference_output: Vec<f32>,
    /// How much of the axis one cell sees, cm⁻¹.
    pub receptive_field: f64,
    /// What may be expected of the maps' sum.
    pub completeness: Completeness,
}

impl Explainer {
    /// Ready for any spectrum.
    pub fn new(settings: ExplainerSettings) -> Self {
        let ExplainerSettings { axis, bands, layers, offset, reference_output, receptive_field, completeness } =
            settings;
        let bands: Vec<_> = bands.into_iter().map(|band| (axis.range(band.from, band.to), band)).collect();
        let mut banded = vec![false; axis.len()];
        bands.iter().for_each(|(range, _)| banded[range.clone()].fill(true));
        let mut start = 0;
        let runs = banded.chunk_by(|one, next| one == next).map(|run| {
            start += run.len();
            (run[0], start - run.len()..start)
        });
        let unbanded = runs.filter(|(banded, _)| !banded).map(|(_, range)| range).collect();
        let bands = bands.into_iter().map(|(range, band)| (Arc::new(band), range)).collect();
        let mean = |branch: Branch| {
            let mut sum = vec![0.0; offset.len() * axis.len()];
            layers.iter().filter(|layer| layer.branch == branch).for_each(|layer| add(&mut sum, &layer.reference));
            sum
        };
        let (reference, linear_reference) = (mean(Branch::Network), mean(Branch::Linear));
        Self {
            axis,
            bands,
            unbanded,
            layers,
            reference,
            linear_reference,
            offset,
            reference_output,
            receptive_field,
            completeness,
        }
    }

    /// M of every output for one spectrum.
    ///
    /// # Panics
    /// When a layer has not the shape it was made for.
    pub fn maps(&self, values: &[LayerValues<'_>]) -> OutputMaps {
        let (outputs, points) = (self.offset.len(), self.axis.len());
        let any_linear = self.layers.iter().any(|layer| layer.branch == Branch::Linear);
        let (mut map, mut linear) = (vec![0.0; outputs * points], vec![0.0; outputs * points]);
        for (layer, values) in self.layers.iter().zip(values) {
            let count = layer.spread.cells();
            let by_cell = maps_by_cell(values, count, outputs);
            let own = if layer.branch == Branch::Linear { &mut linear } else { &mut map };
            for (row, cells) in own.chunks_mut(points).zip(by_cell.chunks(count)) {
                layer.spread.add(cells, row);
            }
        }
        add(&mut map, &linear);
        OutputMaps { map, linear: if any_linear { linear } else { Vec::new() } }
    }

    /// The reference population's mean M of every output.
    pub fn reference_maps(&self) -> OutputMaps {
        let mut map = self.reference.clone();
        add(&mut map, &self.linear_reference);
        let any_linear = self.layers.iter().any(|layer| layer.branch == Branch::Linear);
        OutputMaps { map, linear: if any_linear { self.linear_reference.clone() } else { Vec::new() } }
    }

    /// How much of the axis one cell sees, cm⁻¹.
    pub fn receptive_field(&self) -> f64 {
        self.receptive_field
    }

    /// The maps of one spectrum: `outputs` is the network's y, `values` one for each layer, in order.
    ///
    /// # Panics
    /// When a layer has not the shape it was made for, or the explained class is not among the outputs.
    pub fn explain(&self, explained: Explained, outputs: &[f32], values: &[LayerValues<'_>]) -> Attribution {
        let points = self.axis.len();
        let output = explained.of(outputs);
        let (reference_output, offset) = (explained.of(&self.reference_output), explained.of(&self.offset));

        let (mut map, mut linear) = (vec![0.0; points], vec![0.0; points]);
        for (layer, values) in self.layers.iter().zip(values) {
            let own = if layer.branch == Branch::Linear { &mut linear } else { &mut map };
            layer.spread.add(&cells(explained, values, layer.spread.cells(), outputs.len()), own);
        }
        let mut difference = apart(&map, &self.reference, explained);
        let linear_difference = apart(&linear, &self.linear_reference, explained);
        let (gross_network, gross_linear) = (sums(&difference).gross, sums(&linear_difference).gross);
        add(&mut map, &linear);
        add(&mut difference, &linear_difference);

        let all = sums(&difference);
        let ratio = |part: f32, whole: f32| if whole > 0.0 { part / whole } else { 0.0 };
        let bands = self.bands.iter().map(|(band, range)| {
            let inside = sums(&difference[range.clone()]);
            BandContribution {
                band: band.clone(),
                contribution: inside.net,
                share: (all.net.abs() > SHARE_RATIO_MIN * all.gross).then(|| inside.net / all.net),
                gross_share: ratio(inside.gross, all.gross),
            }
        });
        let bands = bands.collect();
        let unbanded: f32 = self.unbanded.iter().map(|range| sums(&difference[range.clone()]).gross).sum();
        let total = sum_f64(&map);
        let expected = f64::from(output) - f64::from(offset);
        let any_linear = self.layers.iter().any(|layer| layer.branch == Branch::Linear);
        Attribution {
            explained,
            axis: self.axis.clone(),
            map,
            difference,
            output,
            reference_output,
            bands,
            off_band: ratio(unbanded, all.gross),
            completeness_error: ((total - expected).abs() / expected.abs().max(1.0)) as f32,
            completeness: self.completeness,
            linear_share: any_linear.then(|| ratio(gross_linear, gross_linear + gross_network)),
            receptive_field: self.receptive_field,
        }
    }
}

/// A map less its mean over the reference population, `reference` being [outputs][points].
fn apart(map: &[f32], reference: &[f32], explained: Explained) -> Vec<f32> {
    let means = explained.row_of(reference, map.len());
    map.iter().zip(means).map(|(value, mean)| value - mean).collect()
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// So many partial sums at a time keep the processor busy: one alone waits for every addition.
const PARTIAL: usize = 8;

/// Σ v and Σ |v|.
struct Sums {
    net: f32,
    gross: f32,
}

fn sums(values: &[f32]) -> Sums {
    let (mut net, mut gross) = ([0.0; PARTIAL], [0.0; PARTIAL]);
    let mut put = |values: &[f32]| {
        for ((net, gross), value) in net.iter_mut().zip(&mut gross).zip(values) {
            *net += value;
            *gross += value.abs();
        }
    };
    let (chunks, remainder) = values.as_chunks::<PARTIAL>();
    chunks.iter().for_each(|chunk| put(chunk));
    put(remainder);
    Sums { net: in_pairs(net), gross: in_pairs(gross) }
}

/// Σ v in f64.
fn sum_f64(values: &[f32]) -> f64 {
    let mut partial = [0.0; PARTIAL];
    let mut put = |values: &[f32]| partial.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
    let (chunks, remainder) = values.as_chunks::<PARTIAL>();
    chunks.iter().for_each(|chunk| put(chunk));
    put(remainder);
    in_pairs(partial)
}

fn in_pairs<S: Copy + Add<Output = S>>([a, b, c, d, e, f, g, h]: [S; PARTIAL]) -> S {
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// M by cells of every output, [outputs][cells]: what a reference population's mean is taken of.
///
/// # Panics
/// When the layer's gradient has not one row for each output.
pub fn maps_by_cell(layer: &LayerValues<'_>, cells: usize, outputs: usize) -> Vec<f32> {
    let size = layer.activation.len();
    let rows = (0..outputs).map(|output| &layer.gradient[output * size..][..size]);
    rows.flat_map(|gradient| self::cells(Explained::Value, &LayerValues { gradient, ..*layer }, cells, 1)).collect()
}

/// M by cells of the explained scalar: the sum over the maps of gradient · activation.
fn cells(explained: Explained, layer: &LayerValues<'_>, cells: usize, outputs: usize) -> Vec<f32> {
    let mut sums = vec![0.0; cells];
    let size = layer.activation.len();
    assert_eq!(layer.gradient.len(), outputs * size, "a gradient has one row for each output");
    // `Explained::row_of` would copy the gradient of every layer of every spectrum, only to be read once.
    let row = |output: usize| layer.gradient[output * size..][..size].chunks_exact(cells);
    let maps = layer.activation.chunks_exact(cells);
    match explained {
        Explained::Value => {
            for (values, weights) in maps.zip(row(0)) {
                for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                    *sum += value * weight;
                }
            }
        }
        Explained::Contrast { class, against } => {
            for ((values, class), against) in maps.zip(row(class)).zip(row(against)) {
                for (((sum, value), class), against) in sums.iter_mut().zip(values).zip(class).zip(against) {
                    *sum += value * (class - against);
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::RamanShift;

    /// Spreading only rounds: the sum over points is the sum over cells.
    const MASS_ERROR_MAX: f64 = 1e-6;

    fn spread(points: usize, cells: &[f32], first: f64, stride: f64) -> Vec<f32> {
        let mut spread_out = vec![0.0; points];
        Spread::new(points, cells.len(), first, stride).add(cells, &mut spread_out);
        spread_out
    }

    #[test]
    fn no_mass_is_lost_between_cells_and_points() {
        let geometries =
            [(274, 69, 0.0, 4.0), (274, 274, 0.0, 1.0), (251, 63, 0.0, 4.0), (100, 40, -3.5, 3.0), (9, 2, 30.0, 7.0)];
        for (points, count, first, stride) in geometries {
            let cells: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
            let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
            let gross: f64 = cells.iter().map(|value| f64::from(value.abs())).sum();
            let lost = (sum(&spread(points, &cells, first, stride)) - sum(&cells)).abs() / gross;
            assert!(lost <= MASS_ERROR_MAX, "{points} points, {count} cells: {lost:e}");
        }
    }

    #[test]
    fn a_cell_is_centred_where_its_receptive_field_is() {
        assert_eq!(spread(9, &[0.0, 4.0, 0.0], 0.0, 4.0), [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(spread(6, &[2.0, 0.0], 1.5, 2.0), [0.25, 0.75, 0.75, 0.25, 0.0, 0.0]);
        assert_eq!(spread(3, &[1.0, 2.0, 3.0], 0.0, 1.0), [1.0, 2.0, 3.0]);
        let cut_off = spread(9, &[1.0], 0.0, 4.0);
        assert!((cut_off.iter().sum::<f32>() - 1.0).abs() < 1e-6 && cut_off[0] == 0.4, "{cut_off:?}");
    }

    /// Two classes on four points: a network with one map and one cell per point, and a linear part.
    fn explainer() -> Explainer {
        let axis = ShiftAxis::even(RamanShift::from_per_cm(100.0), RamanShift::from_per_cm(400.0), 4);
        let band = |name: &str, from, to| Band {
            name: name.into(),
            from: RamanShift::from_per_cm(from),
            to: RamanShift::from_per_cm(to),
        };
        let identity = || Spread::new(4, 4, 0.0, 1.0);
        let network = ExplainedLayer::new(identity(), &[1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0], Branch::Network);
        let linear = ExplainedLayer::new(identity(), &[0.0; 8], Branch::Linear);
        let bands = [band("low", 50.0, 200.0), band("high", 400.0, 400.0), band("nowhere", 500.0, 600.0)];
        let axis = Arc::new(axis.expect("even"));
        Explainer::new(ExplainerSettings {
            axis,
            bands: bands.into(),
            layers: vec![network, linear],
            offset: vec![0.5, -0.5],
            reference_output: vec![1.5, 1.5],
            receptive_field: 30.0,
            completeness: Completeness::Exact,
        })
    }

    #[test]
    fn a_contrast_is_worked_by_hand() {
        let network =
            LayerValues { activation: &[1.0, 2.0, 3.0, 4.0], gradient: &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0] };
        let linear =
            LayerValues { activation: &[1.0, 0.0, 0.0, -1.0], gradient: &[2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0] };
        // y0 = 3 + 2 + 0.5, y1 = 7 - 1 - 0.5
        let explained = Explained::Contrast { class: 1, against: 0 };
        let found = explainer().explain(explained, &[5.5, 5.5], &[network, linear]);
        assert_eq!(found.map, [-3.0, -2.0, 3.0, 3.0]);
        // Less the reference's contrast [-1, 2, 0, 0].
        assert_eq!(found.difference, [-2.0, -4.0, 3.0, 3.0]);
        assert_eq!((found.output, found.reference_output), (0.0, 0.0));
        assert_eq!(found.completeness_error, 0.0, "sum 1 = 0 - (-1)");
        let contributions: Vec<f32> = found.bands.iter().map(|band| band.contribution).collect();
        assert_eq!(contributions, [-6.0, 3.0, 0.0]);
        assert_eq!(found.bands[0].gross_share, 0.5);
        assert_eq!(found.bands[0].share, None, "the sum is zero");
        assert_eq!(found.off_band, 0.25);
        // Linear: |-2| + |-1| of D; network: |0| + |-4| + |3| + |4|.
        assert_eq!(found.linear_share, Some(3.0 / 14.0));
        let mirrored =
            explainer().explain(Explained::Contrast { class: 0, against: 1 }, &[5.5, 5.5], &[network, linear]);
        let negated: Vec<f32> = found.map.iter().map(|value| -value).collect();
        assert_eq!(mirrored.map, negated, "a contrast is antisymmetric");
        let each = explainer().maps(&[network, linear]);
        assert_eq!(
            each.map,
            [3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 3.0],
            "two rows whose difference is the contrast's map"
        );
        assert_eq!(each.linear, [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]);
        assert_eq!(explainer().reference_maps().map, [1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn a_value_adds_up_to_the_output_and_a_wrong_one_is_noticed() {
        let network =
            LayerValues { activation: &[1.0, 2.0, 3.0, 4.0], gradient: &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0] };
        let linear =
            LayerValues { activation: &[1.0, 0.0, 0.0, -1.0], gradient: &[2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0] };
        let found = explainer().explain(Explained::Value, &[5.5, 5.5], &[network, linear]);
        assert_eq!(found.map.iter().sum::<f32>(), 5.0);
        assert_eq!(found.completeness_error, 0.0);
        assert_eq!(found.difference.iter().sum::<f32>(), found.output - found.reference_output);
        assert_eq!(found.bands[0].share, Some(1.0));
        let wrong = explainer().explain(Explained::Value, &[5.6, 5.5], &[network, linear]);
        assert!((wrong.completeness_error - 0.1 / 5.1).abs() < 1e-6);
    }
}
