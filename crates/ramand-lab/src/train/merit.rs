//! From out-of-fold predictions to `[metrics]`: every figure with its interval, beside PLS, kernel ridge and permuted labels.

use std::collections::BTreeMap;

use ramand_core::median::median;
use ramand_model::manifest::MetricsRecord;

use super::bootstrap::Draws;
use super::crossvalidate::Permuted;
use super::dataset::{Dataset, Truth};
use super::figures::{RegressionFigures, RegressionSums, best};
use super::out_of_fold::OutOfFold;
use super::precision::{SampleSums, blank_sd, detection_limit, replicate_sd};

/// Every figure of the out-of-fold predictions of `data`.
pub(super) fn metrics(
    data: &Dataset<'_>,
    held_out: &[OutOfFold],
    permuted: &[Permuted],
    draws: &Draws,
) -> MetricsRecord {
    match &data.truth {
        Truth::Values(values) => quantity(data, values, held_out, permuted, draws),
        Truth::Classes { labels, indices } => classes(data, ClassTruth { labels, indices }, held_out, permuted, draws),
    }
}

/// What can be added up, `[repeat][sample]`.
struct Tally<T>(Vec<Vec<T>>);

impl<T: Clone + Default> Tally<T> {
    fn new(data: &Dataset<'_>, rows: &[OutOfFold], mut add: impl FnMut(&mut T, &OutOfFold)) -> Self {
        let repeats = rows.iter().map(|row| row.repeat + 1).max().unwrap_or(0);
        let mut tally = vec![vec![T::default(); data.samples()]; repeats];
        for row in rows {
            add(&mut tally[row.repeat][data.groups[row.spectrum]], row);
        }
        Self(tally)
    }

    /// The median over repeats of a figure, where each sample counts as often as `counts` says.
    fn median(&self, counts: &[u32], figure: impl Fn(&[(f64, &T)]) -> f64) -> f64 {
        let of = |samples: &Vec<T>| {
            let counted = counts.iter().zip(samples).filter(|(count, _)| **count > 0);
            figure(&counted.map(|(&count, sample)| (f64::from(count), sample)).collect::<Vec<_>>())
        };
        median(&mut self.0.iter().map(of).collect::<Vec<_>>())
    }
}

/// Figures by their keys in `[metrics]`.
struct Evaluation<'a> {
    draws: &'a Draws,
    /// The unit that each sample is drawn with.
    units: Vec<usize>,
    values: BTreeMap<String, f64>,
    intervals: BTreeMap<String, [f64; 2]>,
}

impl<'a> Evaluation<'a> {
    fn new(data: &Dataset<'_>, draws: &'a Draws) -> Self {
        Self { draws, units: data.units_of_samples(), values: BTreeMap::new(), intervals: BTreeMap::new() }
    }

    /// `figure` is given how often each sample counts: as often as its unit was drawn.
    fn add(&mut self, key: &str, figure: impl Fn(&[u32]) -> f64) {
        self.values.insert(key.to_owned(), figure(&vec![1; self.units.len()]));
        let by_sample = |counts: &[u32]| figure(&self.units.iter().map(|&unit| counts[unit]).collect::<Vec<_>>());
        if let Some(interval) = self.draws.interval(by_sample) {
            self.intervals.insert(key.to_owned(), interval);
        }
    }

    /// `None` where it is undefined, as the spread between replicates is where there are none.
    fn value(&self, key: &str) -> Option<f64> {
        self.values.get(key).copied().filter(|value| value.is_finite())
    }
}

/// Model, PLS and kernel ridge.
const PREDICTORS: usize = 3;

fn quantity(
    data: &Dataset<'_>,
    values: &[f64],
    held_out: &[OutOfFold],
    permuted: &[Permuted],
    draws: &Draws,
) -> MetricsRecord {
    let tally = Tally::new(data, held_out, |sums: &mut [RegressionSums; PREDICTORS], row| {
        let predicted = [row.prediction[0], row.pls[0], row.kernel.as_ref().map_or(f32::NAN, |kernel| kernel[0])];
        sums.iter_mut().zip(predicted).for_each(|(sums, value)| sums.add(values[row.spectrum], f64::from(value)));
    });
    let mut evaluation = Evaluation::new(data, draws);
    type Pick = fn([RegressionFigures; PREDICTORS]) -> f64;
    let figures: [(&str, Pick); 7] = [
        ("rmsecv", |[model, ..]| model.rmse),
        ("rmsecv_pls", |[_, pls, _]| pls.rmse),
        ("rmsecv_kernel_ridge", |[.., kernel]| kernel.rmse),
        ("rmsecv_ratio", |[model, pls, _]| model.rmse / pls.rmse),
        ("r2", |[model, ..]| model.r2),
        ("bias", |[model, ..]| model.bias),
        ("slope", |[model, ..]| model.slope),
    ];
    let has_kernel = held_out.iter().all(|row| row.kernel.is_some());
    for (key, pick) in figures.into_iter().filter(|(key, _)| has_kernel || *key != "rmsecv_kernel_ridge") {
        evaluation.add(key, |counts| {
            tally.median(counts, |samples| {
                let mut sums = [RegressionSums::default(); PREDICTORS];
                for (count, sample) in samples {
                    sums.iter_mut().zip(sample.iter()).for_each(|(sum, &of)| sum.add_times(of, *count));
                }
                pick(sums.map(|sums| sums.figures()))
            })
        });
    }
    let by_sample = Tally::new(data, held_out, |sums: &mut SampleSums, row| {
        sums.add(values[row.spectrum], f64::from(row.prediction[0]));
    });
    type PrecisionFigure = fn(&[(f64, &SampleSums)]) -> f64;
    let precision: [(&str, PrecisionFigure); 3] =
        [("replicate_sd", replicate_sd), ("blank_sd", blank_sd), ("detection_limit", detection_limit)];
    for (key, figure) in precision {
        evaluation.add(key, |counts| by_sample.median(counts, figure));
    }
    let rmse = |truth: &[f64], predicted: &dyn Fn(&OutOfFold) -> f32, rows: &mut dyn Iterator<Item = &OutOfFold>| {
        let mut sums = RegressionSums::default();
        rows.for_each(|row| sums.add(truth[row.spectrum], f64::from(predicted(row))));
        sums.figures().rmse
    };
    let by_permutation = permuted.iter().filter_map(|Permuted { truth, rows }| match truth {
        Truth::Values(truth) => Some(rmse(truth, &|row| row.prediction[0], &mut rows.iter())),
        Truth::Classes { .. } => None,
    });
    let mut by_permutation: Vec<f64> = by_permutation.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let by_network = networks(held_out, |network, repeat| {
        let mut rows = held_out.iter().filter(|row| row.repeat == repeat);
        rmse(values, &|row| row.each[network][0], &mut rows)
    });
    let disagreement = |row: &OutOfFold| {
        let each = row.each.iter().map(|one| f64::from(one[0] - row.prediction[0]).powi(2));
        each.sum::<f64>() / (row.each.len() - 1) as f64
    };
    MetricsRecord {
        rmsecv: evaluation.value("rmsecv"),
        rmsecv_pls: evaluation.value("rmsecv_pls"),
        rmsecv_kernel_ridge: evaluation.value("rmsecv_kernel_ridge"),
        rmsecv_ratio: evaluation.value("rmsecv_ratio"),
        rmsecv_permuted: (!by_permutation.is_empty()).then(|| median(&mut by_permutation)),
        rmsecv_mean: Some(variance.sqrt()),
        r2: evaluation.value("r2"),
        bias: evaluation.value("bias"),
        slope: evaluation.value("slope"),
        replicate_sd: evaluation.value("replicate_sd"),
        blank_sd: evaluation.value("blank_sd"),
        detection_limit: evaluation.value("detection_limit"),
        network_spread: (!by_network.is_empty())
            .then(|| (held_out.iter().map(disagreement).sum::<f64>() / held_out.len() as f64).sqrt()),
        networks: by_network,
        interval: evaluation.intervals,
        ..MetricsRecord::default()
    }
}

/// Spectra of one sample, which is of one class.
#[derive(Debug, Clone, Copy, Default)]
struct ClassSums {
    class: usize,
    spectra: f64,
    right: f64,
    right_pls: f64,
    right_kernel: f64,
}

/// The labels, and the index of each spectrum's among them.
struct ClassTruth<'a> {
    labels: &'a [String],
    indices: &'a [usize],
}

fn classes(
    data: &Dataset<'_>,
    ClassTruth { labels, indices }: ClassTruth<'_>,
    held_out: &[OutOfFold],
    permuted: &[Permuted],
    draws: &Draws,
) -> MetricsRecord {
    let mut confusion = vec![vec![0; labels.len()]; labels.len()];
    let is_right = |scores: &[f32], row: &OutOfFold| f64::from(u8::from(best(scores) == indices[row.spectrum]));
    let tally = Tally::new(data, held_out, |sums: &mut ClassSums, row| {
        confusion[indices[row.spectrum]][best(&row.prediction)] += 1;
        sums.class = indices[row.spectrum];
        sums.spectra += 1.0;
        sums.right += is_right(&row.prediction, row);
        sums.right_pls += is_right(&row.pls, row);
        sums.right_kernel += row.kernel.as_ref().map_or(0.0, |kernel| is_right(kernel, row));
    });
    let mut evaluation = Evaluation::new(data, draws);
    let mut share = |key: &str, counts_in: &dyn Fn(&ClassSums) -> bool, right: fn(&ClassSums) -> f64| {
        evaluation.add(key, |counts| {
            tally.median(counts, |samples| {
                let counted = samples.iter().filter(|(_, sample)| counts_in(sample));
                let add = |sum: (f64, f64), (count, sample): &(f64, &ClassSums)| {
                    (sum.0 + count * right(sample), sum.1 + count * sample.spectra)
                };
                let (right, spectra) = counted.fold((0.0, 0.0), add);
                right / spectra
            })
        });
        evaluation.value(key)
    };
    let every = |_: &ClassSums| true;
    let accuracy = share("accuracy", &every, |sample| sample.right);
    let accuracy_pls = share("accuracy_pls", &every, |sample| sample.right_pls);
    let has_kernel = held_out.iter().all(|row| row.kernel.is_some());
    let accuracy_kernel_ridge =
        if has_kernel { share("accuracy_kernel_ridge", &every, |sample| sample.right_kernel) } else { None };
    let accuracy_gain = share("accuracy_gain", &every, |sample| sample.right - sample.right_pls);
    let recall = labels.iter().enumerate();
    let recall = recall.filter_map(|(class, label)| {
        share(&format!("recall {label}"), &|sample| sample.class == class, |sample| sample.right)
    });
    let recall = recall.collect();

    let right_share = |indices: &[usize], scores: &dyn Fn(&OutOfFold) -> &[f32], rows: &[&OutOfFold]| {
        let right = rows.iter().filter(|row| best(scores(row)) == indices[row.spectrum]).count();
        right as f64 / rows.len() as f64
    };
    let by_permutation = permuted.iter().filter_map(|Permuted { truth, rows }| match truth {
        Truth::Classes { indices, .. } => {
            Some(right_share(indices, &|row| &row.prediction, &rows.iter().collect::<Vec<_>>()))
        }
        Truth::Values(_) => None,
    });
    let mut by_permutation: Vec<f64> = by_permutation.collect();
    let by_network = networks(held_out, |network, repeat| {
        let rows: Vec<&OutOfFold> = held_out.iter().filter(|row| row.repeat == repeat).collect();
        right_share(indices, &|row| &row.each[network], &rows)
    });
    let disagree = |row: &&OutOfFold| row.each.iter().any(|scores| best(scores) != best(&row.each[0]));
    let frequency = |class: usize| indices.iter().filter(|&&index| index == class).count();
    let most = (0..labels.len()).map(frequency).max().unwrap_or(0);
    MetricsRecord {
        accuracy,
        accuracy_pls,
        accuracy_kernel_ridge,
        accuracy_gain,
        accuracy_permuted: (!by_permutation.is_empty()).then(|| median(&mut by_permutation)),
        accuracy_majority: Some(most as f64 / indices.len() as f64),
        network_spread: (!by_network.is_empty())
            .then(|| held_out.iter().filter(disagree).count() as f64 / held_out.len() as f64),
        networks: by_network,
        recall,
        confusion,
        interval: evaluation.intervals,
        ..MetricsRecord::default()
    }
}

/// The median over repeats of a figure of each network; empty where there are not several in every fold.
fn networks(held_out: &[OutOfFold], figure: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let count = networks_everywhere(held_out);
    let repeats = held_out.iter().map(|row| row.repeat + 1).max().unwrap_or(0);
    let of = |network| median(&mut (0..repeats).map(|repeat| figure(network, repeat)).collect::<Vec<_>>());
    if count > 1 { (0..count).map(of).collect() } else { Vec::new() }
}

/// Networks of the models of all folds; 1 where one of them has none, or has fewer.
pub(super) fn networks_everywhere(held_out: &[OutOfFold]) -> usize {
    held_out.iter().map(|row| row.each.len()).min().unwrap_or(0)
}
