//! Spectra that were changed alike.

use std::collections::BTreeMap;

use super::judge::Seen;

/// Spectra after one change, or of one thing the model does not know: in words, and what was seen of each with its sample.
pub(super) struct Group {
    pub(super) words: String,
    pub(super) seen: Vec<(usize, Seen)>,
}

/// The mean over samples of the mean over a sample's spectra; `None` where no spectrum has a value.
pub(super) fn mean_over_samples(values: impl Iterator<Item = (usize, Option<f64>)>) -> Option<f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (sample, value) in values {
        let Some(value) = value else { continue };
        let (sum, count) = sums.entry(sample).or_default();
        (*sum, *count) = (*sum + value, *count + 1.0);
    }
    let means: Vec<f64> = sums.values().map(|(sum, count)| sum / count).collect();
    (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_counts_once() {
        let values = [(0, Some(1.0)), (0, Some(0.0)), (0, Some(0.5)), (7, Some(1.0)), (9, None)];
        assert_eq!(mean_over_samples(values.into_iter()), Some(0.75));
        assert_eq!(mean_over_samples([(1, None)].into_iter()), None);
    }
}
