//! 1D Grad-CAM and the difference map, on slices: what each point of the axis adds to the output.
//!
//! M\[i\] = Σ_k ∂y/∂A\[k,i\] · A\[k,i\], signed, neither averaged nor clamped, for the raw score or value y; D\[i\] = M\[i\] less its mean
//! over a reference population. Cells become points by sharing each cell's sum out, so that no sum changes. The bands'
//! contributions and shares, the off-band share and the linear share are this project's definitions; `docs/explanation.md`
//! says what they mean and what they do not claim.

use std::ops::{AddAssign, Range};
use std::sync::Arc;

use crate::outcome::{Attribution, Band, BandContribution, Completeness, Explained};
use crate::spectrum::ShiftAxis;

/// Below this ratio of |Σ D| to Σ |D| the contributions cancel, and a share of their sum says nothing.
const SHARE_RATIO_MIN: f32 = 0.01;

/// How the sum of each cell is shared out among the points of the axis: linearly with the distance from the cell's centre
/// up to the neighbouring cell's, and all of it, at the ends of the axis too.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    points: usize,
    /// First point and number of weights of each cell.
    runs: Vec<(usize, usize)>,
    weights: Vec<f32>,
    /// Nothing to share out: a linear part sees every point by itself.
    cell_is_point: bool,
}

impl Spread {
    /// For `cells` whose centres lie at `first_cell` + i · `stride` on an axis of `points`, in points.
    pub fn new(points: usize, cells: usize, first_cell: f64, stride: f64) -> Self {
        let mut spread = Self {
            points,
            runs: Vec::new(),
            weights: Vec::new(),
            cell_is_point: cells == points && first_cell == 0.0 && stride == 1.0,
        };
        let end = points.saturating_sub(1) as f64;
        for cell in 0..cells {
            let centre = first_cell + cell as f64 * stride;
            let from = (centre - stride).max(0.0).min(end).floor() as usize;
            let to = (centre + stride).max(0.0).min(end).ceil() as usize;
            let near = |point: usize| (1.0 - (point as f64 - centre).abs() / stride).max(0.0);
            let seen: Vec<usize> = (from..=to).filter(|&point| near(point) > 0.0).collect();
            let total: f64 = seen.iter().map(|&point| near(point)).sum();
            match (seen.first(), seen.last()) {
                (Some(&first), Some(&last)) => {
                    spread.runs.push((first, last - first + 1));
                    spread.weights.extend((first..=last).map(|point| (near(point) / total) as f32));
                }
                // Beyond the ends of the axis: the end itself.
                _ => {
                    spread.runs.push((centre.clamp(0.0, end) as usize, 1));
                    spread.weights.push(1.0);
                }
            }
        }
        spread
    }

    /// How many cells.
    pub fn cells(&self) -> usize {
        self.runs.len()
    }

    /// Adds each cell's value to the points around its centre.
    pub fn add(&self, cells: &[f32], points: &mut [f32]) {
        debug_assert_eq!((cells.len(), points.len()), (self.cells(), self.points));
        if self.cell_is_point {
            return self::add(points, cells, 1.0);
        }
        let mut weights = self.weights.as_slice();
        for (&(first, count), cell) in self.runs.iter().zip(cells) {
            let (own, rest) = weights.split_at(count);
            weights = rest;
            for (point, weight) in points[first..first + count].iter_mut().zip(own) {
                *point += cell * weight;
            }
        }
    }
}

/// One target's part in the explanation, as far as it is known before a spectrum comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    spread: Spread,
    /// Mean map of the reference population on the axis, [outputs][points].
    reference: Vec<f32>,
    linear: bool,
}

impl Part {
    /// `reference` is the population's mean map by cells, [outputs][cells]; `linear` marks a skip that is an affine
    /// function of the input.
    pub fn new(spread: Spread, reference: &[f32], linear: bool) -> Self {
        let outputs = reference.len() / spread.cells().max(1);
        let mut points = vec![0.0; outputs * spread.points];
        for (row, cells) in points.chunks_mut(spread.points).zip(reference.chunks(spread.cells().max(1))) {
            spread.add(cells, row);
        }
        Self { spread, reference: points, linear }
    }
}

/// One target's values for one spectrum.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// A, [maps][cells].
    pub activation: &'a [f32],
    /// ∂y/∂A, [outputs][maps][cells].
    pub gradient: &'a [f32],
}

/// What a model's explanations have in common.
#[derive(Debug, Clone)]
pub struct Explainer {
    axis: Arc<ShiftAxis>,
    bands: Vec<(Arc<Band>, Range<usize>)>,
    /// Where no band lies.
    unbanded: Vec<Range<usize>>,
    parts: Vec<Part>,
    offset: Vec<f32>,
    reference_output: Vec<f32>,
    receptive_field: f64,
    completeness: Completeness,
}

impl Explainer {
    /// `offset` and `reference_output` have one value per output of the network; `receptive_field` is in cm⁻¹.
    pub fn new(
        axis: Arc<ShiftAxis>,
        bands: impl IntoIterator<Item = Band>,
        parts: Vec<Part>,
        offset: Vec<f32>,
        reference_output: Vec<f32>,
        receptive_field: f64,
        completeness: Completeness,
    ) -> Self {
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
        Self { axis, bands, unbanded, parts, offset, reference_output, receptive_field, completeness }
    }

    /// The maps of one spectrum: `outputs` is the network's y, `layers` one for each part, in order.
    ///
    /// # Panics
    /// When a layer has not the shape its part was made for, or the explained class is not among the outputs.
    pub fn explain(&self, explained: Explained, outputs: &[f32], layers: &[Layer<'_>]) -> Attribution {
        let points = self.axis.len();
        let pick = |values: &[f32]| match explained {
            Explained::Value => values[0],
            Explained::Contrast { class, against } => values[class] - values[against],
        };
        let (output, reference_output, offset) = (pick(outputs), pick(&self.reference_output), pick(&self.offset));

        let mut map = vec![0.0; points];
        let mut difference = vec![0.0; points];
        let (mut own, mut apart) = (vec![0.0; points], vec![0.0; points]);
        let (mut gross_linear, mut gross_network) = (0.0_f32, 0.0_f32);
        for (part, layer) in self.parts.iter().zip(layers) {
            own.fill(0.0);
            part.spread.add(&cells(explained, layer, part.spread.cells(), outputs.len()), &mut own);
            let row = |output: usize| &part.reference[output * points..][..points];
            apart.copy_from_slice(&own);
            match explained {
                Explained::Value => add(&mut apart, row(0), -1.0),
                Explained::Contrast { class, against } => {
                    add(&mut apart, row(class), -1.0);
                    add(&mut apart, row(against), 1.0);
                }
            }
            add(&mut map, &own, 1.0);
            add(&mut difference, &apart, 1.0);
            *(if part.linear { &mut gross_linear } else { &mut gross_network }) += sum(&apart, f32::abs);
        }

        let whole = sum(&difference, |value| value);
        let gross = sum(&difference, f32::abs);
        let ratio = |part: f32, whole: f32| if whole > 0.0 { part / whole } else { 0.0 };
        let bands = self.bands.iter().map(|(band, range)| {
            let inside = &difference[range.clone()];
            let contribution = sum(inside, |value| value);
            BandContribution {
                band: band.clone(),
                contribution,
                share: (whole.abs() > SHARE_RATIO_MIN * gross).then(|| contribution / whole),
                gross_share: ratio(sum(inside, f32::abs), gross),
            }
        });
        let bands = bands.collect();
        let off_band = ratio(self.unbanded.iter().map(|range| sum(&difference[range.clone()], f32::abs)).sum(), gross);
        let total = sum(&map, f64::from);
        let expected = f64::from(output) - f64::from(offset);
        let linear = self.parts.iter().any(|part| part.linear);
        Attribution {
            explained,
            axis: self.axis.clone(),
            map,
            difference,
            output,
            reference_output,
            bands,
            off_band,
            completeness_error: ((total - expected).abs() / expected.abs().max(1.0)) as f32,
            completeness: self.completeness,
            linear_share: linear.then(|| ratio(gross_linear, gross_linear + gross_network)),
            receptive_field: self.receptive_field,
        }
    }
}

/// Adds `factor` times the values.
fn add(sums: &mut [f32], values: &[f32], factor: f32) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// Σ `term`(value), in as many partial sums as keep the processor busy, and these in pairs: one sum alone waits for every addition.
fn sum<S: Copy + Default + AddAssign>(values: &[f32], term: impl Fn(f32) -> S) -> S {
    const PARTIAL: usize = 16;
    let mut sums = [S::default(); PARTIAL];
    let mut chunks = values.chunks_exact(PARTIAL);
    for chunk in &mut chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, &value)| *sum += term(value));
    }
    sums.iter_mut().zip(chunks.remainder()).for_each(|(sum, &value)| *sum += term(value));
    let mut width = PARTIAL;
    while width > 1 {
        width /= 2;
        let (low, high) = sums.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
    }
    sums[0]
}

/// M by cells of every output, [outputs][cells]: what a reference population's mean is taken of.
///
/// # Panics
/// When the layer's gradient has not one row for each output.
pub fn maps_by_cell(layer: &Layer<'_>, cells: usize, outputs: usize) -> Vec<f32> {
    let size = layer.activation.len();
    let rows = (0..outputs).map(|output| &layer.gradient[output * size..][..size]);
    rows.flat_map(|gradient| self::cells(Explained::Value, &Layer { gradient, ..*layer }, cells, 1)).collect()
}

/// M by cells of the explained scalar: the sum over the maps of gradient · activation.
fn cells(explained: Explained, layer: &Layer<'_>, cells: usize, outputs: usize) -> Vec<f32> {
    let mut sums = vec![0.0; cells];
    let size = layer.activation.len();
    assert_eq!(layer.gradient.len(), outputs * size, "a gradient has one row for each output");
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
        let network = Part::new(identity(), &[1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0], false);
        let linear = Part::new(identity(), &[0.0; 8], true);
        let bands = [band("low", 50.0, 200.0), band("high", 400.0, 400.0), band("nowhere", 500.0, 600.0)];
        let axis = Arc::new(axis.expect("even"));
        Explainer::new(axis, bands, vec![network, linear], vec![0.5, -0.5], vec![1.5, 1.5], 30.0, Completeness::Exact)
    }

    #[test]
    fn a_contrast_is_worked_by_hand() {
        let network = Layer { activation: &[1.0, 2.0, 3.0, 4.0], gradient: &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0] };
        let linear = Layer { activation: &[1.0, 0.0, 0.0, -1.0], gradient: &[2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0] };
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
    }

    #[test]
    fn a_value_adds_up_to_the_output_and_a_wrong_one_is_noticed() {
        let network = Layer { activation: &[1.0, 2.0, 3.0, 4.0], gradient: &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0] };
        let linear = Layer { activation: &[1.0, 0.0, 0.0, -1.0], gradient: &[2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0] };
        let found = explainer().explain(Explained::Value, &[5.5, 5.5], &[network, linear]);
        assert_eq!(found.map.iter().sum::<f32>(), 5.0);
        assert_eq!(found.completeness_error, 0.0);
        assert_eq!(found.difference.iter().sum::<f32>(), found.output - found.reference_output);
        assert_eq!(found.bands[0].share, Some(1.0));
        let wrong = explainer().explain(Explained::Value, &[5.6, 5.5], &[network, linear]);
        assert!((wrong.completeness_error - 0.1 / 5.1).abs() < 1e-6);
    }
}
