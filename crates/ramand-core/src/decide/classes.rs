//! Where the classes of a classification lie, and how far a spectrum is from the nearest.
//!
//! Canonical variates z = A (x − x̄) are the directions in which classes differ most for what spectra of one class differ by (R. A.
//! Fisher, Ann. Eugenics 7 (1936) 179-188; C. R. Rao, J. R. Stat. Soc. B 10 (1948) 159-203). What instruments and backgrounds do to
//! every class alike hardly shows in them, so a class that was never shown stands out. The distance to a class is Mahalanobis', with the
//! class's own covariance, over what held-out samples of that class reach: class modelling as in SIMCA (S. Wold, Pattern Recognit. 8
//! (1976) 127-139), with one set of axes for all classes.

use super::gate_error::{GateError, require};
use super::project::project;

/// Variates of one gate: one fewer than classes, and classes beyond this do not occur.
pub const VARIATES_MAX: usize = 64;

/// The classes among the canonical variates of preprocessed spectra. `features` is channels × points of the model's axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// A `[variates][features]`, row-major.
    pub variates: Vec<f32>,
    /// μ `[classes][variates]`, the mean of each class.
    pub centres: Vec<f32>,
    /// W `[classes][variates][variates]`: ‖W_c (z − μ_c)‖² is the squared Mahalanobis distance to class c.
    pub whitening: Vec<f32>,
    /// `[classes]`, the squared distance that held-out samples of a class reach: what the distance to it is divided by.
    pub limits: Vec<f64>,
}

impl Classes {
    /// min over classes c of ‖W_c (z − μ_c)‖² / limit_c for a spectrum less the gate's mean, `[features]`.
    pub fn nearest(&self, centred: &[f64]) -> f64 {
        let variates = self.count(centred.len());
        let mut z = [0.0; VARIATES_MAX];
        for (z, row) in z.iter_mut().zip(self.variates.chunks_exact(centred.len().max(1))) {
            *z = project(centred, row);
        }
        let centres = self.centres.chunks_exact(variates.max(1));
        let whitening = self.whitening.chunks_exact((variates * variates).max(1));
        let classes = centres.zip(whitening).zip(&self.limits);
        let shares = classes.map(|((centre, whitening), limit)| distance(&z[..variates], centre, whitening) / limit);
        shares.fold(f64::INFINITY, f64::min)
    }

    /// How many variates spectra of so many values have.
    fn count(&self, features: usize) -> usize {
        self.variates.len().checked_div(features).unwrap_or(0).min(VARIATES_MAX)
    }

    /// # Errors
    /// When sizes do not fit each other or spectra of so many values, or a number is not finite or a limit not above zero.
    pub(super) fn check(&self, features: usize) -> Result<(), GateError> {
        let Self { variates, centres, whitening, limits } = self;
        let (count, classes) = (self.count(features), limits.len());
        let sizes = [variates.len(), centres.len(), whitening.len()];
        if count == 0 || classes == 0 || sizes != [count * features, classes * count, classes * count * count] {
            let [variates, centres, whitening] = sizes;
            return Err(GateError::ClassesShape { variates, centres, whitening, classes, features });
        }
        let numbers = variates.iter().chain(centres).chain(whitening).map(|&value| value.into());
        require("number of the classes", numbers, "a finite number", f64::is_finite)?;
        let positive = |limit: f64| limit.is_finite() && limit > 0.0;
        require("limit of class", limits.iter().copied(), "a number above 0", positive)
    }
}

/// ‖W (z − μ)‖², with W `[variates][variates]`.
pub fn distance(z: &[f64], centre: &[f32], whitening: &[f32]) -> f64 {
    let offset = |(z, &centre): (&f64, &f32)| z - f64::from(centre);
    let row = |row: &[f32]| -> f64 {
        z.iter().zip(centre).map(offset).zip(row).map(|(offset, &weight)| offset * f64::from(weight)).sum()
    };
    whitening.chunks_exact(z.len().max(1)).map(|weights| row(weights).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes at −3 and 3 on the first of two variates, which are the first and the third of three values; the second class
    /// spreads twice as far on the first variate.
    fn classes() -> Classes {
        Classes {
            variates: vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
            centres: vec![-3.0, 0.0, 3.0, 0.0],
            whitening: vec![1.0, 0.0, 0.0, 2.0, 0.5, 0.0, 0.0, 2.0],
            limits: vec![4.0, 2.0],
        }
    }

    #[test]
    fn what_lies_between_kinds_is_far_from_each_by_its_own_measure() {
        let classes = classes();
        classes.check(3).expect("classes of three values");
        let cases = [
            ([3.0, 9.0, 0.0], 0.0),
            ([0.0, 0.0, 0.0], 1.125),
            ([-2.0, -5.0, 1.0], 1.25),
            ([4.0, 0.0, -0.5], 0.625),
            ([9.0, 0.0, 0.0], 4.5),
        ];
        for (centred, expected) in cases {
            assert_eq!(classes.nearest(&centred), expected, "{centred:?}");
        }
    }

    #[test]
    fn what_is_no_kinds_is_refused() {
        type Spoil = fn(&mut Classes);
        let cases: [(Spoil, &str); 6] = [
            (|k| k.variates.truncate(5), "5 numbers of variates, 4 of centres and 8 of whitenings are not 2 classes"),
            (|k| k.centres.push(0.0), "6 numbers of variates, 5 of centres"),
            (|k| k.whitening.truncate(7), "7 of whitenings are not 2 classes among 3 values"),
            (|k| k.limits.clear(), "are not 0 classes"),
            (|k| k.whitening[3] = f32::NAN, "number of the classes 13 is NaN"),
            (|k| k.limits[1] = 0.0, "limit of class 1 is 0, expected a number above 0"),
        ];
        for (spoil, expected) in cases {
            let mut classes = classes();
            spoil(&mut classes);
            let message = classes.check(3).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message:?} instead of {expected:?}");
        }
    }
}
