//! `folds.csv` and `permuted.csv`: every prediction that a figure was computed from.

use ramand_recording::Recording;

use super::crossvalidate::Permuted;
use super::dataset::{Dataset, Truth};
use super::figures::best;
use super::merit::networks_everywhere;
use super::out_of_fold::OutOfFold;

/// Names of what rows refer to by number.
pub(super) struct Names<'a> {
    pub(super) recording: &'a Recording,
    /// Of the samples.
    pub(super) groups: &'a [String],
    /// Of the candidates; fewer than two are not written.
    pub(super) candidates: &'a [String],
}

/// Where a table goes.
const IN_MEMORY: &str = "writing to memory does not fail";

/// `id,group,repeat,fold,truth,prediction,pls`; where there are any, `kernel_ridge`, `candidate` and `network 0` ...; for
/// classes labels, then one column of scores a label.
pub(super) fn folds(names: &Names<'_>, data: &Dataset<'_>, rows: &[OutOfFold]) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> =
        ["id", "group", "repeat", "fold", "truth", "prediction", "pls"].map(ToOwned::to_owned).to_vec();
    let has_kernel = rows.iter().all(|row| row.kernel.is_some());
    let networks = networks_everywhere(rows);
    header.extend(has_kernel.then(|| "kernel_ridge".to_owned()));
    header.extend((names.candidates.len() > 1).then(|| "candidate".to_owned()));
    header.extend((0..networks).filter(|_| networks > 1).map(|network| format!("network {network}")));
    if let Truth::Classes { labels, .. } = &data.truth {
        header.extend(labels.iter().map(|label| format!("score {label}")));
    }
    table.write_record(&header).expect(IN_MEMORY);
    for row in rows {
        let mut record = vec![
            names.recording.spectra[row.spectrum].id.clone(),
            names.groups[data.groups[row.spectrum]].clone(),
            row.repeat.to_string(),
            row.fold.to_string(),
            told(&data.truth, row.spectrum),
            said(&data.truth, &row.prediction),
            said(&data.truth, &row.pls),
        ];
        record.extend(row.kernel.as_ref().filter(|_| has_kernel).map(|kernel| said(&data.truth, kernel)));
        record.extend((names.candidates.len() > 1).then(|| names.candidates[row.candidate].clone()));
        record.extend(row.each.iter().take(networks).filter(|_| networks > 1).map(|one| said(&data.truth, one)));
        if let Truth::Classes { .. } = &data.truth {
            record.extend(row.prediction.iter().map(ToString::to_string));
        }
        table.write_record(&record).expect(IN_MEMORY);
    }
    table.into_inner().expect(IN_MEMORY)
}

/// `permutation,id,group,fold,truth,prediction`, where the truth is another sample's.
pub(super) fn permuted(names: &Names<'_>, data: &Dataset<'_>, permutations: &[Permuted]) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["permutation", "id", "group", "fold", "truth", "prediction"]).expect(IN_MEMORY);
    for (permutation, Permuted { truth, rows }) in permutations.iter().enumerate() {
        for row in rows {
            let record = [
                permutation.to_string(),
                names.recording.spectra[row.spectrum].id.clone(),
                names.groups[data.groups[row.spectrum]].clone(),
                row.fold.to_string(),
                told(truth, row.spectrum),
                said(truth, &row.prediction),
            ];
            table.write_record(&record).expect(IN_MEMORY);
        }
    }
    table.into_inner().expect(IN_MEMORY)
}

/// What a spectrum is.
fn told(truth: &Truth, spectrum: usize) -> String {
    match truth {
        Truth::Values(values) => values[spectrum].to_string(),
        Truth::Classes { labels, indices } => labels[indices[spectrum]].clone(),
    }
}

/// What a model says it is.
fn said(truth: &Truth, output: &[f32]) -> String {
    match truth {
        Truth::Values(_) => output[0].to_string(),
        Truth::Classes { labels, .. } => labels[best(output)].clone(),
    }
}
