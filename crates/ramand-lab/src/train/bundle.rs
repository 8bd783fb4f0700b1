//! From a recording to the files of a bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ramand_core::outcome::ModelIdentity;
use ramand_model::manifest::{CandidateRecord, Manifest, OutputRecord, ReferenceRecord, TrainingRecord};
use ramand_model::{Bundle, BundleError};
use ramand_recording::Recording;

use super::bootstrap::Draws;
use super::candidate::Preprocessing;
use super::choose::Choices;
use super::conformal::{Asked, CONFORMAL_FILE, Conformal};
use super::contents::{Contents, Files, training};
use super::coverage::Coverage;
use super::crossvalidate::{Purpose, Validated, ValidationPlan, crossvalidate, random};
use super::dataset::{Dataset, Truth};
use super::described::{Population, described};
use super::error::TrainError;
use super::estimator::Estimator;
use super::figures::temperature;
use super::gate::GateFit;
use super::loss::CandidateLoss;
use super::merit::metrics;
use super::out_of_fold::OutOfFold;
use super::outliers::Scrutiny;
use super::progress::Progress;
use super::replicates;
use super::request::{Rows, TrainingRequest};
use super::tables;

/// The out-of-fold predictions'.
const FOLDS_FILE: &str = "folds.csv";
/// The predictions' of permuted labels.
const PERMUTED_FILE: &str = "permuted.csv";

/// A bundle in memory: nothing is on disk yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Without the hashes of the files, which [`Trained::write`] fills in.
    pub manifest: Manifest,
    /// Content by file name, without the manifest.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Trained {
    /// Writes the bundle to the folder `out`: whole, or not at all.
    ///
    /// # Errors
    /// When the folder exists or cannot be written.
    pub fn write(&self, out: &Path) -> Result<ModelIdentity, BundleError> {
        Bundle::write(out, self.manifest.clone(), &self.files)
    }
}

/// Cross-validates, fits, explains and packs: the same recording, request and version give the same bytes, on any number
/// of threads.
///
/// # Errors
/// Names the row or column that cannot be used; [`TrainError::Interrupted`] when `progress` was told to stop.
pub fn train(recording: &Recording, request: &TrainingRequest, progress: &Progress) -> Result<Trained, TrainError> {
    let labelled = Labelled::of(recording, request)?;
    let candidates = request.candidates();
    let choices = Choices {
        preprocessings: &labelled.preprocessings,
        candidates: &candidates,
        networks: request.networks,
        steps: request.steps,
        recipe: &|family, data, members| request.recipe(family, data, members),
        progress,
    };
    let validated = crossvalidate(&choices, &plan(request))?;
    let kept = candidates[validated.last.candidate];
    let data = &labelled.preprocessings[kept.preprocessing];
    let gate = GateFit::new(data, &mut random(request.seed, Purpose::Gate)).ok_or(TrainError::ConstantSpectra)?;

    let mut files = Files::new();
    let estimator = &validated.last.estimator;
    let spectra: Vec<&[f32]> = labelled.reference_rows.iter().map(|&row| data.preprocessed(row)).collect();
    let population = Population { spectra: &spectra, map: request.reference_map };
    let (network, reference_output) = described(estimator, data, &population, &mut files)?;
    let gate_record = gate.record(data.features, data.unit_count(), &mut files);
    let output = output(request, &data.truth, &validated.held_out);
    let asked = Asked {
        temperature: output.temperature.unwrap_or(1.0),
        confidence: request.confidence,
        knows_classes: gate.classes.is_some(),
    };
    let conformal = Conformal::new(data, &validated.held_out, &asked);
    files.insert(CONFORMAL_FILE.to_owned(), conformal.file);
    let words: Vec<String> = candidates.iter().map(|candidate| candidate.in_words(&request.preprocessings)).collect();
    let names = tables::Names { recording, groups: &labelled.group_names, candidates: &words };
    tables(&names, data, &validated, &mut files);

    let draws = Draws::new(data.unit_count(), &mut random(request.seed, Purpose::Bootstrap));
    let mut metrics = metrics(data, &validated.held_out, &validated.permuted, &draws);
    let coverage = Coverage {
        data,
        rows: &validated.held_out,
        fared: conformal.fared.as_deref().unwrap_or_default(),
        gate: Some(&gate),
    };
    coverage.add_to(&mut metrics, &draws);
    let scrutiny = Scrutiny {
        recording,
        data,
        target: &request.target,
        held_out: &validated.held_out,
        components: validated.last.baselines.components(),
    };
    let contents = Contents {
        name: &request.name,
        version: &request.version,
        task: request.task,
        provenance: &request.provenance,
        output,
        pipeline: &request.preprocessings[kept.preprocessing].pipeline,
        network,
        reference: ReferenceRecord {
            population: labelled.population,
            map: request.reference_map,
            output: reference_output,
        },
        gate: Some(gate_record),
        bands: &request.bands,
        training: TrainingRecord {
            candidates: candidate_records(&words, &validated, data),
            suspects: scrutiny.suspects(),
            ..training_record(request, data, estimator)
        },
    };
    Ok(Trained { manifest: Manifest { conformal: Some(conformal.record), metrics, ..contents.manifest() }, files })
}

/// A recording with everything that is known of its rows.
struct Labelled<'a> {
    /// The same spectra in every preprocessing.
    preprocessings: Vec<Dataset<'a>>,
    /// Of the samples.
    group_names: Vec<String>,
    reference_rows: Vec<usize>,
    /// Whose mean that of the reference rows is, in words.
    population: String,
}

impl<'a> Labelled<'a> {
    /// # Errors
    /// Names the row or column that cannot be used.
    fn of(recording: &Recording, request: &'a TrainingRequest) -> Result<Self, TrainError> {
        let truth = request.truth(recording)?;
        let (groups, group_names) = request.groups(recording, &truth)?;
        let units = request.units(recording, &truth, &groups, &group_names)?;
        let (reference_rows, population) = request.reference_rows(recording)?;
        let preprocess = |preprocessing: &'a Preprocessing| {
            let data = Dataset::preprocess(recording, &preprocessing.pipeline, truth.clone(), groups.clone())?;
            Ok::<_, TrainError>(data.held_out_by(units.clone()))
        };
        let preprocessings: Vec<Dataset<'_>> =
            request.preprocessings.iter().map(preprocess).collect::<Result<_, _>>()?;
        if request.split.group.is_none() && request.split.rows == Rows::Unknown {
            replicates::refuse(recording, &preprocessings[0], &request.target)?;
        }
        Ok(Self { preprocessings, group_names, reference_rows, population })
    }
}

fn plan(request: &TrainingRequest) -> ValidationPlan {
    ValidationPlan {
        folds: request.split.folds,
        repeats: request.split.repeats,
        permutations: request.permutations,
        seed: request.seed,
        threads: request.threads,
    }
}

/// Every prediction that a figure is computed from.
fn tables(names: &tables::Names<'_>, data: &Dataset<'_>, validated: &Validated, files: &mut Files) {
    files.insert(FOLDS_FILE.to_owned(), tables::folds(names, data, &validated.held_out));
    if !validated.permuted.is_empty() {
        files.insert(PERMUTED_FILE.to_owned(), tables::permuted(names, data, &validated.permuted));
    }
}

fn training_record(request: &TrainingRequest, data: &Dataset<'_>, estimator: &Estimator) -> TrainingRecord {
    TrainingRecord {
        split: split_in_words(request, data.unit_count()),
        block: request.split.block.clone(),
        seed: request.seed,
        range: range(&data.truth),
        networks: Some(estimator.networks()),
        components: estimator.components(),
        ..training(data, &request.provenance, request.split.group.as_deref())
    }
}

/// The least and the largest true value of a quantity.
fn range(truth: &Truth) -> Option<[f64; 2]> {
    let Truth::Values(values) = truth else { return None };
    let least = values.iter().copied().reduce(f64::min)?;
    let largest = values.iter().copied().reduce(f64::max)?;
    Some([least, largest])
}

/// What the model was chosen among; nothing where there was no choice.
fn candidate_records(names: &[String], validated: &Validated, data: &Dataset<'_>) -> Vec<CandidateRecord> {
    let Validated { held_out, last, .. } = validated;
    let folds: BTreeSet<(usize, usize, usize)> =
        held_out.iter().map(|row| (row.candidate, row.repeat, row.fold)).collect();
    let outputs = data.truth.outputs();
    let record = |(place, (name, loss)): (usize, (&String, &Option<CandidateLoss>))| CandidateRecord {
        name: name.clone(),
        chosen: folds.iter().filter(|(candidate, ..)| *candidate == place).count(),
        error: loss.map(|CandidateLoss { loss, spectra }| (loss.squared / (spectra * outputs) as f64).sqrt()),
        spectra: loss.map(|loss| loss.spectra),
        kept: place == last.candidate,
    };
    names.iter().zip(&last.losses).enumerate().map(record).collect()
}

fn output(request: &TrainingRequest, truth: &Truth, held_out: &[OutOfFold]) -> OutputRecord {
    match truth {
        Truth::Values(_) => OutputRecord { unit: Some(request.unit.clone()), labels: None, temperature: None },
        Truth::Classes { labels, indices } => {
            let scores: Vec<(usize, &[f32])> =
                held_out.iter().map(|row| (indices[row.spectrum], row.prediction.as_slice())).collect();
            OutputRecord { unit: None, labels: Some(labels.clone()), temperature: Some(temperature(&scores)) }
        }
    }
}

fn split_in_words(request: &TrainingRequest, units: usize) -> String {
    let split = &request.split;
    let repeats = if split.repeats == 1 { "1 repeat".to_owned() } else { format!("{} repeats", split.repeats) };
    let by = match (&split.block, &split.group) {
        (Some(block), _) if split.folds == units => format!("leave one block of column '{block}' out, {units} blocks"),
        (Some(block), _) => format!("{} folds by block, {units} blocks of column '{block}'", split.folds),
        (None, Some(group)) => format!("{} folds by column '{group}'", split.folds),
        (None, None) => format!("{} folds by row", split.folds),
    };
    format!("{by}, {repeats}")
}
