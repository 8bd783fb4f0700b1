//! D5: how purely a band speaks for one class against another.

use ramand_core::outcome::Explained;

use super::document::{Cell, Content, Section, Table};
use super::observe::Observations;
use super::truth::RecordedTruth;

/// P = 2·AUC − 1 (our definition D5, dimensionless, −1..=1), where AUC is the share of pairs of one value of `ones` and one of
/// `others` in which the former is larger, ties counted by half (Mann and Whitney 1947). `None` where either is empty.
pub(super) fn purity(ones: &[f64], others: &[f64]) -> Option<f64> {
    if ones.is_empty() || others.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> =
        ones.iter().map(|&value| (value, true)).chain(others.iter().map(|&value| (value, false))).collect();
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (mut below, mut wins) = (0.0, 0.0);
    // Of equal values, each of `ones` wins against half of `others`.
    for ties in all.chunk_by(|left, right| left.0 == right.0) {
        let one = ties.iter().filter(|(_, is_one)| *is_one).count() as f64;
        let other = ties.len() as f64 - one;
        wins += one * (below + 0.5 * other);
        below += other;
    }
    Some(2.0 * wins / (ones.len() * others.len()) as f64 - 1.0)
}

/// The purity of every band, and of all the rest, for a pair of classes: on samples, each the mean of its spectra.
pub(super) fn by_band(observations: &Observations, class: usize, against: usize) -> Vec<Option<f64>> {
    let Ok(RecordedTruth::Classes(truth)) = &observations.truth else { return Vec::new() };
    let explained = Explained::Contrast { class, against };
    let samples = observations.by_sample(|row| observations.partition.coarse(&row.contributions(explained)));
    let of = |which: usize, band: usize| -> Vec<f64> {
        samples.iter().filter(|(row, _)| truth[*row] == Some(which)).map(|(_, values)| values[band]).collect()
    };
    (0..observations.partition.names().len()).map(|band| purity(&of(class, band), &of(against, band))).collect()
}

/// A row per pair, a column per band.
pub(super) fn section(observations: &Observations) -> Section {
    let content = || -> Result<Content, String> {
        match &observations.truth {
            Err(because) => return Err(because.clone()),
            Ok(RecordedTruth::Values(_)) => return Err("the model gives a quantity, and purity is for classes".into()),
            Ok(RecordedTruth::Classes(_)) => {}
        }
        let questions = observations.questions();
        if questions.is_empty() {
            return Err("there are samples of one class only".into());
        }
        let names = observations.partition.names();
        let keys: Vec<String> = (0..names.len()).map(|band| format!("band_{band}")).collect();
        let mut columns = vec![("pair", "class / against")];
        columns.extend(keys.iter().map(String::as_str).zip(names.iter().copied()));
        let rows = questions.iter().filter_map(|&explained| match explained {
            Explained::Contrast { class, against } => {
                let purities = by_band(observations, class, against).into_iter().map(Cell::from);
                Some([observations.named(explained).into()].into_iter().chain(purities).collect())
            }
            Explained::Value => None,
        });
        Ok(Content { tables: vec![Table::new("purity", &columns, rows.collect())], ..Content::default() })
    };
    Section {
        key: "purity",
        title: "Purity by pair of classes (D5)",
        explains: "P = 2 AUC - 1 of the band's contribution to the contrast, over samples (replicates averaged; ties count by \
                   half). 1: the band alone tells the two classes apart; 0: it says nothing; below 0: it argues against."
            .into(),
        content: content(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purity_by_hand() {
        assert_eq!(purity(&[2.0, 3.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(purity(&[0.0], &[1.0, 2.0]), Some(-1.0));
        // Of six pairs: 2 > 1; 2 = 2; 2 < 3; 4 > 1, 2, 3: 4.5 of 6.
        assert_eq!(purity(&[2.0, 4.0], &[1.0, 2.0, 3.0]), Some(0.5));
        assert_eq!(purity(&[7.0, 7.0], &[7.0]), Some(0.0));
        assert_eq!(purity(&[], &[1.0]), None);
    }
}
