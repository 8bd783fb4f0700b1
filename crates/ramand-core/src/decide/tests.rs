//! Intervals, sets and p-values against MAPIE and crepes: `tests/fixtures/conformal/make.py`.

use super::conformal::{Calibration, HeldOutClass, conforming, odds_against, set_limits};
use crate::columns::columns;

/// Of numbers near 100 that were written in decimals.
const ROUNDING: f64 = 1e-9;
/// Of the fixture's probabilities.
const TEMPERATURE: f64 = 0.3;
const CLASSES: usize = 3;

/// `[row][class]`, as the network's f32.
fn scores(file: &str) -> Vec<Vec<f32>> {
    let columns = columns(&format!("conformal/{file}"));
    let of = |class: usize| &columns[&format!("score {class}")];
    (0..of(0).len()).map(|row| (0..CLASSES).map(|class| of(class)[row] as f32).collect()).collect()
}

fn held_out_classes() -> Vec<HeldOutClass> {
    let classes = columns("conformal/kinds.csv");
    let of = |(sample, (scores, &class)): (usize, (Vec<f32>, &f64))| HeldOutClass {
        odds_against: odds_against(&scores, TEMPERATURE, class as usize),
        sample,
        class: class as usize,
    };
    scores("kinds.csv").into_iter().zip(&classes["kind"]).enumerate().map(of).collect()
}

#[test]
fn intervals_are_those_of_mapie() {
    let (held_out, expected) = (columns("conformal/held_out.csv"), columns("conformal/intervals.csv"));
    let residuals = held_out["truth"].iter().zip(&held_out["prediction"]).map(|(truth, said)| (truth - said).abs());
    let calibration = Calibration::new(residuals.zip(0..)).expect("forty residuals");
    for confidence in [0.5, 0.8, 0.9, 0.95] {
        let half_width = calibration.quantile(confidence).expect("forty samples");
        for (row, prediction) in expected["prediction"].iter().enumerate() {
            let [lower, upper] = ["lower", "upper"].map(|end| expected[&format!("{end} {confidence}")][row]);
            let found = (prediction - half_width, prediction + half_width);
            let near = (found.0 - lower).abs() < ROUNDING && (found.1 - upper).abs() < ROUNDING;
            assert!(near, "{found:?} instead of {lower} to {upper}, {confidence}");
        }
    }
}

#[test]
fn sets_are_those_of_mapie() {
    let held_out = held_out_classes();
    let calibration = Calibration::new(held_out.iter().map(|row| (row.odds_against, row.sample))).expect("sixty");
    let expected = columns("conformal/sets.csv");
    let mut sizes = [0; CLASSES + 1];
    for confidence in [0.6, 0.8, 0.9] {
        let limit = calibration.quantile(confidence).expect("sixty samples");
        for (row, scores) in scores("sets.csv").iter().enumerate() {
            let found = conforming(scores, TEMPERATURE, &[limit; CLASSES]);
            let of_mapie = (0..CLASSES).filter(|class| expected[&format!("mapie {confidence} {class}")][row] == 1.0);
            assert_eq!(found, of_mapie.collect::<Vec<_>>(), "row {row} at {confidence}");
            sizes[found.len()] += 1;
        }
    }
    assert!(sizes[..3].iter().all(|&count| count > 0), "empty sets, and of one class and two: {sizes:?}");
}

#[test]
fn sets_by_kind_are_those_of_crepes() {
    let held_out = held_out_classes();
    let expected = columns("conformal/sets.csv");
    let p_value = |class: usize, row: usize| expected[&format!("crepes p {class}")][row];
    let shown = scores("sets.csv");
    for class in 0..CLASSES {
        let own = held_out.iter().filter(|row| row.class == class).map(|row| (row.odds_against, row.sample));
        let calibration = Calibration::new(own).expect("twenty");
        for (row, scores) in shown.iter().enumerate() {
            let found = calibration.p_value(odds_against(scores, TEMPERATURE, class));
            assert!((found - p_value(class, row)).abs() < ROUNDING, "{found}, row {row}, class {class}");
        }
    }
    for confidence in [0.6, 0.8, 0.9] {
        let limits = set_limits(&held_out, CLASSES, confidence).expect("scores").expect("twenty a class");
        assert!(limits.by_kind);
        for (row, scores) in shown.iter().enumerate() {
            let found = conforming(scores, TEMPERATURE, &limits.limits);
            // A p-value on the level itself does not conform; 1 - 0.9 in decimals is a little above 0.1.
            let of_crepes = (0..CLASSES).filter(|&class| p_value(class, row) > 1.0 - confidence + ROUNDING);
            assert_eq!(found, of_crepes.collect::<Vec<_>>(), "row {row} at {confidence}");
        }
    }
}

#[test]
fn p_values_are_those_of_crepes() {
    let held_out = columns("conformal/p_held_out.csv");
    let calibration = Calibration::new(held_out["score"].iter().copied().zip(0..)).expect("fifty");
    let expected = columns("conformal/p_values.csv");
    for (&score, expected) in expected["score"].iter().zip(&expected["p"]) {
        let found = calibration.p_value(score);
        assert!((found - expected).abs() < ROUNDING, "p({score}) = {found} instead of {expected}");
    }
}
