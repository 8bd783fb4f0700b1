//! The question behind the alarm: how much of what tells truths apart goes with light that no band has, and how much would by chance.

use std::collections::BTreeMap;

use ramand_core::outcome::{Band, Explained};
use ramand_core::preprocess::Workspace;
use ramand_core::spectrum::RawSpectrum;
use ramand_model::Model;
use ramand_recording::Recording;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::EvaluateError;
use super::effect;
use super::light::RecordedLight;
use super::observe::Observations;
use crate::train::Progress;

/// From this part of what tells truths apart on, a place is material: a choice, named in every report.
pub(super) const MATERIAL: f64 = 0.1;
/// How often what went is permuted among the samples.
const PERMUTATIONS: usize = 99;
/// Of the largest shares of those, the one that 5 in 100 reach: a false alarm of the whole report is at most that frequent.
const CHANCE_RANK: usize = 95;
/// Of the permutations.
const SEED: u64 = 1;
/// The slow part is called.
pub(super) const BACKGROUND: &str = "background";

/// What goes of what tells truths apart, by place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shortcuts {
    /// The pieces looked at, and the background.
    pub(super) places: Vec<String>,
    /// What the report speaks of one by one: the value, or each class.
    pub(super) subjects: Vec<String>,
    /// E of what goes to E of y, \[places\]\[subjects\]; `None` where there is nothing to tell apart.
    pub(super) shares: Vec<Vec<Option<f64>>>,
    /// The largest share of any place and subject that chance reaches in 5 reports of 100.
    pub(super) chance: f64,
}

/// Means over one sample's spectra.
struct TakenAway {
    /// One of its rows.
    row: usize,
    spectra: f64,
    /// y − y without the place, \[places\]\[outputs\], then y itself.
    taken: Vec<Vec<f64>>,
}

/// Whether a share raises the alarm.
pub(super) fn is_alarming(share: f64, chance: f64) -> bool {
    share >= MATERIAL && share > chance
}

impl Shortcuts {
    /// Takes each of `pieces` and the background away from the light; one step of `progress` for each spectrum. The inner error says why
    /// nothing can be said.
    pub(super) fn make(
        observations: &Observations,
        recording: &Recording,
        model: &Model,
        pieces: &[usize],
        progress: &Progress,
    ) -> Result<Result<Self, String>, EvaluateError> {
        if let Err(because) = &observations.truth {
            return Ok(Err(because.clone()));
        }
        let axis = model.pipeline().axis();
        let recorded: Vec<RawSpectrum> = recording.raw_spectra().collect();
        let raw: Vec<RawSpectrum> = observations.recorded.iter().map(|&index| recorded[index].clone()).collect();
        let bands: Vec<Band> = model.manifest().bands().collect();
        let all = observations.partition.places();
        let half_step = 0.5 * axis.mean_step();
        let stretches = pieces.iter().map(|&piece| all[piece].from_cm - half_step..=all[piece].to_cm + half_step);
        let light = match RecordedLight::new(&raw, axis, &bands, &stretches.collect::<Vec<_>>()) {
            Ok(light) => light,
            Err(because) => return Ok(Err(because)),
        };
        let (mut session, mut workspace) = (model.session()?, Workspace::default());
        let mut samples: BTreeMap<usize, TakenAway> = BTreeMap::new();
        for row in super::audit::looked_at(raw.len()) {
            progress.step()?;
            let observed = &observations.rows[row];
            let without = light.without_stretches(&raw[row]).chain([light.without_background(&raw[row])]);
            let mut taken = Vec::new();
            for changed in without {
                // What can no longer be preprocessed says nothing.
                let Ok(preprocessed) = model.pipeline().preprocess(&changed, &mut workspace) else {
                    taken.push(vec![0.0; observed.scores.len()]);
                    continue;
                };
                let scores = model.scores(&mut session, preprocessed.values())?;
                taken.push(observed.scores.iter().zip(scores).map(|(y, score)| y - f64::from(score)).collect());
            }
            taken.push(observed.scores.clone());
            match samples.get_mut(&observed.sample) {
                Some(sample) => sample.add(&taken),
                None => drop(samples.insert(observed.sample, TakenAway { row, spectra: 1.0, taken })),
            }
        }
        let samples: Vec<TakenAway> = samples.into_values().map(TakenAway::mean).collect();
        let subjects = observations.subjects();
        let mut permuted: Vec<usize> = (0..samples.len()).collect();
        let shares = shares(observations, &subjects, &samples, &permuted);
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut by_chance: Vec<f64> = Vec::new();
        for _ in 0..PERMUTATIONS {
            permuted.shuffle(&mut random);
            let of_all = self::shares(observations, &subjects, &samples, &permuted);
            by_chance.push(of_all.into_iter().flatten().flatten().fold(f64::NEG_INFINITY, f64::max));
        }
        by_chance.sort_by(f64::total_cmp);
        let places = pieces.iter().map(|&piece| all[piece].name.clone()).chain([BACKGROUND.to_owned()]);
        Ok(Ok(Self {
            places: places.collect(),
            subjects: subjects.into_iter().map(|(name, _)| name).collect(),
            shares,
            chance: by_chance[CHANCE_RANK - 1],
        }))
    }

    /// The largest share of a place, with its subject.
    pub(super) fn largest(&self, place: usize) -> Option<(&str, f64)> {
        let of = self.subjects.iter().zip(&self.shares[place]);
        of.filter_map(|(subject, share)| Some((subject.as_str(), (*share)?)))
            .max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

impl TakenAway {
    fn add(&mut self, taken: &[Vec<f64>]) {
        self.spectra += 1.0;
        for (sums, values) in self.taken.iter_mut().zip(taken) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }

    fn mean(mut self) -> Self {
        self.taken.iter_mut().flatten().for_each(|sum| *sum /= self.spectra);
        self.spectra = 1.0;
        self
    }
}

/// E of what went to E of y, the mean over each subject's questions: what went from sample `permuted[i]` is held against the truth of sample i.
fn shares(
    observations: &Observations,
    subjects: &[(String, Vec<Explained>)],
    samples: &[TakenAway],
    permuted: &[usize],
) -> Vec<Vec<Option<f64>>> {
    let places = samples.first().map_or(0, |sample| sample.taken.len() - 1);
    let of = |explained: Explained| -> Option<Vec<f64>> {
        let one = |(own, &other): (&TakenAway, &usize)| {
            let truth = observations.truth.as_ref().ok()?.regressor(own.row, explained)?;
            let went = samples[other].taken[..places].iter().chain(own.taken.last());
            Some((truth, went.map(|outputs| explained.of(outputs)).collect::<Vec<f64>>()))
        };
        let known: Vec<effect::EffectSample> = samples.iter().zip(permuted).filter_map(one).collect();
        let effects = effect::effects(&known, &vec![1; known.len()], explained)?;
        let (whole, parts) = effects.split_last()?;
        let shares: Vec<f64> = parts.iter().map(|part| part / whole).collect();
        shares.iter().all(|share| share.is_finite()).then_some(shares)
    };
    let by_subject: Vec<Vec<Vec<f64>>> = subjects
        .iter()
        .map(|(_, questions)| questions.iter().filter_map(|&explained| of(explained)).collect())
        .collect();
    let mean = |place: usize, found: &Vec<Vec<f64>>| {
        let sum: f64 = found.iter().map(|shares| shares[place]).sum();
        (!found.is_empty()).then(|| sum / found.len() as f64)
    };
    (0..places).map(|place| by_subject.iter().map(|found| mean(place, found)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_needs_a_share_that_is_material_and_no_chance() {
        let cases =
            [(0.4, 0.05, true), (0.1, 0.05, true), (0.09, 0.05, false), (0.4, 0.4, false), (f64::NAN, 0.05, false)];
        for (share, chance, expected) in cases {
            assert_eq!(is_alarming(share, chance), expected, "{share} against {chance}");
        }
    }
}
