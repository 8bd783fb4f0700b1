//! A network trained elsewhere, judged and calibrated on labelled spectra: nothing is fitted to them but gate, intervals and sets.
//!
//! Every given sample is a calibration sample of a network that is left as it is (split conformal). The figures are those of the
//! given spectra; whether the network has seen them nobody here knows, and the bundle says so.

use onnx_gradient::proto;
use ramand_model::Network;
use ramand_model::manifest::{Manifest, MetricsRecord, Task};
use ramand_recording::Recording;

use super::super::bootstrap::Draws;
use super::super::bundle::Trained;
use super::super::conformal::{Asked, CONFORMAL_FILE, Conformal};
use super::super::coverage::Coverage;
use super::super::crossvalidate::{Purpose, random};
use super::super::dataset::{Dataset, Truth};
use super::super::error::TrainError;
use super::super::gate::GateFit;
use super::super::merit::metrics;
use super::super::out_of_fold::OutOfFold;
use super::super::partition::partition;
use super::super::replicates;
use super::super::request::{Rows, filled};
use super::adoption::{Adoption, SEED};
use super::error::AdoptError;
use super::make::adopt;

/// Parts in which coverage is measured: each against the scores of the others.
const FOLDS: usize = 10;
/// What the bundle says about its figures.
const EVALUATION: &str = "evaluated on the given spectra, which the network may have seen";

/// What the network is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrating {
    /// Label column of the truth.
    pub target: String,
    /// Nominal coverage of intervals and sets, in 0..1.
    pub confidence: f64,
    /// What is known of rows where no column tells samples apart.
    pub rows: Rows,
}

/// As [`adopt`], with figures, intervals or sets from the labels of `recording`.
///
/// # Errors
/// As [`adopt`]; names the row whose label is no number or no class of the network; rows that look like replicates.
pub fn calibrate(
    bytes: &[u8],
    recording: &Recording,
    adoption: &Adoption,
    calibrating: &Calibrating,
) -> Result<Trained, AdoptError> {
    let truth = truth(recording, adoption, &calibrating.target)?;
    let Trained { mut manifest, mut files } = adopt(bytes, recording, adoption)?;
    let data = Dataset::preprocess(recording, &adoption.pipeline, truth, adoption.samples(recording)?)?;
    if adoption.group.is_none() && calibrating.rows == Rows::Unknown {
        replicates::refuse(recording, &data, &calibrating.target)?;
    }
    let rows = predictions(&manifest, &files, &data)?;

    let mut fitted = None;
    if manifest.gate.is_some()
        && let Some(gate) = GateFit::new(&data, &mut random(SEED, Purpose::Gate))
    {
        manifest.gate = Some(gate.record(data.features, data.samples(), &mut files));
        fitted = Some(gate);
    }
    let knows_classes = fitted.as_ref().is_some_and(|gate| gate.classes.is_some());
    let temperature = manifest.output.temperature.unwrap_or(1.0);
    let asked = Asked { temperature, confidence: calibrating.confidence, knows_classes };
    let conformal = Conformal::new(&data, &rows, &asked);
    files.insert(CONFORMAL_FILE.to_owned(), conformal.file);
    manifest.conformal = Some(conformal.record);

    let draws = Draws::new(data.samples(), &mut random(SEED, Purpose::Bootstrap));
    let mut figures = given(metrics(&data, &rows, &[], &draws));
    let coverage = Coverage {
        data: &data,
        rows: &rows,
        fared: conformal.fared.as_deref().unwrap_or_default(),
        gate: fitted.as_ref(),
    };
    coverage.add_to(&mut figures, &draws);
    manifest.metrics = figures;
    manifest.training.split = format!("none, the network was not fitted here; coverage in {FOLDS} parts by sample");
    if let Some(adopted) = &mut manifest.adopted {
        adopted.evaluation = EVALUATION.into();
    }
    Ok(Trained { manifest, files })
}

fn truth(recording: &Recording, adoption: &Adoption, column: &str) -> Result<Truth, TrainError> {
    if adoption.task == Task::Regression {
        return Ok(Truth::Values(recording.number_column(column)?));
    }
    let texts = filled(recording, column)?;
    let index = |(row, text): (usize, &&str)| {
        let place = adoption.labels.iter().position(|label| label == text);
        place.ok_or_else(|| TrainError::UnknownClass {
            line: recording.spectra[row].line,
            column: column.to_owned(),
            found: (*text).to_owned(),
            known: adoption.labels.join(", "),
        })
    };
    let indices = texts.iter().enumerate().map(index).collect::<Result<_, _>>()?;
    Ok(Truth::Classes { labels: adoption.labels.clone(), indices })
}

/// What the network says of every spectrum, split into parts as cross-validation splits them.
fn predictions(
    manifest: &Manifest,
    files: &std::collections::BTreeMap<String, Vec<u8>>,
    data: &Dataset<'_>,
) -> Result<Vec<OutOfFold>, AdoptError> {
    let record = &manifest.network;
    let model = proto::decode(files.get(&record.file).map_or(&[], Vec::as_slice))?;
    let network = Network::load(&model, data.shape(), &record.output, &[])?;
    let mut session = network.session()?;
    let everything: Vec<usize> = (0..data.len()).collect();
    let mut rows = Vec::new();
    let parts = partition(data, &everything, FOLDS, &mut random(SEED, Purpose::Splitting { repeat: 0 }));
    for (fold, part) in parts.into_iter().enumerate() {
        for spectrum in part.held_out {
            let prediction = network.run(&mut session, data.preprocessed(spectrum))?.y()?.to_vec();
            if prediction.iter().any(|value| !value.is_finite()) {
                return Err(AdoptError::NotFinite { what: format!("spectrum {spectrum} of the given ones") });
            }
            let (each, pls) = (vec![prediction.clone()], prediction.clone());
            rows.push(OutOfFold { spectrum, repeat: 0, fold, candidate: 0, prediction, each, pls, kernel: None });
        }
    }
    Ok(rows)
}

/// Figures on given spectra under their own names: nothing of them is cross-validated, and no PLS was fitted.
fn given(metrics: MetricsRecord) -> MetricsRecord {
    let mut interval = metrics.interval;
    let renamed = [("rmsecv", "rmse_given"), ("accuracy", "accuracy_given")];
    for (from, to) in renamed {
        if let Some(range) = interval.remove(from) {
            interval.insert(to.to_owned(), range);
        }
    }
    interval.retain(|key, _| !key.ends_with("_pls") && !["rmsecv_ratio", "accuracy_gain"].contains(&key.as_str()));
    MetricsRecord {
        rmse_given: metrics.rmsecv,
        accuracy_given: metrics.accuracy,
        r2: metrics.r2,
        bias: metrics.bias,
        slope: metrics.slope,
        replicate_sd: metrics.replicate_sd,
        blank_sd: metrics.blank_sd,
        detection_limit: metrics.detection_limit,
        accuracy_majority: metrics.accuracy_majority,
        recall: metrics.recall,
        confusion: metrics.confusion,
        interval,
        ..MetricsRecord::default()
    }
}
