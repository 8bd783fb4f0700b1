//! The applicability gate: principal components of the prepared training spectra, and limits from held-out samples.
//!
//! Hotelling's T² = Σ_a t_a² / λ_a says how unusual a spectrum is within the directions training varied in, Q = ‖x − P Pᵀ x‖²
//! how much of it lies outside them (J. E. Jackson and G. S. Mudholkar, Technometrics 21 (1979) 341-349). Textbook limits
//! assume normal scores; here both limits are the 99 % quantile of samples that the components were not fitted to. The same
//! samples' [`nonconformity`] is kept for p-values; of a classification, the distance to the nearest kind is part of it. In all of these a sample counts once, however many spectra it has.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector, RowDVector};
use ramand_core::decide::conformal::Calibration;
use ramand_core::decide::{Kinds, SIGNIFICANCE, nonconformity};
use ramand_core::npy::Table;
use ramand_model::manifest::{GateRecord, ScoresRecord, VariatesRecord};
use rand::rngs::ChaCha8Rng;

use super::crossvalidate::{Partition, partition};
use super::dataset::{Dataset, Truth};
use super::kinds::{self, Variates};

/// More components describe noise.
const COMPONENTS_MAX: usize = 15;
/// A further component has to lower the residual of held-out samples by this share, or there are enough.
const WORTHWHILE: f64 = 0.05;
/// Folds in which samples are held out for the limits.
const FOLDS: usize = 10;
/// Share of held-out spectra within a limit.
const WITHIN: f64 = 0.99;
/// Variance below this share of the largest is rounding.
const RANK_TOLERANCE: f64 = 1e-10;
/// Share of good spectra that a p-value may refuse where the gate knows the kinds. An unknown kind is not farther from the known ones than
/// they are from each other: to refuse it takes more false alarms than to refuse a spectrum that went wrong.
const SIGNIFICANCE_OF_KINDS: f64 = 0.05;
/// The gate's files.
const GATE_FILE: &str = "gate.npy";
const SCORES_FILE: &str = "gate-scores.npy";
const VARIATES_FILE: &str = "gate-variates.npy";
const KINDS_FILE: &str = "gate-kinds.npy";

/// What [`ramand_core::decide`] needs to assess a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GateFit {
    /// `[1 + components, features]`: the mean, then the loadings, each of length 1.
    pub(super) rows: Vec<f32>,
    /// Variance of each score.
    pub(super) eigenvalues: Vec<f64>,
    /// Of T².
    pub(super) t2_limit: f64,
    /// Of Q.
    pub(super) q_limit: f64,
    /// Where the kinds lie; of a classification with enough samples.
    pub(super) kinds: Option<Kinds>,
    /// Held-out spectra, in the order of the folds.
    pub(super) held_out: Vec<HeldOut>,
    /// Share of good spectra that a p-value may refuse.
    pub(super) significance: f64,
}

/// A spectrum that the components were not fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HeldOut {
    /// Its [`nonconformity`].
    pub(super) score: f64,
    /// Which sample.
    pub(super) sample: usize,
    /// Which fold.
    pub(super) fold: usize,
}

/// What a fold says about a spectrum it did not see.
struct Statistics {
    spectrum: usize,
    sample: usize,
    fold: usize,
    t2: f64,
    q: f64,
    /// To each kind, squared.
    distances: Option<Vec<f64>>,
}

impl GateFit {
    /// From all spectra of `data`; `None` where they do not vary.
    pub(super) fn new(data: &Dataset<'_>, random: &mut ChaCha8Rng) -> Option<Self> {
        let everything: Vec<usize> = (0..data.len()).collect();
        let folds = partition(data, &everything, FOLDS, random);
        let wanted = kinds::components(data);
        let most = wanted.unwrap_or(0).max(COMPONENTS_MAX);
        let parts: Vec<(Principal, DMatrix<f64>, &Partition)> = folds
            .iter()
            .map(|part| (Principal::fit(&data.spectra(&part.training), most), data.spectra(&part.held_out), part))
            .collect();
        let all = Principal::fit(&data.spectra(&everything), most);
        let available = parts.iter().map(|(principal, ..)| principal.components()).min()?.min(all.components());
        let available = available.min(COMPONENTS_MAX);
        let components = (1..=available).find(|&components| {
            let left = |components| -> f64 {
                parts.iter().map(|(part, held_out, _)| part.statistics(held_out, components).1.sum()).sum()
            };
            let (now, next) = (left(components), left(components + 1));
            components == available || next > (1.0 - WORTHWHILE) * now
        })?;
        let mut found = Vec::new();
        for (fold, (principal, spectra, part)) in parts.iter().enumerate() {
            let variates = wanted.and_then(|wanted| Variates::fit(data, &part.training, principal, wanted));
            let (t2, q) = principal.statistics(spectra, components);
            let centred = principal.centred(spectra);
            for (row, &spectrum) in part.held_out.iter().enumerate() {
                let distances = variates.as_ref().map(|of| of.distances(&centred.row(row).into_owned()));
                found.push(Statistics {
                    spectrum,
                    sample: data.groups[spectrum],
                    fold,
                    t2: t2[row],
                    q: q[row],
                    distances,
                });
            }
        }
        let limit = |of: &dyn Fn(&Statistics) -> f64| {
            Some(
                Calibration::new(found.iter().map(|found| (of(found), found.sample))).ok()?.quantile_or_largest(WITHIN),
            )
        };
        let (t2_limit, q_limit) = (limit(&|found| found.t2)?, limit(&|found| found.q)?);
        let kinds = wanted.and_then(|wanted| {
            let limits = limits_of_kinds(data, &found)?;
            Some(Variates::fit(data, &everything, &all, wanted)?.with_limits(limits))
        });
        let score = |found: &Statistics| {
            let shares = |Kinds { limits, .. }: &Kinds| {
                let distances = found.distances.iter().flatten();
                distances.zip(limits).map(|(distance, limit)| distance / limit).fold(f64::INFINITY, f64::min)
            };
            nonconformity(kinds.as_ref().map(shares), found.t2 / t2_limit, found.q / q_limit)
        };
        let held_out = found
            .iter()
            .map(|found| HeldOut { score: f64::from(score(found) as f32), sample: found.sample, fold: found.fold })
            .collect();
        let significance = if kinds.is_some() { SIGNIFICANCE_OF_KINDS } else { SIGNIFICANCE.into() };
        let loadings = all.loadings.columns(0, components);
        let rows = all.mean.iter().chain(loadings.iter()).map(|&value| value as f32).collect();
        let eigenvalues = all.eigenvalues.iter().take(components).copied().collect();
        Some(Self { rows, eigenvalues, t2_limit, q_limit, kinds, held_out, significance })
    }

    /// The record, with its arrays put among `files`.
    pub(super) fn record(&self, features: usize, samples: usize, files: &mut BTreeMap<String, Vec<u8>>) -> GateRecord {
        files.insert(GATE_FILE.to_owned(), Table::new(features, self.rows.clone()).to_bytes());
        let scores = self.held_out.iter().flat_map(|held_out| [held_out.score as f32, held_out.sample as f32]);
        files.insert(SCORES_FILE.to_owned(), Table::new(2, scores.collect()).to_bytes());
        let variates = self.kinds.as_ref().map(|Kinds { variates, centres, whitening, limits }| {
            let count = variates.len() / features;
            files.insert(VARIATES_FILE.to_owned(), Table::new(features, variates.clone()).to_bytes());
            files.insert(KINDS_FILE.to_owned(), Table::new(count, [&centres[..], whitening].concat()).to_bytes());
            VariatesRecord {
                file: VARIATES_FILE.into(),
                sha256: String::new(),
                kinds: KINDS_FILE.into(),
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
            t2_limit: self.t2_limit,
            q_limit: self.q_limit,
            scores: Some(ScoresRecord { file: SCORES_FILE.into(), sha256: String::new(), samples, significance }),
            variates,
            kinds: None,
        }
    }
}

/// What held-out samples of each kind reach; `None` where a fold was too small to know its kinds.
fn limits_of_kinds(data: &Dataset<'_>, found: &[Statistics]) -> Option<Vec<f64>> {
    let Truth::Classes { labels, indices } = &data.truth else { return None };
    let own = |found: &Statistics| {
        let kind = indices[found.spectrum];
        Some((kind, *found.distances.as_ref()?.get(kind)?, found.sample))
    };
    kinds::limits(labels.len(), &found.iter().map(own).collect::<Option<Vec<_>>>()?)
}

/// Principal components of a set of spectra.
pub(super) struct Principal {
    /// `[features]`
    mean: RowDVector<f64>,
    /// `[features × components]`, orthonormal, largest variance first.
    pub(super) loadings: DMatrix<f64>,
    /// Variance of each score (n − 1).
    eigenvalues: Vec<f64>,
}

impl Principal {
    /// Up to `most` components with any variance. The eigenvectors of the smaller of XᵀX and XXᵀ are enough:
    /// where there are fewer spectra than points, u of XXᵀ gives the loading Xᵀu.
    pub(super) fn fit(spectra: &DMatrix<f64>, most: usize) -> Self {
        let mean = spectra.row_mean();
        let mut x = spectra.clone();
        for mut row in x.row_iter_mut() {
            row -= &mean;
        }
        let wide = x.nrows() < x.ncols();
        let eigen = if wide { &x * x.transpose() } else { x.tr_mul(&x) }.symmetric_eigen();
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let least = RANK_TOLERANCE * eigen.eigenvalues.amax();
        order.retain(|&index| eigen.eigenvalues[index] > least);
        order.truncate(most);
        let loading = |&index: &usize| -> DVector<f64> {
            let vector = eigen.eigenvectors.column(index);
            let mut loading = if wide { x.tr_mul(&vector) } else { vector.into_owned() };
            loading.normalize_mut();
            // The sign of an eigenvector is arbitrary: its largest element is made positive.
            if loading[loading.icamax()] < 0.0 { -loading } else { loading }
        };
        let loadings: Vec<DVector<f64>> = order.iter().map(loading).collect();
        let degrees = (x.nrows() as f64 - 1.0).max(1.0);
        let loadings =
            if loadings.is_empty() { DMatrix::zeros(x.ncols(), 0) } else { DMatrix::from_columns(&loadings) };
        Self { mean, loadings, eigenvalues: order.iter().map(|&i| eigen.eigenvalues[i] / degrees).collect() }
    }

    pub(super) fn components(&self) -> usize {
        self.eigenvalues.len()
    }

    pub(super) fn centred(&self, spectra: &DMatrix<f64>) -> DMatrix<f64> {
        let mut x = spectra.clone();
        for mut row in x.row_iter_mut() {
            row -= &self.mean;
        }
        x
    }

    /// `[spectra × components]`, on the first `components`.
    pub(super) fn scores(&self, spectra: &DMatrix<f64>, components: usize) -> DMatrix<f64> {
        self.centred(spectra) * self.loadings.columns(0, components.min(self.components()))
    }

    /// T² and Q of every spectrum, with the first `components`.
    fn statistics(&self, spectra: &DMatrix<f64>, components: usize) -> (DVector<f64>, DVector<f64>) {
        let x = self.centred(spectra);
        let loadings = self.loadings.columns(0, components.min(self.components()));
        let scores = &x * loadings;
        let residual = &x - &scores * loadings.transpose();
        let t2 =
            |row: nalgebra::RowDVector<f64>| row.iter().zip(&self.eigenvalues).map(|(t, l)| t * t / l).sum::<f64>();
        (
            DVector::from_iterator(x.nrows(), scores.row_iter().map(|row| t2(row.into_owned()))),
            DVector::from_iterator(x.nrows(), residual.row_iter().map(|row| row.norm_squared())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::tests::noise;
    use super::*;
    use crate::columns::columns;

    const TOLERANCE: f64 = 1e-10;

    /// n spectra of p points that vary along two orthogonal directions with known variances about a mean.
    fn known(n: usize, p: usize) -> DMatrix<f64> {
        let first = DVector::from_fn(p, |j, _| if j == 0 { 1.0 } else { 0.0 });
        let second = DVector::from_fn(p, |j, _| if j == 1 { 1.0 } else { 0.0 });
        DMatrix::from_fn(n, p, |i, j| {
            let (a, b) = (if i % 2 == 0 { 3.0 } else { -3.0 }, if i / 2 % 2 == 0 { 1.0 } else { -1.0 });
            5.0 + a * first[j] + b * second[j]
        })
    }

    fn check(spectra: &DMatrix<f64>) {
        let principal = Principal::fit(spectra, COMPONENTS_MAX);
        assert_eq!(principal.components(), 2, "rank two");
        let n = spectra.nrows() as f64;
        for (found, expected) in principal.eigenvalues.iter().zip([9.0 * n / (n - 1.0), n / (n - 1.0)]) {
            assert!((found - expected).abs() < TOLERANCE, "{found} against {expected}");
        }
        let (t2, q) = principal.statistics(spectra, 2);
        assert!(t2.iter().all(|t2| (t2 - 2.0 * (n - 1.0) / n).abs() < TOLERANCE));
        assert!(q.amax() < TOLERANCE);
        let (_, q) = principal.statistics(spectra, 1);
        assert!(q.iter().all(|q| (q - 1.0).abs() < TOLERANCE), "the second direction is left over");
    }

    #[test]
    fn known_directions_are_found_in_tall_and_wide_data() {
        check(&known(40, 5));
        check(&known(8, 30));
    }

    #[test]
    fn tall_and_wide_agree() {
        // The same numbers through XXᵀ and, with a zero column less, through XᵀX.
        let x = DMatrix::from_vec(10, 12, noise(120, 4));
        let wide = Principal::fit(&x, COMPONENTS_MAX);
        let stacked = DMatrix::from_fn(20, 12, |i, j| x[(i % 10, j)]);
        let tall = Principal::fit(&stacked, COMPONENTS_MAX);
        for (a, b) in wide.eigenvalues.iter().zip(&tall.eigenvalues) {
            assert!((a * 9.0 * 2.0 / 19.0 - b).abs() < TOLERANCE, "{a} against {b}");
        }
        let probe = DMatrix::from_vec(1, 12, noise(12, 5));
        let (q_wide, q_tall) = (wide.statistics(&probe, 4).1[0], tall.statistics(&probe, 4).1[0]);
        assert!((q_wide - q_tall).abs() < 1e-8, "{q_wide} against {q_tall}");
    }

    #[test]
    fn identical_spectra_have_no_components() {
        assert_eq!(Principal::fit(&DMatrix::from_element(5, 3, 2.0), COMPONENTS_MAX).components(), 0);
    }

    #[test]
    fn statistics_agree_with_scikit_learn() {
        let table = |file: &str| {
            let columns = columns(&format!("preprocess/{file}"));
            let of = |point: usize| columns[&format!("point {point}")].clone();
            let points: Vec<f64> = (0..8).flat_map(of).collect();
            (DMatrix::from_vec(points.len() / 8, 8, points), columns)
        };
        let principal = Principal::fit(&table("../conformal/pca_training.csv").0, COMPONENTS_MAX);
        let (spectra, expected) = table("../conformal/pca_new.csv");
        let (t2, q) = principal.statistics(&spectra, 3);
        for (row, (expected_t2, expected_q)) in expected["t2"].iter().zip(&expected["q"]).enumerate() {
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-8;
            assert!(near(t2[row], *expected_t2) && near(q[row], *expected_q), "row {row}: {} {}", t2[row], q[row]);
        }
    }
}
