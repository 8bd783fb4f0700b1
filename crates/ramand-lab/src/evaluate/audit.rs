//! The occlusion audit: the network's own answer to what goes when a band or a piece between bands goes.

use ramand_core::median::median;
use ramand_core::outcome::Explained;
use ramand_model::Model;

use super::EvaluateError;
use super::document::{Cell, Content, Section, Table};
use super::effect;
use super::observe::Observations;
use super::occlusion::{correlation, occluded, window};
use super::partition::ELSEWHERE;
use crate::train::Progress;

/// Outside the band the replacement fades out over this width, so that no step is cut into the spectrum that no sample has.
const TAPER_CM: f64 = 10.0;
/// More spectra would not change what is seen, and every probe of each is a run of the network.
const SPECTRA_MAX: usize = 400;
/// Below this correlation, or this share of spectra with the same loudest place, the map shown first is not right about the network. Maps
/// against the map of the mean spectrum reach 0.96 and 0.86, maps that are off by a constant stay below 0.7 and 0.62.
const CORRELATION_MIN: f64 = 0.85;
const LOUDEST_MIN: f64 = 0.7;
/// Pieces between the bands that are occluded one by one: the most reacted to.
pub(super) const PIECES_MAX: usize = 6;

/// What was taken away, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Occlusion {
    /// Everything that was taken away: its name, and its places.
    probes: Vec<(String, Vec<usize>)>,
    /// Of each spectrum looked at: its row, O_B and D_B of each probe.
    spectra: Vec<(usize, Vec<f64>, Vec<f64>)>,
    /// Of each probe and each of [`Observations::subjects`], E of O_B to E of y itself, the mean over the subject's questions.
    effects: Vec<Vec<Option<f64>>>,
    /// Whose spectrum stands in.
    reference: &'static str,
    /// The difference map as it is published against occlusion, spectrum by spectrum; `None` where the bundle compares with spectra it
    /// does not hold.
    published: Option<Agreement>,
}

/// How far the published difference map and occlusion agree within a spectrum, over the bands and what lies elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Agreement {
    /// Median over spectra of the correlation of D_B with O_B.
    correlation: Option<f64>,
    /// Share of spectra in which the loudest place is the same.
    loudest: f64,
    /// Median over spectra of Σ |D_B − O_B| / Σ |O_B|.
    error: f64,
}

/// How many spectra are looked at: the length of a progress bar.
pub(super) fn spectra(rows: usize) -> usize {
    rows.min(SPECTRA_MAX)
}

/// Which of so many rows: evenly from all.
pub(super) fn looked_at(rows: usize) -> impl Iterator<Item = usize> {
    (0..spectra(rows)).map(move |index| index * rows / spectra(rows))
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
        let one = |place: usize| (all[place].name.clone(), vec![place]);
        let mut probes: Vec<(String, Vec<usize>)> = (0..bands).map(one).collect();
        probes.push((ELSEWHERE.into(), (bands..all.len()).collect()));
        probes.extend(pieces.iter().map(|&piece| one(piece)));
        let axis = model.pipeline().axis();
        let windows = probes
            .iter()
            .map(|(_, members)| window(axis, |point| members.contains(&partition.owner()[point]), TAPER_CM));
        let windows: Vec<Vec<f32>> = windows.collect();
        let (reference, whose) = match model.gate() {
            Some(gate) => (gate.mean().to_vec(), "the mean of the training spectra, as the gate holds it"),
            None => (mean(&observations.preprocessed), "the mean of the given spectra, as the bundle holds none"),
        };
        let mut session = model.session()?;
        let points = axis.len();
        let (_, of_reference) = model.output_maps(&mut session, &reference)?;
        let published_reference = (model.gate().is_some() && model.manifest().reference.is_of_all())
            .then(|| model.explainer().reference_maps());
        let mut published: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        let (mut spectra, mut each) = (Vec::new(), Vec::new());
        for row in looked_at(observations.rows.len()) {
            progress.step()?;
            let observed = &observations.rows[row];
            let explained = observed.explained;
            let (_, own) = model.output_maps(&mut session, &observations.preprocessed[row])?;
            let map = explained.row_of(&own.map, points);
            let base = explained.row_of(&of_reference.map, points);
            let said = windows.iter().map(|window| weighed(&map, &base, window)).collect();
            // What occlusion takes away from every output: any contrast follows from it.
            let mut taken = Vec::new();
            for window in &windows {
                let scores =
                    model.scores(&mut session, &occluded(&observations.preprocessed[row], &reference, window))?;
                taken.push(
                    observed.scores.iter().zip(scores).map(|(y, score)| y - f64::from(score)).collect::<Vec<f64>>(),
                );
            }
            let effects: Vec<f64> = taken.iter().map(|taken| explained.of(taken)).collect();
            if let Some(reference) = &published_reference {
                let base = explained.row_of(&reference.map, points);
                let places = windows.iter().take(bands + 1);
                let said = places.map(|window| weighed(&map, &base, window)).collect();
                published.push((said, effects[..=bands].to_vec()));
            }
            spectra.push((row, effects, said));
            each.push(taken);
        }
        let subjects = observations.subjects();
        let of = |probe| {
            let share = |(_, questions): &(String, Vec<Explained>)| {
                effect_share(observations, &spectra, &each, questions, probe)
            };
            subjects.iter().map(share).collect()
        };
        let effects = (0..probes.len()).map(of).collect();
        let published = published_reference.and_then(|_| Agreement::of(&published));
        Ok(Self { probes, spectra, effects, reference: whose, published })
    }

    /// The correlation of O_B with D_B, and the mean |O_B| and |D_B|.
    fn agreement(&self, probe: usize) -> (Option<f64>, f64, f64) {
        let taken: Vec<f64> = self.spectra.iter().map(|(_, taken, _)| taken[probe]).collect();
        let said: Vec<f64> = self.spectra.iter().map(|(.., said)| said[probe]).collect();
        let magnitude = |values: &[f64]| values.iter().map(|value| value.abs()).sum::<f64>() / values.len() as f64;
        (correlation(&taken, &said), magnitude(&taken), magnitude(&said))
    }
}

impl Agreement {
    /// From D_B and O_B of each spectrum; `None` without spectra.
    fn of(spectra: &[(Vec<f64>, Vec<f64>)]) -> Option<Self> {
        let loudest = |values: &[f64]| (0..values.len()).max_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs()));
        let same = spectra.iter().filter(|(said, taken)| loudest(said) == loudest(taken)).count();
        let error = |(said, taken): &(Vec<f64>, Vec<f64>)| {
            let apart: f64 = said.iter().zip(taken).map(|(said, taken)| (said - taken).abs()).sum();
            apart / taken.iter().map(|taken| taken.abs()).sum::<f64>()
        };
        let mut errors: Vec<f64> = spectra.iter().map(error).filter(|error| error.is_finite()).collect();
        let mut correlations: Vec<f64> = spectra.iter().filter_map(|(said, taken)| correlation(taken, said)).collect();
        (!errors.is_empty()).then(|| Self {
            correlation: (!correlations.is_empty()).then(|| median(&mut correlations)),
            loudest: same as f64 / spectra.len() as f64,
            error: median(&mut errors),
        })
    }

    fn alarm(&self) -> Option<String> {
        let poor =
            self.correlation.is_some_and(|correlation| correlation < CORRELATION_MIN) || self.loudest < LOUDEST_MIN;
        poor.then(|| {
            format!(
                "ALARM: the difference map that is shown disagrees with occlusion within single spectra (correlation below \
                 {CORRELATION_MIN}, or another loudest place in more than {:.0} % of them). A constant of the reference may be \
                 added to every map: train the model anew, with the map of the mean spectrum.",
                100.0 * (1.0 - LOUDEST_MIN)
            )
        })
    }

    fn table(self) -> Table {
        let rows = [
            ("correlation of D_B and O_B within a spectrum, median", self.correlation),
            ("spectra with the same loudest place", Some(self.loudest)),
            ("sum |D_B - O_B| / sum |O_B|, median", Some(self.error)),
        ];
        let rows = rows.map(|(figure, value)| vec![Cell::from(figure), value.into()]);
        Table::new("published", &[("figure", "the map as it is shown"), ("value", "value")], rows.into())
    }
}

/// E of O_B to E of y, the mean over `questions`: how much of what tells truths apart goes with a probe.
fn effect_share(
    observations: &Observations,
    spectra: &[(usize, Vec<f64>, Vec<f64>)],
    taken: &[Vec<Vec<f64>>],
    questions: &[Explained],
    probe: usize,
) -> Option<f64> {
    let shares = questions.iter().filter_map(|&explained| {
        let of = |(row, taken): (usize, &Vec<Vec<f64>>)| {
            let truth = observations.truth.as_ref().ok()?.regressor(row, explained)?;
            let went = explained.of(&taken[probe]);
            Some((truth, vec![went, observations.rows[row].output(explained)]))
        };
        let samples: Vec<effect::EffectSample> =
            spectra.iter().zip(taken).filter_map(|((row, ..), taken)| of((*row, taken))).collect();
        let effects = effect::effects(&samples, &vec![1; samples.len()], explained)?;
        let share = effects[0] / effects[1];
        share.is_finite().then_some(share)
    });
    let shares: Vec<f64> = shares.collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
}

/// Σ w\[i\] (M\[i\](x) − M\[i\](reference)): what the map says of exactly what was replaced, tapered edges and all. The sum over the
/// band alone would leave out its flanks, which belong to stronger neighbours.
fn weighed(map: &[f32], base: &[f32], window: &[f32]) -> f64 {
    let each = map.iter().zip(base).zip(window);
    each.map(|((own, base), weight)| f64::from(*weight) * (f64::from(*own) - f64::from(*base))).sum()
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
        let rows = found.probes.iter().enumerate().map(|(index, (name, _))| {
            let (agreement, taken, said) = found.agreement(index);
            let known: Vec<f64> = found.effects[index].iter().copied().flatten().collect();
            let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
            let cells: [Cell; 5] = [name.as_str().into(), taken.into(), said.into(), agreement.into(), mean.into()];
            cells.to_vec()
        });
        let columns = [
            ("place", "place"),
            ("occlusion", "mean |O_B|"),
            ("difference", "mean |D_B|"),
            ("correlation", "correlation of O_B and D_B"),
            ("effect", "part of y's effect that goes"),
        ];
        let subjects = observations.subjects();
        let keys: Vec<String> = (0..subjects.len()).map(|subject| format!("subject_{subject}")).collect();
        let mut effect_columns = vec![("place", "effect that goes with")];
        effect_columns.extend(keys.iter().zip(&subjects).map(|(key, (name, _))| (key.as_str(), name.as_str())));
        let effect_rows = found.probes.iter().zip(&found.effects).map(|((name, _), effects)| {
            [Cell::from(name.as_str())].into_iter().chain(effects.iter().map(|&effect| effect.into())).collect()
        });
        let effects = Table::new("effects", &effect_columns, effect_rows.collect()).data_only();
        let mut notes = vec![format!(
            "The reference is {}. {} of {} spectra, evenly from the file.",
            found.reference,
            found.spectra.len(),
            observations.rows.len()
        )];
        match &found.published {
            Some(agreement) => notes.extend(agreement.alarm()),
            None => notes.push(
                "The bundle does not hold the mean spectrum of its reference population: its map is compared up to a constant only."
                    .into(),
            ),
        }
        let published = found.published.map(Agreement::table);
        notes.extend(super::contribution::NON_CLAIMS.map(String::from));
        Content {
            tables: [Table::new("occlusion", &columns, rows.collect())].into_iter().chain(published).chain([effects]).collect(),
            notes,
            ..Content::default()
        }
    });
    Section {
        key: "occlusion",
        title: "Occlusion audit (D9)",
        explains: format!(
            "O_B = y(x) - y(x with the band replaced by a reference spectrum), replaced in the preprocessed spectrum, fading out \
             over {TAPER_CM} cm-1 on either side. D_B here is compared with the same reference spectrum and weighed by the same \
             window. A map that is right about \
             the network has a correlation near 1. The map as it is shown is compared within each spectrum, constant and all. The last column is the part of the slope of y on the truth, or of the \
             distance between classes, that goes with the place (mean over pairs of classes)."
        ),
        content,
    }
}
