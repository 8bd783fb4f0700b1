//! The power of the gate: known contaminants added at rising amounts, and from which amount on they are refused.

use ramand_core::spectrum::RawSpectrum;
use ramand_model::Model;
use ramand_recording::Recording;

use super::super::document::{Cell, Content, Section, Table};
use super::super::error::EvaluateError;
use super::change::interpolated;
use super::group::mean_over_samples;
use super::judge::{Judge, Seen, Shown};
use crate::train::Progress;

/// How strong the contaminant is beside the spectrum, as the ratio of their standard deviations along the axis.
const AMOUNTS: [f64; 9] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
/// Share of spectra from which on a contaminant counts as noticed.
const NOTICED: f64 = 0.95;

/// How many steps [`section`] takes: the length of a progress bar.
pub(super) fn steps(recording: &Recording, contaminants: &Recording) -> u64 {
    (recording.spectra.len() * contaminants.spectra.len() * AMOUNTS.len()) as u64
}

/// Every spectrum of `recording` with every spectrum of `contaminants` added. `samples` tells which sample each row of
/// `recording` is.
///
/// # Errors
/// Where the model fails; [`EvaluateError::Interrupted`] when `progress` was told to stop.
pub(super) fn section(
    recording: &Recording,
    contaminants: &Recording,
    samples: &[usize],
    model: &Model,
    progress: &Progress,
) -> Result<Section, EvaluateError> {
    let mut judge = Judge::new(model)?;
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for (contaminant, row) in contaminants.raw_spectra().zip(&contaminants.spectra) {
        let mut shares = Vec::new();
        for amount in AMOUNTS {
            let mut seen = Vec::new();
            for (raw, &sample) in recording.raw_spectra().zip(samples) {
                progress.step()?;
                seen.push((sample, judge.see(&raw, added(&raw, &contaminant, amount), Shown::Unknown)?));
            }
            let share = |holds: fn(&Seen) -> bool| {
                mean_over_samples(seen.iter().map(|(sample, seen)| (*sample, Some(f64::from(u8::from(holds(seen)))))))
            };
            let refused = share(|seen| seen.refused);
            shares.push(refused.unwrap_or(0.0));
            rows.push(vec![
                Cell::from(row.id.as_str()),
                amount.into(),
                refused.into(),
                share(|seen| seen.by_gate).into(),
                share(|seen| seen.by_p_value).into(),
            ]);
        }
        notes.push(match noticed_from(&shares) {
            Some(amount) => format!("{}: noticed from {amount} times the spectrum on.", row.id),
            None => format!(
                "{}: not noticed up to {} times the spectrum. The gate does not protect from it.",
                row.id,
                AMOUNTS[AMOUNTS.len() - 1]
            ),
        });
    }
    let columns = [
        ("contaminant", "contaminant"),
        ("amount", "amount"),
        ("refused", "refused"),
        ("gate", "by T2 or Q"),
        ("p_value", "by p-value"),
    ];
    Ok(Section {
        key: "contaminant",
        title: "Contaminants added",
        explains: format!(
            "Shares of spectra that are refused, means over samples. The amount is the standard deviation of the added spectrum \
             along its axis over that of the spectrum it is added to. Noticed is what is refused in {NOTICED} of the spectra at \
             this amount and every larger one."
        ),
        content: Ok(Content { figures: Vec::new(), tables: vec![Table::new("contaminant", &columns, rows)], notes }),
    })
}

/// The least amount from which on, at every amount, [`NOTICED`] of the spectra are refused.
fn noticed_from(refused: &[f64]) -> Option<f64> {
    let passed = refused.iter().rposition(|&share| share < NOTICED);
    AMOUNTS.get(passed.map_or(0, |last| last + 1)).copied()
}

/// The intensities of `spectrum` with so much of `contaminant`, which is interpolated onto its axis and level outside its own.
fn added(spectrum: &RawSpectrum, contaminant: &RawSpectrum, amount: f64) -> Vec<f32> {
    let own: Vec<f64> = spectrum.light().iter().map(|&value| f64::from(value)).collect();
    let points: Vec<(f64, f64)> = contaminant
        .axis()
        .per_cm()
        .iter()
        .zip(contaminant.light())
        .map(|(&shift, &value)| (shift, f64::from(value)))
        .collect();
    let foreign: Vec<f64> = spectrum.axis().per_cm().iter().map(|&shift| interpolated(&points, shift)).collect();
    let (own_deviation, foreign_deviation) = (deviation(&own), deviation(&foreign));
    let scale = if foreign_deviation > 0.0 { amount * own_deviation / foreign_deviation } else { 0.0 };
    own.iter().zip(&foreign).map(|(own, foreign)| (own + scale * foreign) as f32).collect()
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noticed_is_every_larger_amount_too() {
        assert_eq!(noticed_from(&[1.0; 9]), Some(0.005));
        assert_eq!(noticed_from(&[0.0, 0.0, 1.0, 0.9, 0.96, 1.0, 1.0, 1.0, 1.0]), Some(0.1));
        assert_eq!(noticed_from(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]), None);
    }
}
