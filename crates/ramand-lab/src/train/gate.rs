//! The applicability gate: principal components of the preprocessed training spectra, and limits from held-out samples.
//!
//! Hotelling's T² = Σ_a t_a² / λ_a says how unusual a spectrum is within the directions training varied in, Q = ‖x − P Pᵀ x‖²
//! how much of it lies outside them (J. E. Jackson and G. S. Mudholkar, Technometrics 21 (1979) 341-349). Both limits come from
//! samples that the components were not fitted to ([`limits`]). The same samples' [`nonconformity`] is kept for p-values; of a
//! classification, the distance to the nearest class is part of it. In all of these a sample (a block, where samples are held out
//! by block) counts once, however many spectra it has.

use std::collections::BTreeMap;

use nalgebra::DMatrix;
use ramand_core::decide::{Classes, SIGNIFICANCE, nonconformity};
use ramand_core::npy::Table;
use ramand_model::manifest::{GateRecord, ScoresRecord, VariatesRecord};
use rand::rngs::ChaCha8Rng;

use super::classes::{self, Variates};
use super::dataset::{Dataset, Truth};
use super::limits::{self, Limit};
use super::partition::{Fold, partition};
use super::principal::Principal;

/// More components describe noise.
const COMPONENTS_MAX: usize = 15;
/// A further component has to lower the residual of held-out samples by this share, or there are enough.
const WORTHWHILE: f64 = 0.05;
/// Samples for each component: of fewer, its variance is a guess.
const SAMPLES_PER_COMPONENT: usize = 5;
/// Mean of t² / λ over held-out samples above which a component describes the samples it was fitted to. It is about 1 where both
/// vary alike.
const INFLATION_MAX: f64 = 2.0;
/// Folds in which samples are held out for the limits.
const FOLDS: usize = 10;
/// Share of good spectra that a p-value may refuse where the gate knows the classes. An unknown class is not farther from the known ones than
/// they are from each other: to refuse it takes more false alarms than to refuse a spectrum that went wrong.
const SIGNIFICANCE_OF_CLASSES: f64 = 0.05;
/// The gate's files.
const GATE_FILE: &str = "gate.npy";
const SCORES_FILE: &str = "gate-scores.npy";
const VARIATES_FILE: &str = "gate-variates.npy";
const CLASSES_FILE: &str = "gate-kinds.npy";

/// What [`ramand_core::decide`] needs to assess a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GateFit {
    /// `[1 + components, features]`: the mean, then the loadings, each of length 1.
    pub(super) rows: Vec<f32>,
    /// Variance of each score.
    pub(super) eigenvalues: Vec<f64>,
    pub(super) t2_limit: Limit,
    pub(super) q_limit: Limit,
    /// Where the classes lie; of a classification with enough samples.
    pub(super) classes: Option<Classes>,
    /// Held-out spectra, in the order of the folds.
    pub(super) held_out: Vec<HeldOutScore>,
    /// Share of good spectra that a p-value may refuse.
    pub(super) significance: f64,
}

/// A spectrum that the components were not fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeldOutScore {
    /// Its [`nonconformity`].
    pub(super) score: f64,
    /// Whether T² or Q is above its limit.
    pub(super) beyond: bool,
    pub(super) sample: usize,
    pub(super) fold: usize,
}

/// What a fold says about a spectrum it did not see.
struct HeldOutStatistics {
    spectrum: usize,
    sample: usize,
    fold: usize,
    t2: f64,
    q: f64,
    /// To each class, squared.
    distances: Option<Vec<f64>>,
}

impl GateFit {
    /// From all spectra of `data`; `None` where they do not vary.
    pub(super) fn new(data: &Dataset<'_>, random: &mut ChaCha8Rng) -> Option<Self> {
        let everything: Vec<usize> = (0..data.len()).collect();
        let folds = partition(data, &everything, FOLDS, random);
        let wanted = classes::components(data);
        let most = wanted.unwrap_or(0).max(COMPONENTS_MAX);
        let parts: Vec<(Principal, DMatrix<f64>, &Fold)> = folds
            .iter()
            .map(|part| (Principal::fit(&data.spectra(&part.training), most), data.spectra(&part.held_out), part))
            .collect();
        let all = Principal::fit(&data.spectra(&everything), most);
        let available = parts.iter().map(|(principal, ..)| principal.components()).min()?.min(all.components());
        let available = available.min(COMPONENTS_MAX).min((data.unit_count() / SAMPLES_PER_COMPONENT).max(1));
        let components = (1..=available).find(|&components| {
            let left = |components| -> f64 {
                parts.iter().map(|(part, held_out, _)| part.statistics(held_out, components).1.sum()).sum()
            };
            let (now, next) = (left(components), left(components + 1));
            components == available
                || next > (1.0 - WORTHWHILE) * now
                || inflation(data, &parts, components) > INFLATION_MAX
        })?;
        let mut found = Vec::new();
        for (fold, (principal, spectra, part)) in parts.iter().enumerate() {
            let variates = wanted.and_then(|wanted| Variates::fit(data, &part.training, principal, wanted));
            let (t2, q) = principal.statistics(spectra, components);
            let centred = principal.centred(spectra);
            for (row, &spectrum) in part.held_out.iter().enumerate() {
                let distances = variates.as_ref().map(|of| of.distances(&centred.row(row).into_owned()));
                found.push(HeldOutStatistics {
                    spectrum,
                    sample: data.units[spectrum],
                    fold,
                    t2: t2[row],
                    q: q[row],
                    distances,
                });
            }
        }
        let of = |statistic: fn(&HeldOutStatistics) -> f64| -> Vec<(f64, usize)> {
            found.iter().map(|found| (statistic(found), found.sample)).collect()
        };
        let t2_limit = limits::of_t2(&of(|found| found.t2), components)?;
        let q_limit = limits::of_q(&of(|found| found.q))?;
        let classes = wanted.and_then(|wanted| {
            let limits = limits_of_classes(data, &found)?;
            Some(Variates::fit(data, &everything, &all, wanted)?.with_limits(limits))
        });
        let score = |found: &HeldOutStatistics| {
            let shares = |Classes { limits, .. }: &Classes| {
                let distances = found.distances.iter().flatten();
                distances.zip(limits).map(|(distance, limit)| distance / limit).fold(f64::INFINITY, f64::min)
            };
            nonconformity(classes.as_ref().map(shares), found.t2 / t2_limit.value, found.q / q_limit.value)
        };
        let held_out = found
            .iter()
            .map(|found| HeldOutScore {
                score: f64::from(score(found) as f32),
                beyond: found.t2 > t2_limit.value || found.q > q_limit.value,
                sample: found.sample,
                fold: found.fold,
            })
            .collect();
        let significance = if classes.is_some() { SIGNIFICANCE_OF_CLASSES } else { SIGNIFICANCE.into() };
        let loadings = all.loadings.columns(0, components);
        let rows = all.mean.iter().chain(loadings.iter()).map(|&value| value as f32).collect();
        let eigenvalues = all.eigenvalues.iter().take(components).copied().collect();
        Some(Self { rows, eigenvalues, t2_limit, q_limit, classes, held_out, significance })
    }

    /// The record, with its arrays put among `files`.
    pub(super) fn record(&self, features: usize, samples: usize, files: &mut BTreeMap<String, Vec<u8>>) -> GateRecord {
        files.insert(GATE_FILE.to_owned(), Table::new(features, self.rows.clone()).to_bytes());
        let scores = self.held_out.iter().flat_map(|held_out| [held_out.score as f32, held_out.sample as f32]);
        files.insert(SCORES_FILE.to_owned(), Table::new(2, scores.collect()).to_bytes());
        let variates = self.classes.as_ref().map(|Classes { variates, centres, whitening, limits }| {
            let count = variates.len() / features;
            files.insert(VARIATES_FILE.to_owned(), Table::new(features, variates.clone()).to_bytes());
            files.insert(CLASSES_FILE.to_owned(), Table::new(count, [&centres[..], whitening].concat()).to_bytes());
            VariatesRecord {
                file: VARIATES_FILE.into(),
                sha256: String::new(),
                kinds: CLASSES_FILE.into(),
                kinds_sha256: String::new(),
                count,
                limits: limits.clone(),
            }
        });
        let significance = variates.is_some().then_some(self.significance);
        GateRecord {
            file: GATE_FILE.into(),
            sha256: String::new(),
            components: self.eigenvalues.len(),
            eigenvalues: self.eigenvalues.clone(),
            t2_limit: self.t2_limit.value,
            q_limit: self.q_limit.value,
            t2_limit_from: Some(self.t2_limit.from),
            q_limit_from: Some(self.q_limit.from),
            scores: Some(ScoresRecord { file: SCORES_FILE.into(), sha256: String::new(), samples, significance }),
            variates,
            kinds: None,
        }
    }
}

/// The mean of t² / λ of the component after the first `components`, over held-out samples, each with the mean over its spectra.
fn inflation(data: &Dataset<'_>, parts: &[(Principal, DMatrix<f64>, &Fold)], components: usize) -> f64 {
    let mut by_sample: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (principal, spectra, part) in parts {
        let scores = principal.scores(spectra, components + 1);
        for (row, &spectrum) in part.held_out.iter().enumerate() {
            let (sum, count) = by_sample.entry(data.units[spectrum]).or_default();
            *sum += scores[(row, components)].powi(2) / principal.eigenvalues[components];
            *count += 1.0;
        }
    }
    let samples = by_sample.len() as f64;
    by_sample.into_values().map(|(sum, count)| sum / count).sum::<f64>() / samples
}

/// What held-out samples of each class reach; `None` where a fold was too small to know its classes.
fn limits_of_classes(data: &Dataset<'_>, found: &[HeldOutStatistics]) -> Option<Vec<f64>> {
    let Truth::Classes { labels, indices } = &data.truth else { return None };
    let own = |found: &HeldOutStatistics| {
        let class = indices[found.spectrum];
        Some((class, *found.distances.as_ref()?.get(class)?, found.sample))
    };
    classes::limits(labels.len(), &found.iter().map(own).collect::<Option<Vec<_>>>()?)
}
