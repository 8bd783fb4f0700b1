//! Cross-validation by independent sample: every spectrum is predicted by models that saw no replicate of it.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::choose::{Choices, Nested};
use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::out_of_fold::{HeldOutSpectrum, OutOfFold};
use super::parallel::in_parallel;
use super::partition::{Fold, partition};

/// How spectra are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValidationPlan {
    /// Parts the samples are split into.
    pub(super) folds: usize,
    /// How often, each time split anew.
    pub(super) repeats: usize,
    /// How often with permuted labels.
    pub(super) permutations: usize,
    /// Of every random choice.
    pub(super) seed: u64,
    /// Fits at a time; the result does not depend on it.
    pub(super) threads: usize,
}

/// What is left to learn once the labels were permuted among the samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Permuted {
    /// What each spectrum was said to be.
    pub(super) truth: Truth,
    /// Predictions of the first network, in the order of fold and dataset.
    pub(super) rows: Vec<OutOfFold>,
}

/// Everything that was fitted.
pub(super) struct Validated {
    /// In the order of repeat, fold and dataset.
    pub(super) held_out: Vec<OutOfFold>,
    /// One per permutation.
    pub(super) permuted: Vec<Permuted>,
    /// Chosen and fitted on all samples: what is kept.
    pub(super) last: Nested,
}

/// Independent streams of random numbers from one seed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Splitting the samples.
    Splitting {
        repeat: usize,
    },
    /// A fit of the cross-validation.
    Fold {
        /// Of all repeats, in order.
        index: usize,
    },
    /// Permuting labels.
    Permutation {
        permutation: usize,
    },
    /// Splitting the samples that have new labels.
    PermutedSplitting {
        permutation: usize,
    },
    /// A fit to permuted labels.
    PermutedFold {
        /// Of all permutations, in order.
        index: usize,
    },
    /// The fit that is kept.
    Last,
    /// The gate's limits.
    Gate,
    Bootstrap,
}

/// The generator of one purpose: what is drawn for one never moves what is drawn for another.
pub(super) fn random(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let stream = match purpose {
        Purpose::Last => 0,
        Purpose::Gate => 1,
        Purpose::Bootstrap => 2,
        Purpose::Splitting { repeat } => 1 << 32 | repeat as u64,
        Purpose::Fold { index } => 2 << 32 | index as u64,
        Purpose::Permutation { permutation } => 3 << 32 | permutation as u64,
        Purpose::PermutedSplitting { permutation } => 4 << 32 | permutation as u64,
        Purpose::PermutedFold { index } => 5 << 32 | index as u64,
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// One thing to fit, with the streams of its random numbers.
enum Job {
    /// To all samples.
    Last,
    /// To the samples outside one fold.
    Fold { repeat: usize, fold: usize, index: usize, part: Fold },
    /// The same with permuted labels.
    Permuted { permutation: usize, fold: usize, index: usize, part: Fold },
}

/// What becomes of it.
enum Done {
    Last(Box<Nested>),
    Fold(Vec<OutOfFold>),
    Permuted(usize, Vec<OutOfFold>),
}

/// Predicts every spectrum out of fold, `plan.repeats` times; does the same with labels permuted among samples,
/// `plan.permutations` times; and fits to all samples.
///
/// # Errors
/// The first failure of a fit.
pub(super) fn crossvalidate(choices: &Choices<'_>, plan: &ValidationPlan) -> Result<Validated, TrainError> {
    let data = &choices.preprocessings[0];
    let everything: Vec<usize> = (0..data.len()).collect();
    let relabelled: Vec<Vec<Dataset<'_>>> = (0..plan.permutations)
        .map(|permutation| {
            let truth = permute(data, &mut random(plan.seed, Purpose::Permutation { permutation }));
            choices.preprocessings.iter().map(|data| data.relabelled(truth.clone())).collect()
        })
        .collect();
    // The fit to all samples takes longest, so it starts first.
    let mut jobs = vec![Job::Last];
    for repeat in 0..plan.repeats {
        let parts = partition(data, &everything, plan.folds, &mut random(plan.seed, Purpose::Splitting { repeat }));
        for (fold, part) in parts.into_iter().enumerate() {
            jobs.push(Job::Fold { repeat, fold, index: repeat * plan.folds + fold, part });
        }
    }
    for (permutation, data) in relabelled.iter().enumerate() {
        let mut random = random(plan.seed, Purpose::PermutedSplitting { permutation });
        for (fold, part) in partition(&data[0], &everything, plan.folds, &mut random).into_iter().enumerate() {
            jobs.push(Job::Permuted { permutation, fold, index: permutation * plan.folds + fold, part });
        }
    }
    let run = |index: usize| match &jobs[index] {
        Job::Last => Nested::new(choices, &everything, &mut random(plan.seed, Purpose::Last))
            .map(|last| Done::Last(Box::new(last))),
        Job::Fold { repeat, fold, index, part } => {
            let mut random = random(plan.seed, Purpose::Fold { index: *index });
            let nested = Nested::new(choices, &part.training, &mut random)?;
            let predict =
                |&spectrum: &usize| nested.predict(choices, HeldOutSpectrum { spectrum, repeat: *repeat, fold: *fold });
            Ok(Done::Fold(part.held_out.iter().map(predict).collect()))
        }
        Job::Permuted { permutation, fold, index, part } => {
            let choices = Choices { preprocessings: &relabelled[*permutation], networks: 1, ..*choices };
            let mut random = random(plan.seed, Purpose::PermutedFold { index: *index });
            let nested = Nested::new(&choices, &part.training, &mut random)?;
            let predict =
                |&spectrum: &usize| nested.predict(&choices, HeldOutSpectrum { spectrum, repeat: 0, fold: *fold });
            Ok(Done::Permuted(*permutation, part.held_out.iter().map(predict).collect()))
        }
    };
    let truths = relabelled.iter().map(|data| data[0].truth.clone());
    let mut permuted: Vec<Permuted> = truths.map(|truth| Permuted { truth, rows: Vec::new() }).collect();
    let (mut held_out, mut last) = (Vec::new(), None);
    for done in in_parallel(jobs.len(), plan.threads, run)? {
        match done {
            Done::Last(nested) => last = Some(*nested),
            Done::Fold(rows) => held_out.extend(rows),
            Done::Permuted(permutation, rows) => permuted[permutation].rows.extend(rows),
        }
    }
    Ok(Validated { held_out, permuted, last: last.expect("the first job is the last fit") })
}

/// Labels permuted among samples: a sample gets those of another one, replicate by replicate.
fn permute(data: &Dataset<'_>, random: &mut ChaCha8Rng) -> Truth {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); data.samples()];
    for (spectrum, &group) in data.groups.iter().enumerate() {
        members[group].push(spectrum);
    }
    let mut source: Vec<usize> = (0..members.len()).collect();
    source.shuffle(random);
    let mut from = vec![0; data.len()];
    for (own, &other) in members.iter().zip(&source) {
        for (place, &spectrum) in own.iter().enumerate() {
            from[spectrum] = members[other][place % members[other].len()];
        }
    }
    match &data.truth {
        Truth::Values(values) => Truth::Values(from.iter().map(|&spectrum| values[spectrum]).collect()),
        Truth::Classes { labels, indices } => {
            let indices = from.iter().map(|&spectrum| indices[spectrum]).collect();
            Truth::Classes { labels: labels.clone(), indices }
        }
    }
}
