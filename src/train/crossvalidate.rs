//! Cross-validation by independent sample: every spectrum is predicted by models that saw no replicate of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::fit::{Fit, Progress, Recipe};

/// How spectra are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Parts the samples are dealt into.
    pub(super) folds: usize,
    /// How often, each time dealt anew.
    pub(super) repeats: usize,
    /// Of every random choice.
    pub(super) seed: u64,
    /// Fits at a time; the result does not depend on it.
    pub(super) threads: usize,
}

/// One spectrum predicted by a model that saw no replicate of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutOfFold {
    /// Index into the dataset.
    pub(super) spectrum: usize,
    /// Which dealing, from 0.
    pub(super) repeat: usize,
    /// Which part was held out, from 0.
    pub(super) fold: usize,
    /// One number per output.
    pub(super) prediction: Vec<f32>,
    /// The same from the best PLS alone, fitted to the same spectra.
    pub(super) pls: Vec<f32>,
}

/// One split of spectra by sample.
pub(super) struct Partition {
    /// Spectra to fit to.
    pub(super) training: Vec<usize>,
    /// Spectra to predict.
    pub(super) held_out: Vec<usize>,
}

/// Independent streams of random numbers from one seed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Dealing the samples.
    Dealing {
        /// Which repeat.
        repeat: usize,
    },
    /// A fit of the cross-validation.
    Fold {
        /// Of all repeats, in order.
        index: usize,
    },
    /// The fit that is kept.
    Final,
    /// The gate's limits.
    Gate,
}

/// The generator of one purpose: what is drawn for one never moves what is drawn for another.
pub(super) fn random(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let stream = match purpose {
        Purpose::Final => 0,
        Purpose::Gate => 1,
        Purpose::Dealing { repeat } => 1 << 32 | repeat as u64,
        Purpose::Fold { index } => 2 << 32 | index as u64,
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// Deals the samples of `members` into `folds` parts (fewer where there are fewer samples) of even size, classes evenly.
pub(super) fn partition(
    data: &Dataset<'_>,
    members: &[usize],
    folds: usize,
    random: &mut ChaCha8Rng,
) -> Vec<Partition> {
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
        Partition { training, held_out }
    };
    (0..folds).map(split).collect()
}

/// Predicts every spectrum out of fold, `plan.repeats` times, in the order of repeat, fold and dataset.
///
/// # Errors
/// The first failure of a fit, in the order of the folds.
pub(super) fn crossvalidate(
    data: &Dataset<'_>,
    plan: &Plan,
    recipe: &Recipe,
    progress: &Progress,
) -> Result<Vec<OutOfFold>, TrainError> {
    let everything: Vec<usize> = (0..data.len()).collect();
    let jobs: Vec<(usize, usize, Partition)> = (0..plan.repeats)
        .flat_map(|repeat| {
            let mut random = random(plan.seed, Purpose::Dealing { repeat });
            let parts = partition(data, &everything, plan.folds, &mut random).into_iter().enumerate();
            parts.map(move |(fold, part)| (repeat, fold, part))
        })
        .collect();
    let run = |index: usize| {
        let (repeat, fold, Partition { training, held_out }) = &jobs[index];
        let mut random = random(plan.seed, Purpose::Fold { index });
        let fit = Fit::new(data, training, recipe, &mut random, progress)?;
        Ok(held_out
            .iter()
            .map(|&spectrum| OutOfFold {
                spectrum,
                repeat: *repeat,
                fold: *fold,
                prediction: fit.predict(data.prepared(spectrum)),
                pls: fit.predict_baseline(data.prepared(spectrum)),
            })
            .collect::<Vec<_>>())
    };
    Ok(in_parallel(jobs.len(), plan.threads, run)?.concat())
}

/// Runs jobs 0..count on `threads` threads; each has its own random numbers, so that the result is the same on any number.
fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    job: impl Fn(usize) -> Result<T, TrainError> + Sync,
) -> Result<Vec<T>, TrainError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<T, TrainError>>>> = Mutex::new((0..count).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = job(index);
                    results.lock().expect("no job panics while it holds the lock")[index] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("no job panics while it holds the lock");
    results.into_iter().map(|result| result.expect("every job ran")).collect()
}
