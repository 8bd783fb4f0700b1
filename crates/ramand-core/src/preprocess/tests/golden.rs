//! Every step against what scipy, numpy and pybaselines make of the same spectrum: `tests/fixtures/preprocess/make.py`.

use super::super::step::{Despike, Normalise, Smooth, Whittaker};
use super::super::{baseline, despike, normalise, orthogonal, resample, smooth};
use crate::columns::columns;
use crate::spectrum::ShiftAxis;

/// Direct formulas, relative to the largest value: rounding of f64.
const ROUNDING: f64 = 1e-11;

/// High-order polynomials in another basis, relative.
const POLYNOMIAL: f64 = 1e-9;

/// Iterated baselines, relative: two solvers of systems with condition numbers up to λ.
const BASELINE: f64 = 1e-7;

/// Points that two rules for replacing a spike may differ in, counts: four standard deviations of the noise.
const REPLACED_COUNTS: f64 = 48.0;

fn check(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = normalise::largest_absolute(expected);
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * largest,
            "{name}, point {index}: {found} instead of {expected}, tolerance {tolerance} of {largest}"
        );
    }
}

#[test]
fn every_step_agrees_with_the_reference_implementations() {
    let columns = columns("preprocess/spectrum.csv");
    let counts = &columns["counts"];
    let mut compared = 0;
    for (name, expected) in &columns {
        let words: Vec<&str> = name.split(' ').collect();
        let number = |index: usize| words[index].parse::<f64>().expect("a setting");
        let mut values = counts.clone();
        let tolerance = match words[0] {
            "arpls" => {
                let settings = Whittaker { lambda: number(1), tolerance: 1e-3, iterations_max: 50 };
                baseline::subtract_arpls(&mut values, &settings, &mut Default::default());
                BASELINE
            }
            "airpls" => {
                let settings = Whittaker { lambda: number(1), tolerance: 1e-5, iterations_max: 50 };
                baseline::subtract_airpls(&mut values, &settings, &mut Default::default());
                BASELINE
            }
            "polynomial" => {
                let basis = orthogonal::OrthonormalPolynomials::new(values.len(), number(1) as usize);
                baseline::subtract_polynomial(&mut values, &basis);
                POLYNOMIAL
            }
            "smooth" => {
                let [window, order, derivative] = [number(1), number(2), number(3)].map(|number| number as usize);
                smooth::Filter::new(&Smooth { window, order, derivative }).apply(counts, &mut values);
                POLYNOMIAL
            }
            "snv" | "area" | "max" => {
                let method = match words[0] {
                    "snv" => Normalise::Snv,
                    "area" => Normalise::Area,
                    _ => Normalise::Max,
                };
                normalise::normalise(&mut values, method, 1.0).expect("a spectrum with bands");
                ROUNDING
            }
            "shift" | "counts" | "dim" | "spikes" | "published" => continue,
            other => panic!("no step '{other}'"),
        };
        check(name, &values, expected, tolerance);
        compared += 1;
    }
    assert_eq!(compared, 18, "every column that holds a result");
}

#[test]
fn resampling_agrees_with_a_fitted_line_at_every_point() {
    let (spectrum, expected) = (columns("preprocess/spectrum.csv"), columns("preprocess/resampled.csv"));
    let from = ShiftAxis::new(spectrum["shift"].clone()).expect("an axis");
    let onto = ShiftAxis::new(expected["shift"].clone()).expect("an axis");
    let mut found = Vec::new();
    resample::resample(&spectrum["counts"], &from, &onto, &mut found).expect("covered");
    check("resampled", &found, &expected["counts"], ROUNDING);
}

#[test]
fn spikes_go_as_published_and_bands_stay() {
    let columns = columns("preprocess/spectrum.csv");
    let settings = Despike { threshold: 7.0, window: 3 };
    let clean = &columns["dim"];
    let mut values: Vec<f64> = clean.iter().zip(&columns["spikes"]).map(|(clean, spike)| clean + spike).collect();
    despike::remove_spikes(&mut values, &settings, &mut Default::default());
    for (index, (value, published)) in values.iter().zip(&columns["published despike 7 3"]).enumerate() {
        assert!((value - published).abs() < REPLACED_COUNTS, "point {index}: {value}, published {published}");
        let spiked = columns["spikes"][index] != 0.0;
        assert_eq!(spiked, *value != clean[index], "point {index}: only the spikes change");
    }

    // Ten times the oil: the published rule takes the flanks of the bands for spikes.
    let mut bright = columns["counts"].clone();
    despike::remove_spikes(&mut bright, &settings, &mut Default::default());
    assert_eq!(bright, columns["counts"]);
}
