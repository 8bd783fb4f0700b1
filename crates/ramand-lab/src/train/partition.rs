//! How samples are split into parts: no replicate of a held-out spectrum is ever trained on.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::dataset::{Dataset, Truth};

/// One split of spectra by sample.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    /// Spectra to fit to.
    pub(super) training: Vec<usize>,
    /// Spectra to predict.
    pub(super) held_out: Vec<usize>,
}

/// Splits the samples of `members` into `folds` parts (fewer where there are fewer samples) of even size, classes evenly.
pub(super) fn partition(data: &Dataset<'_>, members: &[usize], folds: usize, random: &mut ChaCha8Rng) -> Vec<Fold> {
    let mut samples: Vec<(usize, usize)> = members.iter().map(|&spectrum| (data.groups[spectrum], spectrum)).collect();
    samples.sort_unstable();
    samples.dedup_by_key(|&mut (group, _)| group);
    samples.shuffle(random);
    if let Truth::Classes { indices, .. } = &data.truth {
        samples.sort_by_key(|&(_, spectrum)| indices[spectrum]);
    }
    let folds = folds.min(samples.len());
    let mut fold_of = vec![usize::MAX; data.samples()];
    for (position, (group, _)) in samples.into_iter().enumerate() {
        fold_of[group] = position % folds;
    }
    let split = |fold| {
        let (held_out, training) = members.iter().partition(|&&spectrum| fold_of[data.groups[spectrum]] == fold);
        Fold { training, held_out }
    };
    (0..folds).map(split).collect()
}
