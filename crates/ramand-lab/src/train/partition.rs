//! How samples are split into parts: no replicate of a held-out spectrum is ever trained on, and nothing of its block.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::dataset::{Dataset, Truth};

/// One split of spectra by sample or block.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    /// Spectra to fit to.
    pub(super) training: Vec<usize>,
    /// Spectra to predict.
    pub(super) held_out: Vec<usize>,
}

/// Splits the units of `members` (blocks, or samples where there are none) into `folds` parts (fewer where there are fewer units) of
/// even size, classes evenly where a unit is of one class.
pub(super) fn partition(data: &Dataset<'_>, members: &[usize], folds: usize, random: &mut ChaCha8Rng) -> Vec<Fold> {
    let mut units: Vec<(usize, usize)> = members.iter().map(|&spectrum| (data.units[spectrum], spectrum)).collect();
    units.sort_unstable();
    units.dedup_by_key(|&mut (unit, _)| unit);
    units.shuffle(random);
    if let Truth::Classes { indices, .. } = &data.truth {
        units.sort_by_key(|&(_, spectrum)| indices[spectrum]);
    }
    let folds = folds.min(units.len());
    let mut fold_of = vec![usize::MAX; data.unit_count()];
    for (position, (unit, _)) in units.into_iter().enumerate() {
        fold_of[unit] = position % folds;
    }
    let split = |fold| {
        let (held_out, training) = members.iter().partition(|&&spectrum| fold_of[data.units[spectrum]] == fold);
        Fold { training, held_out }
    };
    (0..folds).map(split).collect()
}
