//! The applicability gate: whether a preprocessed spectrum is like those the model was trained on (ASTM D6122).

use super::classes::Classes;
use super::conformal::Calibration;
use super::gate_error::{COMPONENTS_MAX, GateError, require};
use super::project::project;
use super::verdict::SIGNIFICANCE;
use crate::outcome::Applicability;
use crate::spectrum::PreprocessedSpectrum;

/// How far from orthonormal loadings may be: f32 rounding of a few thousand features, and nothing else.
const ORTHONORMAL_TOLERANCE: f64 = 1e-3;

/// Principal components of preprocessed training spectra, and the limits held-out samples gave. `features` is channels ×
/// points of the model's axis.
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalComponents {
    /// `[features]`, the mean training spectrum.
    pub mean: Vec<f32>,
    /// `[components][features]`, row-major, orthonormal rows.
    pub loadings: Vec<f32>,
    /// `[components]`, λ_a: the variance of each score in training.
    pub eigenvalues: Vec<f64>,
    pub t2_limit: f64,
    pub q_limit: f64,
}

/// A PCA that is known to be one.
#[derive(Debug, Clone)]
pub struct Gate {
    principal: PrincipalComponents,
    classes: Option<Classes>,
    held_out: Option<HeldOut>,
}

/// What p-values come from.
#[derive(Debug, Clone)]
struct HeldOut {
    calibration: Calibration,
    significance: f32,
}

/// How unusual a spectrum is, in one number, from T² and Q over their limits.
///
/// Of a classification, with the distance to the [`nearest`](Classes::nearest) class: the largest of the three, so that no statistic
/// that a foreign class leaves alone drowns the one it moves. Otherwise the sum of both (the combined index of H. H. Yue and S. J. Qin,
/// Ind. Eng. Chem. Res. 40 (2001) 4403-4414).
pub fn nonconformity(nearest: Option<f64>, t2_share: f64, q_share: f64) -> f64 {
    match nearest {
        Some(nearest) => nearest.max(t2_share).max(q_share),
        None => t2_share + q_share,
    }
}

impl Gate {
    /// # Errors
    /// When sizes do not fit, a number is not finite, a variance or limit is not above zero, or the loadings are not
    /// orthonormal.
    pub fn new(principal: PrincipalComponents) -> Result<Self, GateError> {
        let PrincipalComponents { mean, loadings, eigenvalues, t2_limit, q_limit } = &principal;
        let (components, features) = (eigenvalues.len(), mean.len());
        if !(1..=COMPONENTS_MAX).contains(&components) {
            return Err(GateError::Components { components });
        }
        if features == 0 || Some(loadings.len()) != components.checked_mul(features) {
            return Err(GateError::Shape { loadings: loadings.len(), components, features });
        }
        let finite = |value: f64| value.is_finite();
        let positive = |value: f64| value.is_finite() && value > 0.0;
        require("mean", mean.iter().map(|&value| value.into()), "a finite number", finite)?;
        require("loading", loadings.iter().map(|&value| value.into()), "a finite number", finite)?;
        require("eigenvalue", eigenvalues.iter().copied(), "a variance above 0", positive)?;
        require("T2 limit", [*t2_limit].into_iter(), "a number above 0", positive)?;
        require("Q limit", [*q_limit].into_iter(), "a number above 0", positive)?;
        for (first, row) in loadings.chunks_exact(features).enumerate() {
            for (second, other) in loadings.chunks_exact(features).enumerate().take(first + 1) {
                let product: f64 = row.iter().zip(other).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                let expected = if first == second { 1.0 } else { 0.0 };
                if (product - expected).abs() > ORTHONORMAL_TOLERANCE {
                    return Err(GateError::NotOrthonormal { first, second, product, expected });
                }
            }
        }
        Ok(Self { principal, classes: None, held_out: None })
    }

    /// The same gate that also gives p-values: from the [`nonconformity`] of held-out spectra. `significance` is the share of good
    /// spectra that a p-value may refuse where the line says nothing else, in 0..1.
    ///
    /// # Errors
    /// When the classes are not of this gate's features, or a number is not finite.
    pub fn calibrated(
        self,
        classes: Option<Classes>,
        held_out: Calibration,
        significance: f32,
    ) -> Result<Self, GateError> {
        classes.iter().try_for_each(|classes| classes.check(self.features()))?;
        let held_out = Some(HeldOut { calibration: held_out, significance });
        Ok(Self { principal: self.principal, classes, held_out })
    }

    /// Whether it gives p-values.
    pub fn is_calibrated(&self) -> bool {
        self.held_out.is_some()
    }

    /// Channels × points of the spectra this gate is for.
    pub fn features(&self) -> usize {
        self.principal.mean.len()
    }

    /// `[features]`, the mean training spectrum.
    pub fn mean(&self) -> &[f32] {
        &self.principal.mean
    }

    /// T² = Σ_a t_a² / λ_a with t = P (x − mean), and Q = ‖x − mean − Pᵀ t‖². Q is summed from the residual itself: as a
    /// difference of sums of squares it would drown in the rounding of the loadings where a spectrum is far off
    /// within the model.
    ///
    /// # Panics
    /// When the spectrum has not [`Gate::features`] values; a bundle's loader compares the two.
    pub fn assess(&self, spectrum: &PreprocessedSpectrum) -> Applicability {
        self.assess_values(spectrum.values())
    }

    fn assess_values(&self, values: &[f32]) -> Applicability {
        let PrincipalComponents { mean, loadings, eigenvalues, t2_limit, q_limit } = &self.principal;
        assert_eq!(values.len(), mean.len(), "the gate belongs to another axis or number of channels");
        let mut residual: Vec<f64> =
            values.iter().zip(mean).map(|(&value, &mean)| f64::from(value) - f64::from(mean)).collect();
        let nearest = self.classes.as_ref().map(|classes| classes.nearest(&residual));
        // Every score is of the centred spectrum, before any component is taken off it.
        let mut scores = [0.0; COMPONENTS_MAX];
        let rows = || loadings.chunks_exact(mean.len());
        for (score, loading) in scores.iter_mut().zip(rows()) {
            *score = project(&residual, loading);
        }
        let mut t2 = 0.0;
        for ((score, loading), eigenvalue) in scores.iter().zip(rows()).zip(eigenvalues) {
            t2 += score * score / eigenvalue;
            residual.iter_mut().zip(loading).for_each(|(left, &weight)| *left -= score * f64::from(weight));
        }
        let q: f64 = residual.iter().map(|left| left * left).sum();
        let score = nonconformity(nearest, t2 / t2_limit, q / q_limit);
        Applicability {
            t2: t2 as f32,
            t2_limit: *t2_limit as f32,
            q: q as f32,
            q_limit: *q_limit as f32,
            p_value: self.held_out.as_ref().map(|held_out| held_out.calibration.p_value(score) as f32),
            significance: self.held_out.as_ref().map_or(SIGNIFICANCE, |held_out| held_out.significance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::columns;

    /// f32 results of f64 sums.
    const RELATIVE: f64 = 1e-5;

    fn golden() -> (PrincipalComponents, Vec<Vec<f32>>) {
        let columns = columns("preprocess/gate.csv");
        let numbered = |name: &str| (0..).map_while(|k| columns.get(&format!("{name} {k}"))).collect::<Vec<_>>();
        let narrow = |values: &Vec<f64>| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let eigenvalues = crate::columns::columns("preprocess/gate_statistics.csv")["eigenvalue"][..3].to_vec();
        let principal = PrincipalComponents {
            mean: narrow(&columns["mean"]),
            loadings: numbered("loading").into_iter().flat_map(narrow).collect(),
            eigenvalues,
            t2_limit: 20.0,
            q_limit: 1.0,
        };
        (principal, numbered("shown").into_iter().map(narrow).collect())
    }

    #[test]
    fn statistics_agree_with_numpy() {
        let (principal, shown) = golden();
        let gate = Gate::new(principal).expect("a PCA");
        let expected = columns("preprocess/gate_statistics.csv");
        let near = |found: f32, expected: f64| (f64::from(found) / expected - 1.0).abs() < RELATIVE;
        let mut applies = Vec::new();
        for (row, values) in shown.iter().enumerate() {
            let found = gate.assess_values(values);
            assert!(near(found.t2, expected["t2"][row]), "{found:?}, T2 of numpy {}", expected["t2"][row]);
            assert!(near(found.q, expected["q"][row]), "{found:?}, Q of numpy {}", expected["q"][row]);
            applies.push((found.t2 <= found.t2_limit, found.q <= found.q_limit));
        }
        // Three training rows, one far out along the first factor, one with noise that training never had.
        assert_eq!(applies[..3], [(true, true); 3]);
        assert_eq!(applies[3..], [(false, true), (true, false)]);
    }

    #[test]
    fn what_is_no_pca_is_refused() {
        type Spoil = fn(&mut PrincipalComponents);
        let cases: [(Spoil, &str); 8] = [
            (|p| p.eigenvalues.clear(), "1 to 256 components, not 0"),
            (|p| p.loadings.truncate(30), "30 loadings are not 3 components of 12 features"),
            (|p| p.mean[4] = f32::NAN, "mean 4 is NaN"),
            (|p| p.loadings[13] = f32::INFINITY, "loading 13 is inf"),
            (|p| p.eigenvalues[2] = 0.0, "eigenvalue 2 is 0, expected a variance above 0"),
            (|p| p.t2_limit = f64::NAN, "T2 limit 0 is NaN"),
            (|p| p.q_limit = -1.0, "Q limit 0 is -1"),
            (|p| p.loadings[..12].iter_mut().for_each(|value| *value *= 2.0), "loadings 0 and 0 have the product 4"),
        ];
        for (spoil, expected) in cases {
            let (mut principal, _) = golden();
            spoil(&mut principal);
            let message = Gate::new(principal).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message:?} instead of {expected:?}");
        }
    }

    #[test]
    fn between_two_kinds_is_unusual_and_off_the_plane_as_well() {
        // Two classes at -3 and 3 on the first component, each with a standard deviation of 1.
        let classes = Classes {
            variates: vec![1.0, 0.0, 0.0],
            centres: vec![-3.0, 3.0],
            whitening: vec![1.0, 1.0],
            limits: vec![10.0, 10.0],
        };
        let principal = PrincipalComponents {
            mean: vec![0.0; 3],
            loadings: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            eigenvalues: vec![9.0, 0.25],
            t2_limit: 10.0,
            q_limit: 2.0,
        };
        let held_out = || Calibration::new((0..99).map(|sample| (0.01 * sample as f64, sample))).expect("scores");
        let plain = Gate::new(principal.clone()).expect("a PCA").calibrated(None, held_out(), 0.01).expect("scores");
        let by_kind = Gate::new(principal.clone()).expect("a PCA").calibrated(Some(classes.clone()), held_out(), 0.05);
        let by_kind = by_kind.expect("three values");
        let p = |gate: &Gate, values: &[f32]| gate.assess_values(values).p_value.expect("calibrated");
        // Between the classes T2 and Q are 0, and 0.9 of what samples of either class reach is used up.
        assert_eq!((p(&plain, &[0.0; 3]), p(&by_kind, &[0.0; 3])), (1.0, 0.1));
        // On a class, T2 is 1 of 10: the largest of the three counts, or the sum.
        assert_eq!((p(&plain, &[3.0, 0.0, 0.0]), p(&by_kind, &[3.0, 0.0, 0.0])), (0.9, 0.9));
        assert_eq!((p(&plain, &[3.0, 0.0, 1.0]), p(&by_kind, &[3.0, 0.0, 1.0])), (0.4, 0.5));
        assert_eq!(p(&by_kind, &[3.0, 1.0, 0.0]), 0.5);
        let significance = |gate: &Gate| gate.assess_values(&[0.0; 3]).significance;
        assert_eq!((significance(&plain), significance(&by_kind)), (0.01, 0.05));
        assert!(by_kind.is_calibrated() && !Gate::new(principal.clone()).expect("a PCA").is_calibrated());
        let short = Classes { whitening: vec![1.0], ..classes };
        let error = Gate::new(principal).expect("a PCA").calibrated(Some(short), held_out(), 0.05);
        assert!(
            error.expect_err("one number").to_string().contains("1 of whitenings are not 2 classes among 3 values")
        );
    }
}
