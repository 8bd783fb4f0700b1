//! Labels and spectra unlike the others, named after cross-validation. Nothing is left out because of them.
//!
//! A wrong label spoils the very models that are to find it, and its own error is not in proportion any more. So scales are robust: the
//! median absolute deviation, which half of the samples would have to be wrong to move. Limits are for one false alarm in twenty sets of
//! samples without any fault: 5 % over the number of samples (Bonferroni), where errors are normally distributed.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use ramand_core::median::median;
use ramand_model::manifest::SuspectRecord;
use ramand_recording::Recording;
use statrs::distribution::{Beta, ContinuousCDF, FisherSnedecor, Normal, StudentsT};

use super::dataset::{Dataset, Truth};
use super::figures::{best, quantile};
use super::out_of_fold::OutOfFold;
use super::pls::Pls;

/// False alarms a set of samples.
const FALSE_ALARMS: f64 = 0.05;
/// Of a normal distribution, over its median absolute deviation.
const MAD_TO_SD: f64 = 1.4826;
/// Fewer samples, or degrees of freedom, say nothing about a scale.
const SAMPLES_MIN: usize = 10;
const FREEDOM_MIN: usize = 5;
/// A leverage this near 1 is a sample that the fit follows wherever it goes.
const LEVERAGE_MAX: f64 = 0.999;
/// A wrong class is as sure as a right one where its margin is among the upper nine tenths of the right ones'.
const AS_SURE_AS: f64 = 0.1;

/// What is looked through.
pub(super) struct Scrutiny<'a> {
    pub(super) recording: &'a Recording,
    pub(super) data: &'a Dataset<'a>,
    /// Column of the truth.
    pub(super) target: &'a str,
    pub(super) held_out: &'a [OutOfFold],
    /// Of PLS, whose scores say how far a sample is from the others.
    pub(super) components: usize,
}

/// Spectra that have sample and label in common, with what models without them say.
struct Item {
    spectra: Vec<usize>,
    /// By output: mean over spectra, median over repeats.
    prediction: Vec<f64>,
    /// Whether any of the predictions names the label's class; of classes only.
    once_right: bool,
}

impl Scrutiny<'_> {
    /// Everything that is beyond a limit, in the order of the file.
    pub(super) fn suspects(&self) -> Vec<SuspectRecord> {
        let items = self.items();
        let mut found = match &self.data.truth {
            Truth::Values(values) => self.quantities(values, &items),
            Truth::Classes { labels, indices } => self.contradicted(labels, indices, &items),
        };
        found.extend(self.odd_replicates());
        found.sort_by(|a, b| a.lines.cmp(&b.lines));
        found
    }

    fn items(&self) -> Vec<Item> {
        let Self { data, held_out, .. } = self;
        let key = |spectrum: usize| match &data.truth {
            Truth::Values(values) => (data.groups[spectrum], values[spectrum].to_bits()),
            Truth::Classes { .. } => (data.groups[spectrum], 0),
        };
        let mut rows = BTreeMap::<(usize, u64), Vec<&OutOfFold>>::new();
        held_out.iter().for_each(|row| rows.entry(key(row.spectrum)).or_default().push(row));
        let item = |rows: Vec<&OutOfFold>| {
            let mut spectra: Vec<usize> = rows.iter().map(|row| row.spectrum).collect();
            spectra.sort_unstable();
            spectra.dedup();
            let repeats = rows.iter().map(|row| row.repeat + 1).max().unwrap_or(0);
            let of_repeat = |output: usize, repeat: usize| {
                let of = rows.iter().filter(|row| row.repeat == repeat);
                let values: Vec<f64> = of.map(|row| f64::from(row.prediction[output])).collect();
                values.iter().sum::<f64>() / values.len() as f64
            };
            let over_repeats =
                |output| median(&mut (0..repeats).map(|repeat| of_repeat(output, repeat)).collect::<Vec<_>>());
            let once_right = match &data.truth {
                Truth::Values(_) => false,
                Truth::Classes { indices, .. } => rows.iter().any(|row| best(&row.prediction) == indices[row.spectrum]),
            };
            Item { spectra, prediction: (0..data.truth.outputs()).map(over_repeats).collect(), once_right }
        };
        rows.into_values().map(item).collect()
    }

    fn record(
        &self,
        spectra: &[usize],
        prediction: Option<String>,
        beyond: BTreeMap<String, [f64; 2]>,
    ) -> SuspectRecord {
        let rows = || spectra.iter().map(|&spectrum| &self.recording.spectra[spectrum]);
        let label = rows().next().and_then(|row| row.labels.get(self.target)).cloned().unwrap_or_default();
        let (lines, ids) = rows().map(|row| (row.line, row.id.clone())).unzip();
        SuspectRecord { lines, ids, label, prediction, beyond }
    }

    /// Studentised residuals, leverages and Cook's distances of a quantity.
    fn quantities(&self, values: &[f64], items: &[Item]) -> Vec<SuspectRecord> {
        let count = items.len();
        let components = self.components.min(count.saturating_sub(FREEDOM_MIN + 1));
        if count < SAMPLES_MIN {
            return Vec::new();
        }
        let truth = |item: &Item| values[item.spectra[0]];
        let means: Vec<DVector<f64>> = items.iter().map(|item| self.mean(&item.spectra)).collect();
        let spectra = DMatrix::from_fn(count, self.data.features, |row, point| means[row][point]);
        let pls = Pls::fit(&spectra, &DMatrix::from_fn(count, 1, |row, _| truth(&items[row])), components);
        let (scores, components) = (pls.scores(&spectra), pls.components());
        let leverages: Vec<f64> =
            scores.row_iter().map(|row| (1.0 / count as f64 + row.norm_squared()).min(LEVERAGE_MAX)).collect();
        let errors = items.iter().map(|item| item.prediction[0] - truth(item));
        let Some(limits) = Limits::new(count, components) else { return Vec::new() };
        let leverage_limit = limits.leverage.max(usual_leverage(&leverages).unwrap_or(LEVERAGE_MAX));
        let studentised = studentised(&errors.collect::<Vec<_>>(), &leverages, limits.residual);
        let beyond = |row: usize| {
            let leverage = leverages[row];
            let mut found = vec![("leverage", leverage, leverage_limit)];
            if let Some(residuals) = &studentised {
                let residual = residuals[row];
                let cook = residual * residual * leverage / ((components as f64 + 1.0) * (1.0 - leverage));
                found.extend([
                    ("studentised residual", residual, limits.residual),
                    ("Cook's distance", cook, limits.cook),
                ]);
            }
            let beyond = found.into_iter().filter(|(_, value, limit)| value.abs() > *limit);
            beyond.map(|(what, value, limit)| (what.to_owned(), [value, limit])).collect::<BTreeMap<_, _>>()
        };
        let found = items.iter().enumerate().map(|(row, item)| (item, beyond(row)));
        let named = found.filter(|(_, beyond)| !beyond.is_empty());
        named.map(|(item, beyond)| self.record(&item.spectra, Some(rounded(item.prediction[0])), beyond)).collect()
    }

    /// Labels of classes that every model contradicts as surely as it names others rightly: exchanged labels, most of the time.
    fn contradicted(&self, labels: &[String], indices: &[usize], items: &[Item]) -> Vec<SuspectRecord> {
        let margin = |item: &Item| {
            let own = indices[item.spectra[0]];
            let others = item.prediction.iter().enumerate().filter(|(class, _)| *class != own);
            item.prediction[own] - others.map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max)
        };
        let margins: Vec<f64> = items.iter().map(margin).collect();
        let mut right: Vec<f64> = margins.iter().copied().filter(|margin| *margin > 0.0).collect();
        let Some(limit) = normal_limit(items.len()).filter(|_| right.len() >= SAMPLES_MIN) else { return Vec::new() };
        let Some((centre, scale)) = robust(&margins) else { return Vec::new() };
        let sure = quantile(&mut right, AS_SURE_AS);
        let named = items.iter().zip(&margins).filter_map(|(item, margin)| {
            let below = (margin - centre) / scale;
            let named = !item.once_right && -margin >= sure && -below > limit;
            let scores: Vec<f32> = item.prediction.iter().map(|&score| score as f32).collect();
            named.then(|| {
                let beyond = BTreeMap::from([("margin of the label's class".to_owned(), [below, -limit])]);
                self.record(&item.spectra, Some(labels[best(&scores)].clone()), beyond)
            })
        });
        named.collect()
    }

    /// Spectra unlike the others of their sample: d = √((m − 1) / m) ‖x − mean of the other m − 1‖, whose logarithm is compared with
    /// those of all samples. Of two that are unlike each other nobody knows which one it is; of several, the farthest is named.
    fn odd_replicates(&self) -> Vec<SuspectRecord> {
        let data = self.data;
        let mut samples: Vec<Vec<usize>> = vec![Vec::new(); data.samples()];
        data.groups.iter().enumerate().for_each(|(spectrum, &group)| samples[group].push(spectrum));
        samples.retain(|spectra| spectra.len() > 1);
        let mut distances = Vec::new();
        for spectra in &samples {
            let mean = self.mean(spectra);
            // x − mean of the others = (x − mean of all) m / (m − 1).
            let count = spectra.len() as f64;
            let factor = (count / (count - 1.0)).sqrt();
            for &spectrum in &spectra[usize::from(spectra.len() == 2)..] {
                let apart = factor * (self.mean(&[spectrum]) - &mean).norm();
                distances.push((spectra, spectrum, apart.max(f64::MIN_POSITIVE).ln()));
            }
        }
        let logarithms: Vec<f64> = distances.iter().map(|(.., logarithm)| *logarithm).collect();
        let limit = normal_limit(distances.len()).filter(|_| samples.len() >= SAMPLES_MIN);
        let (Some(limit), Some((centre, scale))) = (limit, robust(&logarithms)) else { return Vec::new() };
        let mut farthest = BTreeMap::<usize, (&Vec<usize>, usize, f64)>::new();
        for (spectra, spectrum, logarithm) in distances {
            let above = (logarithm - centre) / scale;
            let one = farthest.entry(spectra[0]).or_insert((spectra, spectrum, above));
            if above > one.2 {
                *one = (spectra, spectrum, above);
            }
        }
        let named = farthest.into_values().filter(|(.., above)| *above > limit).map(|(spectra, spectrum, above)| {
            let named = if spectra.len() == 2 { &spectra[..] } else { &[spectrum] };
            let beyond = BTreeMap::from([("distance from replicates".to_owned(), [above, limit])]);
            self.record(named, None, beyond)
        });
        named.collect()
    }

    /// Of preprocessed spectra.
    fn mean(&self, spectra: &[usize]) -> DVector<f64> {
        self.data.spectra(spectra).row_mean().transpose()
    }
}

/// What `count` samples without a fault exceed in one set of twenty, with so many components.
struct Limits {
    /// Student's t, two-sided.
    residual: f64,
    /// Leverages of normally distributed scores: h − 1/n = (n − 1)/n · Beta(a/2, (n − a − 1)/2).
    leverage: f64,
    /// The median of F(a + 1, n − a − 1), where leaving one sample out moves the fit to the edge of its 50 % confidence region
    /// (R. D. Cook, Technometrics 19 (1977) 15-18).
    cook: f64,
}

impl Limits {
    fn new(count: usize, components: usize) -> Option<Self> {
        let (n, a) = (count as f64, components as f64);
        let freedom = n - a - 1.0;
        // A label that is wrong enough leaves PLS no component that does better than the mean.
        let leverage = match components {
            0 => LEVERAGE_MAX,
            _ => {
                let quantile = Beta::new(0.5 * a, 0.5 * freedom).ok()?.inverse_cdf(1.0 - FALSE_ALARMS / n);
                1.0 / n + (n - 1.0) / n * quantile
            }
        };
        Some(Self {
            residual: StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(1.0 - 0.5 * FALSE_ALARMS / n),
            leverage,
            cook: FisherSnedecor::new(a + 1.0, freedom).ok()?.inverse_cdf(0.5),
        })
    }
}

/// What `count` numbers of a standard normal distribution exceed in one set of twenty.
fn normal_limit(count: usize) -> Option<f64> {
    (count > 0).then(|| Normal::standard().inverse_cdf(1.0 - FALSE_ALARMS / count as f64))
}

/// Median, and 1.4826 times the median absolute deviation from it; `None` where more than half are the same.
fn robust(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let centre = median(&mut values.to_vec());
    let scale = MAD_TO_SD * median(&mut values.iter().map(|value| (value - centre).abs()).collect::<Vec<_>>());
    (scale > 0.0 && scale.is_finite()).then_some((centre, scale))
}

/// What leverages of this set hardly exceed: 1/n and above it a logarithmic normal distribution, by median and median absolute
/// deviation. Scores of measured spectra have heavier tails than the Beta distribution is for.
fn usual_leverage(leverages: &[f64]) -> Option<f64> {
    let least = 1.0 / leverages.len() as f64;
    let logarithms: Vec<f64> = leverages.iter().map(|h| (h - least).max(f64::MIN_POSITIVE).ln()).collect();
    let (centre, scale) = robust(&logarithms)?;
    Some(least + (centre + normal_limit(leverages.len())? * scale).exp())
}

/// Externally studentised residuals of held-out samples: d = e √(1 − h), since the error of a sample that a linear fit did not see has
/// the variance σ² / (1 − h), less the median of all, over the standard deviation of the others. That is the larger of the robust
/// one and that of the samples within `limit` robust ones, the sample itself left out.
fn studentised(errors: &[f64], leverages: &[f64], limit: f64) -> Option<Vec<f64>> {
    let scaled: Vec<f64> = errors.iter().zip(leverages).map(|(error, h)| error * (1.0 - h).sqrt()).collect();
    let (centre, scale) = robust(&scaled)?;
    let within = |value: f64| (value - centre).abs() <= limit * scale;
    let kept = scaled.iter().filter(|value| within(**value));
    let (count, squares) =
        kept.fold((0.0, 0.0), |(count, squares), value| (count + 1.0, squares + (value - centre).powi(2)));
    let of = |&value: &f64| {
        let own = if within(value) { 1.0 } else { 0.0 };
        let others = (squares - own * (value - centre).powi(2)) / (count - own - 1.0);
        (value - centre) / scale.max(others.sqrt())
    };
    Some(scaled.iter().map(of).collect())
}

/// Four digits.
fn rounded(value: f64) -> String {
    let before = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    format!("{value:.*}", (3.0 - before).clamp(0.0, 12.0) as usize)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    const SETS: usize = 400;
    const SAMPLES: usize = 60;

    #[test]
    fn normal_errors_raise_an_alarm_in_one_set_of_twenty() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let limits = Limits::new(SAMPLES, 4).expect("enough samples");
        let alarms = |random: &mut ChaCha8Rng| {
            let mut draw = || -> f64 { StandardNormal.sample(random) };
            let leverages = [0.08; SAMPLES];
            let errors: Vec<f64> = leverages.iter().map(|h| 3.0 + draw() / f64::sqrt(1.0 - h)).collect();
            let residuals = studentised(&errors, &leverages, limits.residual).expect("they differ");
            residuals.iter().any(|residual| residual.abs() > limits.residual)
        };
        let share = (0..SETS).filter(|_| alarms(&mut random)).count() as f64 / SETS as f64;
        assert!((0.02..0.08).contains(&share), "{share}");
    }

    #[test]
    fn limits_are_those_of_scipy() {
        // scipy.stats: t.ppf(1 - 0.025 / 60, 55), 1/60 + 59/60 * beta.ppf(1 - 0.05 / 60, 2, 27.5), f.ppf(0.5, 5, 55).
        let Limits { residual, leverage, cook } = Limits::new(60, 4).expect("enough samples");
        for (what, found, expected) in
            [("residual", residual, 3.535878866), ("leverage", leverage, 0.298127619), ("cook", cook, 0.881071743)]
        {
            assert!((found / expected - 1.0).abs() < 1e-6, "{what}: {found} instead of {expected}");
        }
    }

    #[test]
    fn digits_follow_the_size() {
        for (value, expected) in [(153.77, "153.8"), (0.0, "0.000"), (-0.012_345, "-0.01235"), (123_456.0, "123456")] {
            assert_eq!(rounded(value), expected);
        }
    }
}
