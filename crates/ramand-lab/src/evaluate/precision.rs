//! D7: which band makes the output noisy, from replicates of the same sample.

use ramand_core::outcome::Explained;

use super::chart;
use super::document::{Cell, Content, Section, Table};
use super::observe::{Observations, Row, best_against_runner_up};

/// The precision budget: Var(y) = Σ_B Σ_B' Cov(φ_B, φ_B') (our definition D7), in squared units of y.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Budget {
    /// Cov(φ_B, φ_B') within samples, pooled over them, `[bands][bands]`.
    pub(super) covariances: Vec<Vec<f64>>,
    /// Var(y) within samples, pooled over them.
    pub(super) variance: f64,
    /// Degrees of freedom: replicates less samples.
    pub(super) freedom: usize,
}

impl Budget {
    /// Cov(φ_B, y) = Σ_B' Cov(φ_B, φ_B'), which adds up to Var(y) over the bands.
    pub(super) fn parts(&self) -> Vec<f64> {
        self.covariances.iter().map(|row| row.iter().sum()).collect()
    }

    /// Repeatability standard deviation s_r = √Var(y), in units of y.
    pub(super) fn repeatability(&self) -> f64 {
        self.variance.sqrt()
    }

    /// |Σ Σ Cov − Var(y)| / Var(y): the identity's error; zero where nothing varies.
    pub(super) fn identity_error(&self) -> f64 {
        let sum: f64 = self.parts().iter().sum();
        if self.variance > 0.0 { (sum - self.variance).abs() / self.variance } else { sum.abs() }
    }
}

/// The pooled within-sample covariances of `replicates`, each given as its sample, its φ by band and its y. `None` without two
/// replicates of any sample.
pub(super) fn budget(replicates: &[(usize, Vec<f64>, f64)]) -> Option<Budget> {
    let bands = replicates.first()?.1.len();
    let mut order: Vec<&(usize, Vec<f64>, f64)> = replicates.iter().collect();
    order.sort_by_key(|(sample, ..)| *sample);
    let (mut covariances, mut variance, mut freedom) = (vec![vec![0.0; bands]; bands], 0.0, 0);
    for sample in order.chunk_by(|one, other| one.0 == other.0).filter(|sample| sample.len() > 1) {
        let count = sample.len() as f64;
        let mean_y = sample.iter().map(|(.., y)| y).sum::<f64>() / count;
        let means: Vec<f64> =
            (0..bands).map(|band| sample.iter().map(|(_, phi, _)| phi[band]).sum::<f64>() / count).collect();
        for (_, phi, y) in sample {
            variance += (y - mean_y).powi(2);
            for ((row, value), mean) in covariances.iter_mut().zip(phi).zip(&means) {
                let others = phi.iter().zip(&means);
                row.iter_mut().zip(others).for_each(|(sum, (other, its))| *sum += (value - mean) * (other - its));
            }
        }
        freedom += sample.len() - 1;
    }
    if freedom == 0 {
        return None;
    }
    covariances.iter_mut().flatten().for_each(|sum| *sum /= freedom as f64);
    Some(Budget { covariances, variance: variance / freedom as f64, freedom })
}

/// D7 of the explained scalar; of classes, each sample's best class on average against its runner-up.
pub(super) fn of_observations(observations: &Observations) -> Result<Budget, String> {
    let explained = explained_by_sample(observations);
    let replicate = |row: &Row| {
        let explained = explained[row.sample];
        let phi = observations.partition.coarse(&row.contributions(explained));
        (row.sample, phi, row.output(explained))
    };
    let replicates: Vec<_> = observations.rows.iter().map(replicate).collect();
    budget(&replicates).ok_or_else(|| "no sample has two spectra (--group names the column of samples)".into())
}

/// One scalar for all spectra of a sample: what its mean scores explain.
fn explained_by_sample(observations: &Observations) -> Vec<Explained> {
    let means = observations.by_sample(|row| row.scores.clone());
    means.iter().map(|(_, scores)| best_against_runner_up(scores)).collect()
}

/// A row per band with its part, and the whole matrix.
pub(super) fn section(observations: &Observations, found: &Result<Budget, String>) -> Section {
    let content = found.as_ref().map_err(Clone::clone).map(|budget| {
        let names = observations.partition.names();
        let part_of_variance = |part: f64| Cell::from(part / budget.variance);
        let rows = names.iter().zip(budget.parts()).enumerate().map(|(band, (name, part))| {
            let own = budget.covariances[band][band];
            vec![(*name).into(), own.sqrt().into(), part.into(), part_of_variance(part)]
        });
        let columns = [
            ("band", "band"),
            ("deviation", "standard deviation of phi_B"),
            ("covariance", "Cov(phi_B, y)"),
            ("share", "part of Var(y)"),
        ];
        let parts = Table::new("parts", &columns, rows.collect());
        let keys: Vec<String> = (0..names.len()).map(|band| format!("band_{band}")).collect();
        let mut columns = vec![("band", "Cov(phi_B, phi_B')")];
        columns.extend(keys.iter().map(String::as_str).zip(names.iter().copied()));
        let rows = names.iter().zip(&budget.covariances).map(|(name, row)| {
            [Cell::from(*name)].into_iter().chain(row.iter().map(|&covariance| covariance.into())).collect()
        });
        let matrix = Table::new("covariances", &columns, rows.collect()).data_only();
        let figures = vec![chart::covariances(&names, &budget.covariances, budget.variance)];
        let (largest, part) = loudest(budget);
        let notes = vec![
            format!(
                "Repeatability standard deviation of y: {} (variance {}, {} degrees of freedom). All covariances add up to the \
                 variance, to {:.1e} of it.",
                super::render::number(budget.repeatability()),
                super::render::number(budget.variance),
                budget.freedom,
                budget.identity_error()
            ),
            format!("{} makes y noisiest: {:.0} % of its variance.", names[largest], 100.0 * part / budget.variance),
        ];
        Content { tables: vec![parts, matrix], figures, notes }
    });
    Section {
        key: "precision",
        title: "Precision budget by band (D7)",
        explains: "Covariances of the contributions over replicates within samples, pooled. A band's part is Cov(phi_B, y); the \
                   parts add up to the repeatability variance of y. A negative part damps the noise of others."
            .into(),
        content,
    }
}

/// The band with the largest part, and the part.
fn loudest(budget: &Budget) -> (usize, f64) {
    let parts = budget.parts().into_iter().enumerate();
    parts.max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((0, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_by_hand() {
        // Sample 0: deviations (-1, 1), (2, -2) by band, y: (1, -1). Sample 1: (0, 0), (3, -3), y (3, -3). Sample 2 is alone.
        let replicates = [
            (0, vec![9.0, 2.0], 11.0),
            (1, vec![5.0, 3.0], 8.0),
            (0, vec![11.0, -2.0], 9.0),
            (1, vec![5.0, -3.0], 2.0),
            (2, vec![100.0, 50.0], 150.0),
        ];
        let found = budget(&replicates).expect("replicates");
        assert_eq!(found.freedom, 2);
        assert_eq!(found.covariances, [[1.0, -2.0], [-2.0, 13.0]]);
        assert_eq!((found.variance, found.parts()), (10.0, vec![-1.0, 11.0]));
        assert_eq!(found.identity_error(), 0.0);
        assert_eq!(loudest(&found), (1, 11.0));
        let mut missing = found;
        missing.variance = 12.0;
        assert!(missing.identity_error() > 0.1, "a part of y that no band has");
        assert_eq!(budget(&replicates[3..]), None);
        assert_eq!(budget(&[]), None);
    }
}
