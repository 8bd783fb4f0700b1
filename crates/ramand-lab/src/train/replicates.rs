//! Rows that look like replicates of one sample, where nothing says which rows belong together.
//!
//! Rows may have something in common: the target's value, a label, the beginning of the identifier. If these are replicates, they
//! differ by less than samples do, in every direction in which samples differ by more than the target explains. So what the target
//! explains is taken out of the spectra, and for each of the first principal components of the rest the variance within groups is
//! divided by that between them. The latter is that of the pseudo-residuals of neighbouring values (T. Gasser, L. Sroka, C. Jennen-Steinmetz,
//! Biometrika 73 (1986) 625-633), t − w t₋ − (1 − w) t₊ over √(1 + w² + (1 − w)²): what is smooth in the value is not in it. Of
//! classes, it is the variance within the class, or for rows that only stand one after the other, that of the step to the next ones.
//! Independent rows give 1 but for chance, however few different values there are: so spectra decide, and not equal values alone. Two
//! components must say so, as one may hold what the curve through the values leaves over; one is enough where there is more to it than
//! equal values, or no room for a curve.

use std::collections::{BTreeMap, BTreeSet};

use nalgebra::DMatrix;
use ramand_recording::Recording;
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use super::dataset::{Dataset, Truth};
use super::error::{LikelyReplicates, TrainError};
use super::principal::Principal;

/// Principal components that are looked at.
const COMPONENTS: usize = 8;
/// The first so many rows show what the others would.
const ROWS_MAX: usize = 3000;
/// Fewer rows with others in common, or degrees of freedom among them, say nothing.
const ROWS_MIN: usize = 12;
const FREEDOM_MIN: usize = 8;
/// Share of all rows that must have others in common with something, or replicates are no habit of this file.
const AFFECTED_MIN: f64 = 1.0 / 3.0;
/// More rows than this, and than this share of all, are a level of a design and no sample.
const REPLICATES_MAX: usize = 20;
const REPLICATES_SHARE_MAX: f64 = 1.0 / 8.0;
/// Distinct values below which the curve through them takes up what all rows of a value would have in common.
const LEVELS_MIN: usize = 12;
/// Degree of the polynomials in value and in rank that take out what the target explains.
const DEGREE: usize = 4;
/// Ratio of variances, the geometric mean of the two smallest, at and above which rows may be samples, ...
const RATIO_MAX: f64 = 0.25;
/// ... and the larger of the two, ...
const SECOND_RATIO_MAX: f64 = 0.5;
/// ... and how likely that one may be by chance.
const CHANCE: f64 = 0.02;
/// The smallest ratio that is evidence alone, since samples of raw spectra may differ in one direction only, beside much noise: where a
/// label or identifier says the same, or so many distinct values leave nothing of a curve between neighbours.
const LONE_RATIO_MAX: f64 = 0.2;
const LEVELS_ENOUGH: usize = 25;
/// Spectra of a sample, one after the other, that are tried.
const RUNS: std::ops::RangeInclusive<usize> = 2..=6;

/// Refuses rows that look like replicates but count as samples; `target` is the column of the truth.
///
/// # Errors
/// [`TrainError::LikelyReplicates`].
pub(super) fn refuse(recording: &Recording, data: &Dataset<'_>, target: &str) -> Result<(), TrainError> {
    let rows = data.len().min(ROWS_MAX);
    if rows < ROWS_MIN {
        return Ok(());
    }
    let everything: Vec<usize> = (0..rows).collect();
    let mut spectra = data.spectra(&everything);
    if let Truth::Values(values) = &data.truth {
        spectra = without_target(spectra, &values[..rows]);
    }
    let scores = Principal::fit(&spectra, COMPONENTS).scores(&spectra, COMPONENTS);
    let keys = keys(recording, data, target, rows);
    let found = keys.iter().find_map(|key| Some((key, evidence(data, &scores, key)?)));
    let Some((key, evidence)) = found else { return Ok(()) };
    let [one, another] = evidence.pair.map(|row| &recording.spectra[row]);
    let likely = LikelyReplicates {
        rows: evidence.rows,
        percent: 100.0 * evidence.ratio,
        key: key.words.clone(),
        line: one.line,
        id: one.id.clone(),
        other_line: another.line,
        other_id: another.id.clone(),
        advice: key.advice.clone().unwrap_or_else(|| "Name a column that tells samples apart (--group)".to_owned()),
    };
    Err(TrainError::LikelyReplicates(Box::new(likely)))
}

/// Something that rows may have in common.
struct Key {
    /// Rows with the same number have it in common.
    of: Vec<usize>,
    words: String,
    /// What to do where it is this.
    advice: Option<String>,
    place: Place,
}

/// Where rows with something in common stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// One after the other, which is all they have in common.
    InARow,
}

/// How much less rows with something in common differ.
struct Evidence {
    /// So many rows have others in common with them.
    rows: usize,
    /// Variance within over variance between, the geometric mean of the two smallest.
    ratio: f64,
    /// Two of them.
    pair: [usize; 2],
}

/// What speaks for replicates in `scores`, `[rows × components]`; `None` where nothing does.
fn evidence(data: &Dataset<'_>, scores: &DMatrix<f64>, key: &Key) -> Option<Evidence> {
    let mut groups = BTreeMap::<usize, Vec<usize>>::new();
    let mut seen = BTreeSet::new();
    for (row, &number) in key.of.iter().enumerate() {
        // What is held out together counts once.
        if seen.insert((number, data.units[row])) {
            groups.entry(number).or_default().push(row);
        }
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let most = REPLICATES_MAX.min((REPLICATES_SHARE_MAX * key.of.len() as f64) as usize).max(2);
    let several: Vec<&Vec<usize>> = groups.iter().filter(|rows| (2..=most).contains(&rows.len())).collect();
    let rows: usize = several.iter().map(|rows| rows.len()).sum();
    let freedom = rows - several.len();
    let enough = rows >= ROWS_MIN && freedom >= FREEDOM_MIN && rows as f64 >= AFFECTED_MIN * key.of.len() as f64;
    let pair = several.first().filter(|_| enough).map(|rows| [rows[0], rows[1]])?;
    let within =
        |component: usize| several.iter().map(|rows| squares(scores, component, rows)).sum::<f64>() / freedom as f64;
    let (between, freedom_between): (Vec<f64>, f64) = match &data.truth {
        Truth::Values(values) => pseudo_residuals(scores, values, groups.clone())?,
        Truth::Classes { indices, .. } if key.place == Place::InARow => between_runs(scores, indices, &key.of)?,
        Truth::Classes { labels, indices } => within_classes(scores, labels.len(), &indices[..key.of.len()])?,
    };
    let ratios = between.iter().enumerate().map(|(component, between)| within(component) / between);
    let mut ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
    ratios.sort_by(f64::total_cmp);
    let [first, second, ..] = ratios[..] else { return None };
    let ratio = (first * second).sqrt();
    let distribution = FisherSnedecor::new(freedom as f64, freedom_between).ok()?;
    let two = ratio < RATIO_MAX && second < SECOND_RATIO_MAX && distribution.cdf(second) < CHANCE;
    let named_or_dense = key.advice.is_some()
        || matches!(&data.truth, Truth::Values(values) if levels(&values[..key.of.len()]).len() >= LEVELS_ENOUGH);
    let lone = named_or_dense && first < LONE_RATIO_MAX && distribution.cdf(first) < CHANCE / COMPONENTS as f64;
    (two || lone).then_some(Evidence { rows, ratio, pair })
}

/// Σ (t − t̄)² of some rows.
fn squares(scores: &DMatrix<f64>, component: usize, rows: &[usize]) -> f64 {
    let values = || rows.iter().map(|&row| scores[(row, component)]);
    let mean = values().sum::<f64>() / rows.len() as f64;
    values().map(|value| (value - mean).powi(2)).sum()
}

/// The mean square of the pseudo-residuals of groups with neighbouring values, by component, and about their degrees of freedom.
fn pseudo_residuals(scores: &DMatrix<f64>, values: &[f64], mut groups: Vec<Vec<usize>>) -> Option<(Vec<f64>, f64)> {
    groups.sort_by(|a, b| values[a[0]].total_cmp(&values[b[0]]));
    let (mut sums, mut count) = (vec![0.0; scores.ncols()], 0.0);
    for three in groups.windows(3) {
        let [below, own, above] = three else { continue };
        let [low, value, high] = [below, own, above].map(|rows| values[rows[0]]);
        let weight = if high > low { (high - value) / (high - low) } else { 0.5 };
        let size = 1.0 + weight * weight + (1.0 - weight).powi(2);
        for ((&below, &own), &above) in below.iter().zip(own).zip(above) {
            for (component, sum) in sums.iter_mut().enumerate() {
                let of = |row: usize| scores[(row, component)];
                *sum += (of(own) - weight * of(below) - (1.0 - weight) * of(above)).powi(2) / size;
            }
            count += 1.0;
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= count);
    // Neighbours share rows: each residual is worth about a half.
    (count > 0.0).then_some((sums, 0.5 * count))
}

/// Half the mean square of the step from the last row of a run to the next row of its class, by component, and its degrees of freedom:
/// what drifts makes this step no larger than those within runs.
fn between_runs(scores: &DMatrix<f64>, indices: &[usize], runs: &[usize]) -> Option<(Vec<f64>, f64)> {
    let mut last_of_class = BTreeMap::new();
    let before = |row: usize| last_of_class.insert(indices[row], row).map(|before| [before, row]);
    let steps: Vec<[usize; 2]> =
        (0..runs.len()).filter_map(before).filter(|&[before, row]| runs[before] != runs[row]).collect();
    let freedom = steps.len() as f64;
    let square =
        |component, [before, row]: [usize; 2]| (scores[(row, component)] - scores[(before, component)]).powi(2);
    let of = |component| 0.5 * steps.iter().map(|&step| square(component, step)).sum::<f64>() / freedom;
    (!steps.is_empty()).then(|| ((0..scores.ncols()).map(of).collect(), freedom))
}

/// The variance within classes, by component, and its degrees of freedom.
fn within_classes(scores: &DMatrix<f64>, classes: usize, indices: &[usize]) -> Option<(Vec<f64>, f64)> {
    let mut members = vec![Vec::new(); classes];
    indices.iter().enumerate().for_each(|(row, &class)| members[class].push(row));
    members.retain(|rows| !rows.is_empty());
    let freedom = indices.len().checked_sub(members.len()).filter(|&freedom| freedom > 0)? as f64;
    let of = |component: usize| members.iter().map(|rows| squares(scores, component, rows)).sum::<f64>() / freedom;
    Some(((0..scores.ncols()).map(of).collect(), freedom))
}

/// The spectra less the least-squares fit of each point on polynomials in the target's value and in its rank among the different
/// values, Chebyshev's: what is left is what samples of one value need not have in common.
fn without_target(spectra: DMatrix<f64>, values: &[f64]) -> DMatrix<f64> {
    let levels = levels(values);
    if levels.len() < 2 {
        return spectra;
    }
    let rank = |value: &f64| levels.partition_point(|level| level < value) as f64;
    let ranks: Vec<f64> = values.iter().map(rank).collect();
    let [values, ranks] = [values, &ranks].map(|of| {
        let (low, high) = of.iter().fold((f64::MAX, f64::MIN), |(low, high), &one| (low.min(one), high.max(one)));
        of.iter().map(|value| (2.0 * (value - low) / (high - low) - 1.0).clamp(-1.0, 1.0)).collect::<Vec<f64>>()
    });
    let basis = DMatrix::from_fn(values.len(), 2 * DEGREE, |row, column| match column.checked_sub(DEGREE + 1) {
        None => (column as f64 * values[row].acos()).cos(),
        // The rank's first power is nearly the value's.
        Some(place) => ((place + 2) as f64 * ranks[row].acos()).cos(),
    });
    match basis.clone().svd(true, true).solve(&spectra, 1e-9 * basis.norm()) {
        Ok(coefficients) => spectra - basis * coefficients,
        Err(_) => spectra,
    }
}

/// The different values, ascending.
fn levels(values: &[f64]) -> Vec<f64> {
    let mut levels = values.to_vec();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    levels
}

/// Everything that the first `rows` rows may have in common.
fn keys(recording: &Recording, data: &Dataset<'_>, target: &str, rows: usize) -> Vec<Key> {
    let spectra = &recording.spectra[..rows];
    let truth = |row: usize| match &data.truth {
        Truth::Values(values) => values[row].to_bits(),
        Truth::Classes { indices, .. } => indices[row] as u64,
    };
    let by_truth = numbered((0..rows).map(truth));
    let enough_levels = match &data.truth {
        Truth::Values(values) => levels(&values[..rows]).len() >= LEVELS_MIN,
        Truth::Classes { .. } => true,
    };
    let mut keys = Vec::new();
    let mut add = |of: Vec<usize>, words: String, advice: Option<String>, place: Place| {
        // Replicates are of one thing: what differs within it is a block.
        let one_truth = of.iter().zip(&by_truth).collect::<BTreeMap<_, _>>();
        if of.iter().zip(&by_truth).any(|(own, truth)| one_truth[own] != truth) {
            return;
        }
        if of == by_truth && !enough_levels {
            return;
        }
        keys.push(Key { of, words, advice, place });
    };
    let column_of =
        |column: &String| numbered(spectra.iter().map(|row| row.labels.get(column).cloned().unwrap_or_default()));
    // A quantity in common says as much as a name, but names no column of samples.
    let is_quantity =
        |column: &String| spectra.iter().all(|row| row.labels.get(column).is_some_and(|text| text.contains('.')));
    let columns = spectra[0].labels.keys().filter(|column| *column != target);
    let (quantities, names): (Vec<&String>, Vec<&String>) = columns.partition(|column| is_quantity(column));
    for column in names {
        let advice = format!("Name the column of samples (--group): '{column}' would fit");
        add(column_of(column), format!("with the same '{column}'"), Some(advice), Place::Anywhere);
    }
    let stems: Vec<&str> = spectra.iter().map(|row| stem(&row.id)).collect();
    let (id, first) = (&spectra[0].id, stems[0]);
    let advice =
        format!("Name a column of samples (--group): ids have the sample's name in them, as '{first}' in '{id}'");
    add(numbered(stems.iter()), "whose id begins alike".to_owned(), Some(advice), Place::Anywhere);
    // Samples of a class may share a quantity that makes their spectra alike.
    for column in quantities.into_iter().filter(|_| matches!(data.truth, Truth::Values(_))) {
        add(column_of(column), format!("with the same '{column}'"), None, Place::Anywhere);
    }
    match data.truth {
        Truth::Values(_) => add(by_truth.clone(), format!("with the same '{target}'"), None, Place::Anywhere),
        // Quantities in the order of their values would be alike one after the other, too.
        Truth::Classes { .. } => {
            for length in RUNS.filter(|&length| rows.is_multiple_of(length)) {
                add(
                    (0..rows).map(|row| row / length).collect(),
                    format!("in each {length} lines in a row"),
                    None,
                    Place::InARow,
                );
            }
        }
    }
    keys
}

/// Which of the different things each is, from 0 in the order of appearance.
fn numbered<T: Ord>(things: impl Iterator<Item = T>) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    let number = |thing| {
        let next = numbers.len();
        *numbers.entry(thing).or_insert(next)
    };
    things.map(number).collect()
}

/// An identifier without what numbers replicates: 'a' of 'a-1', 'a_r2' and 'a-1.spc', 's12' of 's12b'. The whole where nothing does.
fn stem(id: &str) -> &str {
    let file = id.rsplit_once('.').filter(|(_, ending)| ending.len() < 5 && ending.chars().all(char::is_alphabetic));
    let name = file.map_or(id, |(name, _)| name);
    let shorter = match name.rfind(|letter: char| !letter.is_alphanumeric()) {
        Some(place) => &name[..place],
        None => name.trim_end_matches(char::is_alphabetic),
    };
    if shorter.is_empty() { name } else { shorter }
}
