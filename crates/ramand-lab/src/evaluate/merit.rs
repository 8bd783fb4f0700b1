//! Figures of merit on the given spectra, with bootstrap intervals over samples, and the limit of detection.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::document::{Cell, Content, Section, Table};
use super::linearity::line;
use super::observe::Observations;
use super::precision::Budget;
use super::request::SeenBefore;
use super::truth::RecordedTruth;
use crate::train::bootstrap::Draws;
use crate::train::figures::RegressionSums;

/// The bootstrap's draws follow from this number alone: the same spectra give the same report.
const SEED: u64 = 1;
/// α and β of the limit of detection: the chance of either wrong decision.
const WRONG_DECISION: f64 = 0.05;
/// A line through fewer samples has no residual worth the name.
const SAMPLES_MIN: usize = 5;

/// The draws that every interval of a report is made of.
pub(super) fn draws(samples: usize) -> Draws {
    Draws::new(samples, &mut ChaCha8Rng::seed_from_u64(SEED))
}

/// The minimum detectable value of a linear calibration with constant residual deviation (ISO 11843-2:2000 for one measurement of an
/// unknown, which is made as the v are: of means of replicates it is the limit for a mean of as many; α = β): x_D = 2 t₁₋α(ν) (s / β) √(1 + 1/n + c̄² / Σ (c − c̄)²), in units of c, with s² = Σ residual² / (n − 2) and
/// ν = n − 2. 2 t₁₋α stands for the noncentrality, which it equals but for little where ν > 3.
///
/// `None` below [`SAMPLES_MIN`] values, or where c or v does not vary.
pub(super) fn detection_limit(c: &[f64], v: &[f64]) -> Option<f64> {
    if c.len() < SAMPLES_MIN {
        return None;
    }
    let (fit, count) = (line(c, v)?, c.len() as f64);
    let mean = c.iter().sum::<f64>() / count;
    let variation: f64 = c.iter().map(|c| (c - mean).powi(2)).sum();
    let freedom = count - 2.0;
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(1.0 - WRONG_DECISION);
    let deviation = (fit.residual / freedom).sqrt();
    let limit = 2.0 * t * deviation / fit.slope.abs() * (1.0 + 1.0 / count + mean * mean / variation).sqrt();
    limit.is_finite().then_some(limit)
}

/// The limit of detection at repeatability alone: 3.3 s_r / |β| (IUPAC 1995, α = β = 5 %, deviation known), in units of c.
pub(super) fn repeatability_limit(repeatability: f64, slope: f64) -> Option<f64> {
    let limit = 3.3 * repeatability / slope.abs();
    limit.is_finite().then_some(limit)
}

/// One figure, its bootstrap interval, and what it is called.
type MeritFigure = (&'static str, String, f64, Option<[f64; 2]>);

pub(super) fn section(observations: &Observations, budget: &Result<Budget, String>, seen: SeenBefore) -> Section {
    let content = match &observations.truth {
        Err(because) => Err(because.clone()),
        Ok(_) if observations.rows.is_empty() => Err("no spectrum could be preprocessed".into()),
        Ok(RecordedTruth::Values(truth)) => Ok(quantity(observations, truth, budget)),
        Ok(RecordedTruth::Classes(truth)) => Ok(classes(observations, truth)),
    };
    let content = content.map(|mut content| {
        if seen == SeenBefore::InTraining {
            content.notes.push("Not a test: these are the spectra the bundle was trained on.".into());
        }
        content
    });
    Section {
        key: "merit",
        title: "Figures of merit",
        explains: "On the given spectra, each counted once; 95 % intervals from samples drawn with replacement.".into(),
        content,
    }
}

fn table(figures: Vec<MeritFigure>) -> Table {
    let rows = figures.into_iter().map(|(key, what, value, interval)| {
        let [low, high] = interval.map_or([Cell::Missing, Cell::Missing], |interval| interval.map(Cell::from));
        vec![key.into(), what.into(), value.into(), low, high]
    });
    let columns = [("key", "key"), ("figure", "figure"), ("value", "value"), ("low", "95 % from"), ("high", "to")];
    Table::new("figures", &columns, rows.collect())
}

fn quantity(observations: &Observations, truth: &[f64], budget: &Result<Budget, String>) -> Content {
    let unit = &observations.unit;
    let mut tally = vec![RegressionSums::default(); observations.samples];
    for (row, &truth) in observations.rows.iter().zip(truth) {
        tally[row.sample].add(truth, row.scores[0]);
    }
    let sums = |counts: &[u32]| {
        let mut sums = RegressionSums::default();
        tally.iter().zip(counts).for_each(|(part, &count)| sums.add_times(*part, f64::from(count)));
        sums.figures()
    };
    let (once, draws) = (vec![1; observations.samples], draws(observations.samples));
    let figure = |key, what: &str, of: &dyn Fn(&[u32]) -> f64| (key, what.to_owned(), of(&once), draws.interval(of));
    let mut figures = vec![
        figure("rmsep", &format!("root mean square error of prediction, {unit}"), &|counts| sums(counts).rmse),
        figure("bias", &format!("bias, mean of prediction less truth, {unit}"), &|counts| sums(counts).bias),
        figure("slope", "slope of prediction on truth", &|counts| sums(counts).slope),
        figure("r2", "R2, 1 - squared errors / variation of the truth", &|counts| sums(counts).r2),
    ];
    let means = observations.by_sample(|row| row.scores.clone());
    let (c, v): (Vec<f64>, Vec<f64>) = means.iter().map(|(row, scores)| (truth[*row], scores[0])).unzip();
    let mut notes = Vec::new();
    match detection_limit(&c, &v) {
        Some(limit) => {
            let what = format!("minimum detectable value, ISO 11843-2, alpha = beta = 5 %, {unit}");
            figures.push(("detection_limit", what, limit, None));
            notes.push(
                "Detection limit by ISO 11843-2 from the line through the means of the samples: it holds for a mean of as many \
                 spectra as the samples have, not for one spectrum; it contains how samples of the same truth differ, and takes \
                 the deviation for constant over the range."
                    .into(),
            );
        }
        None => notes.push(format!(
            "The minimum detectable value is not computed because there are fewer than {SAMPLES_MIN} samples, or their truths \
             are all the same."
        )),
    }
    let slope = line(&c, &v).map(|line| line.slope);
    match (budget, slope.zip(budget.as_ref().ok()).and_then(|(slope, b)| repeatability_limit(b.repeatability(), slope)))
    {
        (_, Some(limit)) => {
            figures.push((
                "repeatability_limit",
                format!("3.3 s_r / slope, IUPAC, replicates only, {unit}"),
                limit,
                None,
            ));
        }
        (Err(because), None) => notes.push(format!("3.3 s_r / slope is not computed because {because}.")),
        (Ok(_), None) => {
            notes.push("3.3 s_r / slope is not computed because the prediction does not follow the truth.".into())
        }
    }
    Content { tables: vec![table(figures)], notes, ..Content::default() }
}

fn classes(observations: &Observations, truth: &[Option<usize>]) -> Content {
    let labels = &observations.labels;
    let best = |scores: &[f64]| {
        let higher = |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
        (0..scores.len()).fold(0, higher)
    };
    // Right and all, by sample, of all classes together and of each.
    let mut tally = vec![vec![[0.0; 2]; labels.len() + 1]; observations.samples];
    let mut confusion = vec![vec![0_usize; labels.len()]; labels.len()];
    for (row, class) in observations.rows.iter().zip(truth) {
        let Some(class) = *class else { continue };
        let named = best(&row.scores);
        confusion[class][named] += 1;
        for column in [0, class + 1] {
            tally[row.sample][column][0] += f64::from(u8::from(named == class));
            tally[row.sample][column][1] += 1.0;
        }
    }
    let rate = |column: usize, counts: &[u32]| {
        let sums = tally.iter().zip(counts).fold([0.0; 2], |[right, all], (sample, &count)| {
            let [one, other] = sample[column];
            [right + f64::from(count) * one, all + f64::from(count) * other]
        });
        sums[0] / sums[1]
    };
    let (once, draws) = (vec![1; observations.samples], draws(observations.samples));
    let figure = |key, what: String, column: usize| -> MeritFigure {
        (key, what, rate(column, &once), draws.interval(|counts| rate(column, counts)))
    };
    let mut figures = vec![figure("accuracy", "accuracy, share of spectra named rightly".into(), 0)];
    for (class, label) in labels.iter().enumerate() {
        figures.push(figure("recall", format!("recall of {label}"), class + 1));
    }
    let keys: Vec<String> = (0..labels.len()).map(|class| format!("named_{class}")).collect();
    let mut columns = vec![("truth", "truth / named as")];
    columns.extend(keys.iter().map(String::as_str).zip(labels.iter().map(String::as_str)));
    let rows = labels
        .iter()
        .zip(confusion)
        .map(|(label, row)| [Cell::from(label.as_str())].into_iter().chain(row.into_iter().map(Cell::from)).collect());
    let unknown = truth.iter().filter(|class| class.is_none()).count();
    let notes = match unknown {
        0 => Vec::new(),
        _ => vec![format!("{unknown} spectra are of classes the model does not know; no figure counts them.")],
    };
    Content {
        tables: vec![table(figures), Table::new("confusion", &columns, rows.collect())],
        notes,
        ..Content::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_detection_by_hand() {
        // v = c ± 1: slope of (-1, 1, -1, 1, 0) about it. c̄ = 2, Σ (c − c̄)² = 10.
        let c = [0.0, 1.0, 2.0, 3.0, 4.0];
        let v = [-1.0, 2.0, 1.0, 4.0, 4.0];
        // Σ (c−2)(v−2) = 6 + 0 + 0 + 2 + 4 = 12: slope 1.2; Σ (v−2)² = 18; residual 18 − 14.4 = 3.6, s = √1.2.
        let expected = 2.0 * 2.353_363_434_801_823 * 1.2_f64.sqrt() / 1.2 * (1.0_f64 + 0.2 + 0.4).sqrt();
        assert!((detection_limit(&c, &v).expect("varies") - expected).abs() < 1e-6);
        assert_eq!(detection_limit(&c[..4], &v[..4]), None, "too few");
        assert_eq!(detection_limit(&[1.0; 5], &v), None, "one level");
        assert_eq!(detection_limit(&c, &[3.0; 5]), None, "nothing follows the truth");
        assert!((repeatability_limit(0.5, -2.0).expect("follows") - 0.825).abs() < 1e-12);
        assert_eq!(repeatability_limit(0.5, 0.0), None);
    }
}
