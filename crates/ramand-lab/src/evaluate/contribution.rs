//! D1, D2 and D4: what each band adds, compared with the reference population, and its shares.

use ramand_core::median::median;

use super::document::{Cell, Content, Section, Table};
use super::observe::{Observations, Row};
use super::precision::Budget;

/// What a map does not say; stands under every map.
pub(super) const NON_CLAIMS: [&str; 2] = [
    "Maps explain the network, not the chemistry.",
    "Bands that vary together share credit arbitrarily: compare models trained with other seeds before building on one band.",
];

/// Below this part of Σ|D| the contributions cancel, and a share of their sum says nothing.
const CANCELLING: f64 = 0.01;
/// A difference within so many repeatability standard deviations is noise.
const NOISE: f64 = 2.0;

/// D_B = φ_B(x) − mean over the reference of φ_B (our definition D2 by band, in units of y).
pub(super) fn difference(contributions: &[f64], reference: &[f64]) -> Vec<f64> {
    contributions.iter().zip(reference).map(|(value, mean)| value - mean).collect()
}

/// s_B = D_B / Σ D, signed (our definition D4, dimensionless; the shares add up to 1). `None` where |Σ D| is at most `floor`.
pub(super) fn signed_shares(difference: &[f64], floor: f64) -> Option<Vec<f64>> {
    let sum: f64 = difference.iter().sum();
    (sum.abs() > floor).then(|| difference.iter().map(|part| part / sum).collect())
}

/// g_B = Σ|D| over the band / Σ|D| (our definition D4, in 0..=1; the shares of a partition add up to 1), from Σ|D| by band;
/// all zero where nothing differs from the reference.
pub(super) fn gross_shares(gross: &[f64]) -> Vec<f64> {
    let sum: f64 = gross.iter().sum();
    gross.iter().map(|part| if sum > 0.0 { part / sum } else { 0.0 }).collect()
}

/// The mean gross share of each band and of the rest, over spectra.
pub(super) fn mean_gross_shares(observations: &Observations) -> Vec<f64> {
    let mut means = vec![0.0; observations.partition.names().len()];
    for row in &observations.rows {
        let shares = gross_shares(&observations.partition.coarse(&row.gross));
        means.iter_mut().zip(shares).for_each(|(mean, share)| *mean += share / observations.rows.len() as f64);
    }
    means
}

/// A row per band.
pub(super) fn section(observations: &Observations, budget: &Result<Budget, String>) -> Section {
    let content = || -> Result<Content, String> {
        if observations.rows.is_empty() {
            return Err("no spectrum could be preprocessed".into());
        }
        let noise = budget.as_ref().map_or(0.0, |budget| NOISE * budget.repeatability());
        let partition = &observations.partition;
        let of = |row: &Row| {
            let reference = observations.reference_of(row.explained);
            let difference = difference(&partition.coarse(&row.contributions(row.explained)), &reference);
            (difference, CANCELLING * row.gross.iter().sum::<f64>())
        };
        let differences: Vec<_> = observations.rows.iter().map(of).collect();
        let shares: Vec<Vec<f64>> =
            differences.iter().filter_map(|(parts, floor)| signed_shares(parts, floor.max(noise))).collect();
        let gross = mean_gross_shares(observations);
        let points = partition.owner().len() as f64;
        let extents: Vec<f64> = partition.places().iter().map(|place| place.points as f64 / points).collect();
        let extents = partition.coarse(&extents);
        let count = observations.rows.len() as f64;
        let rows = partition.names().into_iter().enumerate().map(|(band, name)| {
            let place = partition.places()[..partition.bands()].get(band);
            let share = (!shares.is_empty()).then(|| median(&mut shares.iter().map(|s| s[band]).collect::<Vec<_>>()));
            vec![
                name.into(),
                place.map(|place| place.from_cm).into(),
                place.map(|place| place.to_cm).into(),
                (differences.iter().map(|(parts, _)| parts[band]).sum::<f64>() / count).into(),
                (differences.iter().map(|(parts, _)| parts[band].abs()).sum::<f64>() / count).into(),
                Cell::from(share),
                gross[band].into(),
                extents[band].into(),
            ]
        });
        let columns = [
            ("band", "band"),
            ("from_cm", "from, cm-1"),
            ("to_cm", "to, cm-1"),
            ("difference", "mean D_B"),
            ("magnitude", "mean |D_B|"),
            ("share", "signed share, median"),
            ("gross_share", "gross share"),
            ("extent", "part of the axis"),
        ];
        let mut notes = vec![format!(
            "Signed shares are of {} of {} spectra: in the others the sum of D is below {} % of the sum of |D|, or within {NOISE} \
             repeatability standard deviations of zero.",
            shares.len(),
            differences.len(),
            100.0 * CANCELLING
        )];
        notes.extend(linear(observations));
        notes.extend(NON_CLAIMS.map(String::from));
        Ok(Content { tables: vec![Table::new("bands", &columns, rows.collect())], notes, ..Content::default() })
    };
    Section {
        key: "contributions",
        title: "Contributions and shares by band (D1, D2, D4)",
        explains: "D_B is what the band adds to the output compared with the reference population, in units of the output; of \
                   classes, to the best class against the runner-up. The gross share says how much of all that happens \
                   happens there; compare it with the band's part of the axis."
            .into(),
        content: content(),
    }
}

/// How much of the model is its linear part.
fn linear(observations: &Observations) -> Option<String> {
    let shares: Vec<f64> = observations.rows.iter().filter_map(|row| row.linear_share).collect();
    if shares.is_empty() {
        return None;
    }
    let gross = shares.iter().sum::<f64>() / shares.len() as f64;
    let pairs: Vec<(&[f64], &[f64])> =
        observations.rows.iter().map(|row| (row.linear.as_slice(), row.scores.as_slice())).collect();
    let variance = match linear_part_of_variance(&pairs) {
        Some(part) => format!("{:.0} % of the variance of y over the spectra", 100.0 * part),
        None => "an undefined part of the variance of y, which does not vary".into(),
    };
    Some(format!("Through the linear part (PLS) go {:.0} % of the gross amount of D and {variance}.", 100.0 * gross))
}

/// Σ_o Cov(y_lin,o, y_o) / Σ_o Var(y_o) over spectra (our definition, dimensionless), each given as the linear part and y of every
/// output. What the network adds is the rest to 1; where the two work against each other it is negative, and this above 1.
pub(super) fn linear_part_of_variance(spectra: &[(&[f64], &[f64])]) -> Option<f64> {
    let count = spectra.len() as f64;
    let outputs = spectra.first()?.1.len();
    let (mut covariance, mut variance) = (0.0, 0.0);
    for output in 0..outputs {
        let linear = spectra.iter().map(|(linear, _)| linear[output]).sum::<f64>() / count;
        let whole = spectra.iter().map(|(_, y)| y[output]).sum::<f64>() / count;
        covariance += spectra.iter().map(|(l, y)| (l[output] - linear) * (y[output] - whole)).sum::<f64>();
        variance += spectra.iter().map(|(_, y)| (y[output] - whole).powi(2)).sum::<f64>();
    }
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let parts = difference(&[3.0, 1.0, -1.0], &[1.0, 2.0, -2.0]);
        assert_eq!(parts, [2.0, -1.0, 1.0]);
        assert_eq!(signed_shares(&parts, 0.1), Some(vec![1.0, -0.5, 0.5]));
        assert_eq!(signed_shares(&parts, 2.0), None, "below noise");
        assert_eq!(gross_shares(&[1.0, 2.0, 1.0]), [0.25, 0.5, 0.25]);
        assert_eq!(gross_shares(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn the_linear_part_of_the_variance_by_hand() {
        // y = linear + rest: linear deviates by ±2, y by ±3.
        assert_eq!(linear_part_of_variance(&[(&[1.0], &[0.0]), (&[5.0], &[6.0])]), Some(2.0 * 3.0 / 9.0));
        assert_eq!(linear_part_of_variance(&[(&[1.0], &[0.0]), (&[5.0], &[0.0])]), None);
        assert_eq!(linear_part_of_variance(&[]), None);
    }
}
