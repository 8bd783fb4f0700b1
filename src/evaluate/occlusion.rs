//! D9: each band replaced by a reference spectrum, as the arbiter of what the maps say.

use std::f64::consts::PI;

use super::EvaluateError;
use super::document::{Cell, Content, Section, Table};
use super::effect;
use super::observe::{Observations, Truth};
use crate::infer::Model;
use crate::outcome::Explained;
use crate::spectrum::ShiftAxis;
use crate::train::Progress;

/// Outside the band the replacement fades out over this width, so that no step is cut into the spectrum that no sample has.
const TAPER_CM: f64 = 10.0;
/// More spectra would not change what is seen, and every place of each is a run of the network.
pub(super) const SPECTRA_MAX: usize = 400;
/// Pieces between the bands that are occluded one by one: the most reacted to.
pub(super) const PIECES_MAX: usize = 3;

/// The weight of the reference at each point: 1 inside, ½ (1 + cos(π d / taper)) at a distance d < `taper_cm` from the nearest
/// point inside, 0 beyond.
pub fn window(axis: &ShiftAxis, inside: impl Fn(usize) -> bool, taper_cm: f64) -> Vec<f32> {
    let shifts = axis.per_cm();
    let mut distances = vec![f64::INFINITY; shifts.len()];
    let mut last: Option<f64> = None;
    for (point, &shift) in shifts.iter().enumerate() {
        last = if inside(point) { Some(shift) } else { last };
        distances[point] = last.map_or(f64::INFINITY, |last| shift - last);
    }
    let mut next: Option<f64> = None;
    for (point, &shift) in shifts.iter().enumerate().rev() {
        next = if inside(point) { Some(shift) } else { next };
        distances[point] = distances[point].min(next.map_or(f64::INFINITY, |next| next - shift));
    }
    let weight = |distance: &f64| match *distance {
        0.0 => 1.0,
        distance if distance < taper_cm => (0.5 * (1.0 + (PI * distance / taper_cm).cos())) as f32,
        _ => 0.0,
    };
    distances.iter().map(weight).collect()
}

/// x with the reference where the weights say, \[channels\]\[points\]: x + w (reference − x).
pub fn occluded(values: &[f32], reference: &[f32], weights: &[f32]) -> Vec<f32> {
    let rows = values.chunks(weights.len()).zip(reference.chunks(weights.len()));
    let replaced = rows.flat_map(|(values, reference)| {
        values.iter().zip(reference).zip(weights).map(|((value, reference), weight)| value + weight * (reference - value))
    });
    replaced.collect()
}

/// Pearson's correlation; `None` below two pairs or where either does not vary.
pub fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let count = one.len() as f64;
    let (mean_one, mean_other) = (one.iter().sum::<f64>() / count, other.iter().sum::<f64>() / count);
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        one.iter().zip(other).map(|(one, other)| of(one - mean_one, other - mean_other)).sum()
    };
    let scale = (sum(&|one, _| one * one) * sum(&|_, other| other * other)).sqrt();
    (one.len() > 1 && scale > 0.0).then(|| sum(&|one, other| one * other) / scale)
}

/// What was occluded, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Occlusion {
    /// The bands, all the rest, and the pieces between the bands most reacted to: name and indices of places.
    pub(super) places: Vec<(String, Vec<usize>)>,
    /// Of each spectrum looked at: its row, O_B and D_B of each place.
    pub(super) spectra: Vec<(usize, Vec<f64>, Vec<f64>)>,
    /// Of each place, E_B of the occlusion's O_B on the truth to E of y itself, the mean over questions.
    pub(super) effects: Vec<Option<f64>>,
    /// Whose spectrum stands in.
    pub(super) reference: &'static str,
}

/// How many spectra are looked at: the length of a progress bar.
pub(super) fn spectra(rows: usize) -> usize {
    rows.min(SPECTRA_MAX)
}

impl Occlusion {
    /// Occludes `pieces` beside the bands; one step of `progress` for each spectrum.
    pub(super) fn make(
        observations: &Observations,
        model: &Model,
        pieces: &[usize],
        progress: &Progress,
    ) -> Result<Self, EvaluateError> {
        let partition = &observations.partition;
        let bands = partition.bands();
        let all = partition.places();
        let mut places: Vec<(String, Vec<usize>)> = (0..bands).map(|band| (all[band].name.clone(), vec![band])).collect();
        places.push((super::partition::ELSEWHERE.into(), (bands..all.len()).collect()));
        places.extend(pieces.iter().map(|&piece| (all[piece].name.clone(), vec![piece])));
        let axis = model.pipeline().axis();
        let windows = places.iter().map(|(_, members)| {
            window(axis, |point| members.contains(&partition.owner()[point]), TAPER_CM)
        });
        let windows: Vec<Vec<f32>> = windows.collect();
        let (reference, whose) = match model.gate() {
            Some(gate) => (gate.mean().to_vec(), "the mean of the training spectra, as the gate holds it"),
            None => (mean(&observations.prepared), "the mean of the given spectra, as the bundle holds none"),
        };
        let mut session = model.session()?;
        let points = axis.len();
        let (_, maps) = model.output_maps(&mut session, &reference)?;
        let of_reference: Vec<f64> =
            maps.map.chunks(points).flat_map(|row| partition.sums(row.iter().copied())).collect();
        let count = observations.rows.len();
        let looked_at = (0..spectra(count)).map(|index| index * count / spectra(count));
        let (mut spectra, mut each) = (Vec::new(), Vec::new());
        for row in looked_at {
            progress.step()?;
            let observed = &observations.rows[row];
            let explained = observed.explained;
            let base = super::observe::pick(&of_reference, all.len(), explained);
            let apart = super::contribution::difference(&observed.contributions(explained), &base);
            let found = places.iter().map(|(_, members)| members.iter().map(|&place| apart[place]).sum()).collect();
            // What occlusion takes away from every output: any contrast follows from it.
            let mut taken = Vec::new();
            for window in &windows {
                let scores = model.scores(&mut session, &occluded(&observations.prepared[row], &reference, window))?;
                taken.push(observed.scores.iter().zip(scores).map(|(y, score)| y - f64::from(score)).collect::<Vec<f64>>());
            }
            let effects = taken.iter().map(|taken| super::observe::pick(taken, 1, explained)[0]).collect();
            spectra.push((row, effects, found));
            each.push(taken);
        }
        let effects = (0..places.len()).map(|place| effect_share(observations, &spectra, &each, place)).collect();
        Ok(Self { places, spectra, effects, reference: whose })
    }

    /// The correlation of O_B with D_B, and the mean |O_B| and |D_B|.
    pub(super) fn agreement(&self, place: usize) -> (Option<f64>, f64, f64) {
        let column = |of: &dyn Fn(&(usize, Vec<f64>, Vec<f64>)) -> f64| self.spectra.iter().map(of).collect::<Vec<f64>>();
        let (taken, said) = (column(&|(_, taken, _)| taken[place]), column(&|(.., said)| said[place]));
        let magnitude = |values: &[f64]| values.iter().map(|value| value.abs()).sum::<f64>() / values.len() as f64;
        (correlation(&taken, &said), magnitude(&taken), magnitude(&said))
    }
}

/// E of O_B to E of y, the mean over questions: how much of what tells truths apart goes when the place goes.
fn effect_share(
    observations: &Observations,
    spectra: &[(usize, Vec<f64>, Vec<f64>)],
    taken: &[Vec<Vec<f64>>],
    place: usize,
) -> Option<f64> {
    let shares = observations.questions().into_iter().filter_map(|explained| {
        let of = |(row, taken): (usize, &Vec<Vec<f64>>)| {
            let truth = match (&observations.truth, explained) {
                (Ok(Truth::Values(values)), Explained::Value) => values[row],
                (Ok(Truth::Classes(classes)), Explained::Contrast { class, against }) => match classes[row]? {
                    found if found == class => 1.0,
                    found if found == against => -1.0,
                    _ => return None,
                },
                _ => return None,
            };
            let went = super::observe::pick(&taken[place], 1, explained)[0];
            Some((truth, vec![went, observations.rows[row].output(explained)]))
        };
        let samples: Vec<effect::Sample> =
            spectra.iter().zip(taken).filter_map(|((row, ..), taken)| of((*row, taken))).collect();
        let effects = effect::effects(&samples, &vec![1; samples.len()], explained)?;
        let share = effects[0] / effects[1];
        share.is_finite().then_some(share)
    });
    let shares: Vec<f64> = shares.collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

fn mean(spectra: &[Vec<f32>]) -> Vec<f32> {
    let mut sums = vec![0.0_f64; spectra.first().map_or(0, Vec::len)];
    for spectrum in spectra {
        sums.iter_mut().zip(spectrum).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.iter().map(|sum| (sum / spectra.len() as f64) as f32).collect()
}

/// A row per place.
pub(super) fn section(observations: &Observations, found: &Result<Occlusion, String>) -> Section {
    let content = found.as_ref().map_err(Clone::clone).map(|found| {
        let rows = found.places.iter().enumerate().map(|(place, (name, _))| {
            let (agreement, taken, said) = found.agreement(place);
            let cells: [Cell; 5] =
                [name.as_str().into(), taken.into(), said.into(), agreement.into(), found.effects[place].into()];
            cells.to_vec()
        });
        let columns = [
            ("place", "place"),
            ("occlusion", "mean |O_B|"),
            ("difference", "mean |D_B|"),
            ("correlation", "correlation of O_B and D_B"),
            ("effect", "part of y's effect that goes"),
        ];
        let mut notes = vec![format!(
            "The reference is {}. {} of {} spectra, evenly from the file.",
            found.reference,
            found.spectra.len(),
            observations.rows.len()
        )];
        notes.extend(super::contribution::NON_CLAIMS.map(String::from));
        Content { tables: vec![Table::new("occlusion", &columns, rows.collect())], notes, ..Content::default() }
    });
    Section {
        key: "occlusion",
        title: "Occlusion audit (D9)",
        explains: format!(
            "O_B = y(x) - y(x with the band replaced by a reference spectrum), replaced in the prepared spectrum, fading out \
             over {TAPER_CM} cm-1 on either side; D_B here is compared with the same reference spectrum. A map that is right about \
             the network has a correlation near 1. The last column is the part of the slope of y on the truth, or of the \
             distance between classes, that goes with the place (mean over pairs of classes)."
        ),
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::RamanShift;

    #[test]
    fn a_window_fades_like_a_cosine() {
        let axis = ShiftAxis::even(RamanShift::from_per_cm(0.0), RamanShift::from_per_cm(45.0), 10).expect("even");
        let found = window(&axis, |point| point == 3 || point == 4, 10.0);
        let expected = [0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|(found, expected): (&f32, f32)| (found - expected).abs() < 1e-6), "{found:?}");
        assert_eq!(window(&axis, |_| false, 10.0), [0.0; 10]);
    }

    #[test]
    fn occlusion_mixes_every_channel() {
        let found = occluded(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], &[0.5, 1.0]);
        assert_eq!(found, [3.0, 6.0, 5.0, 8.0]);
    }

    #[test]
    fn correlation_by_hand() {
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), Some(1.0));
        assert_eq!(correlation(&[1.0, -1.0], &[-3.0, 3.0]), Some(-1.0));
        assert_eq!(correlation(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(correlation(&[], &[]), None);
    }
}
