//! One network, trained from one seed, and everything that is measured on its explanations.

use std::time::Instant;

use ramand_core::median::upper_median;
use ramand_core::outcome::Explained;
use ramand_model::manifest::Task;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::error::MethodsError;
use super::material::{Material, Preprocessed};
use super::measures::{area, completeness_error, mean, order, rank_correlation, relevance_mass, sensitivity};
use super::method::Method;
use super::segments::Segments;
use super::subject::{Asking, Explanation, Subject};
use crate::train::{Family, Head, Progress, TrainingRequest, fit};

/// Sizes of the sets of sensitivity-n, evenly between one band and [`SET_MAX`] of all.
const SET_SIZES: usize = 5;
/// The largest set, as in the paper.
const SET_MAX: f64 = 0.8;

/// What kind of network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkKind {
    /// Name of its table.
    pub key: &'static str,
    /// In words.
    pub name: &'static str,
    /// Whether the head sees every cell by itself.
    pub(crate) head: Head,
    /// Whether PLS is part of the model.
    pub family: Family,
}

impl NetworkKind {
    /// In the order of the tables.
    pub const ALL: [Self; 3] = [
        Self { key: "alone", name: "network alone", head: Head::Flat, family: Family::Network },
        Self { key: "beside_pls", name: "network beside PLS", head: Head::Flat, family: Family::PlsAndNetwork },
        Self { key: "pooled", name: "network with a head over means", head: Head::Pooled, family: Family::Network },
    ];
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Random sets of bands of each size, for sensitivity-n.
    pub subsets: usize,
}

/// What was measured of one method on one network; means over the explained samples, `None` where undefined.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// See [`completeness_error`].
    pub(super) completeness: Option<f64>,
    /// See [`sensitivity`].
    pub(super) sensitivity: Option<f64>,
    /// See [`area`].
    pub(super) deletion: Option<f64>,
    /// See [`area`].
    pub(super) insertion: Option<f64>,
    /// See [`relevance_mass`].
    pub(super) relevance_mass: Option<f64>,
    /// Rank correlation with the same map once the head's weights were permuted.
    pub(super) randomised: Option<f64>,
    /// Rank correlation between replicates of one sample.
    pub(super) replicates: Option<f64>,
    /// Median, for one explanation.
    pub(super) milliseconds: f64,
}

/// Everything about one network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    /// In the order of [`Method::ALL`].
    pub(super) figures: Vec<Figures>,
    /// Contributions by band, [method][sample], of each sample's first spectrum.
    pub(super) maps: Vec<Vec<Vec<f64>>>,
    /// On the explained spectra: root mean square error, or accuracy.
    pub(super) quality: f64,
    /// Bands the axis was divided into.
    pub(super) segments: usize,
    /// Width of the receptive field, points.
    pub(super) receptive_field: usize,
    /// Mean share of the axis that truly differs.
    pub(super) truth_share: Option<f64>,
}

/// Steps that [`trial`] reports to its progress, for this many explained samples.
pub(super) fn steps(request: &TrainingRequest, samples: usize) -> usize {
    request.steps + samples * (Method::ALL.len() + 1)
}

/// Trains and measures.
///
/// # Errors
/// When the network cannot be trained or run, or `progress` was told to stop.
pub(super) fn trial(
    material: &Material,
    kind: NetworkKind,
    seed: u64,
    effort: Effort,
    progress: &Progress,
) -> Result<Trial, MethodsError> {
    let request = TrainingRequest { seed, families: vec![kind.family], ..material.request.clone() };
    let fitted = fit(&material.training, &request, kind.head, progress)?;
    let pipeline = &request.preprocessings[0].pipeline;
    let shape = (pipeline.channels(), pipeline.axis().len());
    let preprocessed = material.preprocess(&fitted.labels, &fitted.reference_rows)?;
    let population: Vec<&[f32]> = preprocessed.population.iter().map(Vec::as_slice).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let subject = Subject::new(&fitted, shape, &population)?;
    let other = Subject::with_shuffled_head(&fitted, shape, &population, &mut random)?;
    let segments = Segments::new(shape.1, subject.receptive_field());
    let (mut asking, mut other) = (subject.ask()?, other.ask()?);

    let quality = quality(&mut asking, &preprocessed, request.task)?;
    let mut collected: Vec<Collected> = vec![Collected::default(); Method::ALL.len()];
    let mut sample_before = None;
    for (index, &sample) in preprocessed.samples.iter().enumerate() {
        let (spectrum, explained) = (&preprocessed.spectra[index][..], preprocessed.explained[index]);
        let is_replicate = sample_before == Some(sample);
        if is_replicate {
            for (method, collected) in Method::ALL.into_iter().zip(&mut collected) {
                let found = asking.explain(method, explained, spectrum, &segments, &mut random)?;
                collected.replicate(sample, found.segments);
            }
            continue;
        }
        sample_before = Some(sample);
        let mut view = ExplainedSpectrum { spectrum, explained, segments: &segments, subject: &subject };
        let sets = Sets::draw(segments.len(), effort, &mut random);
        let changes = view.changes(&mut asking, &sets)?;
        let mut shuffled: Vec<usize> = (0..segments.len()).collect();
        shuffled.shuffle(&mut random);
        progress.step()?;
        for (method, collected) in Method::ALL.into_iter().zip(&mut collected) {
            let start = Instant::now();
            let found = asking.explain(method, explained, spectrum, &segments, &mut random)?;
            collected.milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
            let randomised = other.explain(method, explained, spectrum, &segments, &mut random)?;
            collected.randomised.push(rank_correlation(&found.segments, &randomised.segments));
            if let Some(claimed) = asking.claimed(method, explained, spectrum)? {
                collected.completeness.push((found.points.iter().sum(), claimed));
            }
            let of_size = |(sets, changes): (&Vec<Vec<usize>>, &Vec<f64>)| sensitivity(&found.segments, sets, changes);
            collected.sensitivity.push(mean(sets.0.iter().zip(&changes).map(of_size)));
            view.curves(&mut asking, &found, &shuffled, collected)?;
            if let Some(differs) = &preprocessed.differs[index] {
                collected.relevance_mass.push(relevance_mass(&found.points, differs));
            }
            collected.replicate(sample, found.segments);
            progress.step()?;
        }
    }
    let truths: Vec<f64> = preprocessed
        .differs
        .iter()
        .flatten()
        .map(|differs| differs.iter().filter(|differs| **differs).count() as f64 / differs.len() as f64)
        .collect();
    Ok(Trial {
        figures: collected.iter().map(Collected::figures).collect(),
        maps: collected.into_iter().map(Collected::first_maps).collect(),
        quality,
        segments: segments.len(),
        receptive_field: subject.receptive_field(),
        truth_share: mean(truths.into_iter().map(Some)),
    })
}

/// Root mean square error of a quantity, share of classes named rightly.
fn quality(asking: &mut Asking<'_>, preprocessed: &Preprocessed, task: Task) -> Result<f64, MethodsError> {
    let mut sum = 0.0;
    for (spectrum, &truth) in preprocessed.spectra.iter().zip(&preprocessed.truth) {
        let outputs = asking.outputs(spectrum)?;
        sum += match task {
            Task::Regression => (f64::from(outputs[0]) - truth).powi(2),
            Task::Classification => {
                let best = (0..outputs.len()).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b])).unwrap_or(0);
                f64::from(u8::from(best == truth as usize))
            }
        };
    }
    let mean = sum / preprocessed.spectra.len() as f64;
    Ok(if task == Task::Regression { mean.sqrt() } else { mean })
}

/// Sets of bands, [size][set][band].
struct Sets(Vec<Vec<Vec<usize>>>);

impl Sets {
    fn draw(segments: usize, effort: Effort, random: &mut ChaCha8Rng) -> Self {
        let largest = (SET_MAX * segments as f64).floor().max(1.0);
        let size = |index: usize| 1 + ((largest - 1.0) * index as f64 / (SET_SIZES - 1) as f64).round() as usize;
        let mut all: Vec<usize> = (0..segments).collect();
        let mut set = |size: usize| {
            all.shuffle(random);
            all[..size].to_vec()
        };
        Self((0..SET_SIZES).map(|index| (0..effort.subsets).map(|_| set(size(index))).collect()).collect())
    }
}

/// One spectrum that is explained.
struct ExplainedSpectrum<'a> {
    spectrum: &'a [f32],
    explained: Explained,
    segments: &'a Segments,
    subject: &'a Subject,
}

impl ExplainedSpectrum<'_> {
    /// y(x) − y(x with each set replaced).
    fn changes(&mut self, asking: &mut Asking<'_>, sets: &Sets) -> Result<Vec<Vec<f64>>, MethodsError> {
        let y = asking.y(self.explained, self.spectrum)?;
        let mut without = |set: &Vec<usize>| {
            let replaced = self.segments.replace(self.spectrum, self.subject.reference(), set);
            asking.y(self.explained, &replaced).map(|left| y - left)
        };
        sets.0.iter().map(|sets| sets.iter().map(&mut without).collect()).collect()
    }

    /// Adds what is left of y − y(reference) while bands are replaced, and what is there while they are put in.
    fn curves(
        &mut self,
        asking: &mut Asking<'_>,
        found: &Explanation,
        shuffled: &[usize],
        collected: &mut Collected,
    ) -> Result<(), MethodsError> {
        let reference = self.subject.reference();
        let base = self.subject.at_reference(self.explained);
        let change = asking.y(self.explained, self.spectrum)? - base;
        let sign = change.signum();
        let order = order(&found.segments, sign, shuffled);
        collected.change += change.abs();
        for (curve, from, to) in
            [(&mut collected.deletion, self.spectrum, reference), (&mut collected.insertion, reference, self.spectrum)]
        {
            curve.resize(order.len() + 1, 0.0);
            for (count, sum) in curve.iter_mut().enumerate() {
                let mixed = self.segments.replace(from, to, &order[..count]);
                *sum += sign * (asking.y(self.explained, &mixed)? - base);
            }
        }
        Ok(())
    }
}

/// What is collected of one method, over the explained samples.
#[derive(Debug, Clone, Default)]
struct Collected {
    completeness: Vec<(f64, f64)>,
    sensitivity: Vec<Option<f64>>,
    /// Σ over samples of |y − y(reference)|, in whose direction the curves go.
    change: f64,
    deletion: Vec<f64>,
    insertion: Vec<f64>,
    relevance_mass: Vec<Option<f64>>,
    randomised: Vec<Option<f64>>,
    milliseconds: Vec<f64>,
    /// By sample, the contributions of each replicate.
    replicates: Vec<(usize, Vec<Vec<f64>>)>,
}

impl Collected {
    fn replicate(&mut self, sample: usize, segments: Vec<f64>) {
        match self.replicates.last_mut() {
            Some((last, maps)) if *last == sample => maps.push(segments),
            _ => self.replicates.push((sample, vec![segments])),
        }
    }

    fn figures(&self) -> Figures {
        // Spectra that differ much from the reference count more: near it there is nothing to take away.
        let area_of = |curve: &[f64]| {
            let shares: Vec<f64> = curve.iter().map(|sum| sum / self.change).collect();
            (self.change > 0.0).then(|| area(&shares))
        };
        let pairs = self.replicates.iter().flat_map(|(_, maps)| {
            let pair = move |one: usize| (one + 1..maps.len()).map(move |other| (&maps[one], &maps[other]));
            (0..maps.len()).flat_map(pair)
        });
        Figures {
            completeness: completeness_error(&self.completeness),
            sensitivity: mean(self.sensitivity.iter().copied()),
            deletion: area_of(&self.deletion),
            insertion: area_of(&self.insertion),
            relevance_mass: mean(self.relevance_mass.iter().copied()),
            randomised: mean(self.randomised.iter().copied()),
            replicates: mean(pairs.map(|(one, other)| rank_correlation(one, other))),
            milliseconds: upper_median(&mut self.milliseconds.clone(), f64::total_cmp).unwrap_or(0.0),
        }
    }

    fn first_maps(self) -> Vec<Vec<f64>> {
        self.replicates.into_iter().filter_map(|(_, maps)| maps.into_iter().next()).collect()
    }
}
