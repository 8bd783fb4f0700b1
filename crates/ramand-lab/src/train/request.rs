//! What is to be trained, and how a recording becomes labelled samples.

use std::collections::{BTreeMap, BTreeSet};

use ramand_model::manifest::{BandRecord, CardRecord, ReferenceMap, Task};
use ramand_recording::Recording;

use super::augment::Augmentation;
use super::candidate::{Candidate, Family, Preprocessing};
use super::choose::{NETWORK_FOLDS, chooses};
use super::dataset::{Dataset, Truth};
use super::error::{SAMPLES_PER_CLASS_MIN, TrainError};
use super::fit::{Head, Mixing, Recipe};
use super::reference::Reference;

/// Steps of gradient descent a fit, enough for a hundred or a few hundred spectra.
pub const STEPS: u32 = 400;
/// Nominal coverage where no other is asked for: nine samples are enough for it.
pub const CONFIDENCE: f64 = 0.90;
/// Spectra a step.
const BATCH: usize = 32;
/// The highest learning rate beside PLS.
const RATE: f32 = 1e-3;
/// The same of a network alone.
const RATE_ALONE: f32 = 3e-3;

/// One training run.
#[derive(Debug, Clone)]
pub struct TrainingRequest {
    /// The bundle's name.
    pub name: String,
    /// The bundle's version.
    pub version: String,
    /// Quantity or classes.
    pub task: Task,
    /// Label column that is predicted.
    pub target: String,
    /// Unit of a quantity.
    pub unit: String,
    /// From raw spectrum to network input, at least one way, all onto the same axis: the best is chosen on held-out
    /// training samples.
    pub preprocessings: Vec<Preprocessing>,
    /// What the model may be made of, at least one: the best is chosen on held-out training samples, the simplest of equals.
    pub families: Vec<Family>,
    /// Networks whose mean is the model, at least one.
    pub networks: usize,
    /// Named stretches of the axis; those that reach beyond the model's axis are left out.
    pub bands: Vec<BandRecord>,
    /// Which spectra the difference map compares with.
    pub reference: Reference,
    /// What of theirs it subtracts.
    pub reference_map: ReferenceMap,
    /// How samples are held out.
    pub split: Split,
    /// How often all is done again with labels permuted among the samples, as a control.
    pub permutations: usize,
    /// Nominal coverage of intervals and sets, in 0..1: [`CONFIDENCE`].
    pub confidence: f64,
    /// Steps of gradient descent a fit: [`STEPS`].
    pub steps: usize,
    /// Of every random choice.
    pub seed: u64,
    /// Fits at a time; the bundle does not depend on it.
    pub threads: usize,
    /// What to write about the data and the model.
    pub provenance: Provenance,
}

/// How samples are held out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Column that tells independent samples apart; without one, every row is a sample.
    pub group: Option<String>,
    /// Column whose samples are held out together; without one, each sample is for itself.
    pub block: Option<String>,
    /// What is known of rows where no column tells samples apart.
    pub rows: Rows,
    /// Parts.
    pub folds: usize,
    /// How often, each time split anew.
    pub repeats: usize,
}

/// What is known of rows that no column groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Nothing: they are refused where they look like replicates.
    Unknown,
    /// Each is an independent sample, whatever it looks like.
    Independent,
}

/// What the manifest says in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Provenance {
    /// What may be said about the model.
    pub claim: String,
    /// What it is for and what not, where that is known.
    pub card: Option<CardRecord>,
    /// Licence of the weights.
    pub licence: String,
    /// Laser wavelength, nm; 0 for methods without a laser.
    pub laser_nm: f64,
    /// Where the spectra come from.
    pub data: String,
    /// SHA-256 of the file they came in, hexadecimal.
    pub data_sha256: String,
    /// True only where every spectrum was measured.
    pub measured: bool,
    /// Identifiers of spectra in the file that are not in the recording: left out on request.
    pub left_out: Vec<String>,
}

impl TrainingRequest {
    /// Steps of gradient descent that [`super::train`] takes altogether: the length of a progress bar.
    pub fn steps_altogether(&self) -> u64 {
        (self.networks_altogether() * self.steps) as u64
    }

    /// Networks that [`super::train`] trains altogether, at most: it gives up those that are behind PLS and kernel ridge.
    pub fn networks_altogether(&self) -> usize {
        let candidates = self.candidates();
        let with_network = candidates.iter().filter(|candidate| candidate.family.has_network()).count();
        if with_network == 0 {
            return 0;
        }
        let to_choose = if chooses(&candidates) { with_network * NETWORK_FOLDS } else { 0 };
        (self.split.folds * self.split.repeats + 1) * (to_choose + self.networks)
            + self.split.folds * self.permutations * (to_choose + 1)
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        Candidate::all(self.preprocessings.len(), &self.families)
    }

    /// How the network of a family is trained on the spectra `members`, whose replicates say how large the disturbances are.
    pub(super) fn recipe(&self, family: Family, data: &Dataset<'_>, members: &[usize]) -> Recipe {
        let step_per_cm = self.preprocessings[0].pipeline.axis().mean_step();
        let augmentation = match self.task {
            Task::Regression => Augmentation::regression(step_per_cm),
            Task::Classification => Augmentation::classification(step_per_cm),
        };
        let augmentation =
            augmentation.sized(members.iter().map(|&row| (data.groups[row], data.before_normalise(row))));
        // PLS has learned most of what there is to learn; without it the network has further to go, and nothing tells it
        // that spectra of blends are about blends of spectra.
        let (rate, mixing) = match (family.has_pls(), self.task) {
            (true, _) => (RATE, Mixing::Never),
            (false, Task::Regression) => (RATE_ALONE, Mixing::Some),
            (false, Task::Classification) => (RATE_ALONE, Mixing::Never),
        };
        Recipe { steps: self.steps, batch: BATCH, rate, augmentation, mixing, head: Head::Flat }
    }

    /// What each row is.
    pub(super) fn truth(&self, recording: &Recording) -> Result<Truth, TrainError> {
        match self.task {
            Task::Regression => {
                let values = recording.number_column(&self.target)?;
                if values.iter().all(|value| *value == values[0]) {
                    return Err(TrainError::ConstantTarget { column: self.target.clone() });
                }
                Ok(Truth::Values(values))
            }
            Task::Classification => {
                let texts = filled(recording, &self.target)?;
                let mut labels: Vec<String> = texts.iter().map(ToString::to_string).collect();
                labels.sort();
                labels.dedup();
                if labels.len() < 2 {
                    return Err(TrainError::OneClass { column: self.target.clone() });
                }
                let place = |text: &&str| labels.binary_search_by(|label| label.as_str().cmp(text));
                let indices = texts.iter().map(|text| place(text).expect("every text became a label")).collect();
                Ok(Truth::Classes { labels, indices })
            }
        }
    }

    /// Which sample each row belongs to, from 0 in the order of appearance, with the samples' names.
    ///
    /// # Errors
    /// Names the row that contradicts another one: an identifier that stands twice while nothing says which rows are replicates,
    /// the same spectrum in two samples, or two classes in one sample.
    pub(super) fn groups(&self, recording: &Recording, truth: &Truth) -> Result<(Vec<usize>, Vec<String>), TrainError> {
        if self.split.group.is_none() {
            no_identifier_twice(recording)?;
        }
        let texts: Vec<&str> = match &self.split.group {
            Some(column) => filled(recording, column)?,
            None => recording.spectra.iter().map(|row| row.id.as_str()).collect(),
        };
        let mut places = BTreeMap::new();
        let mut names: Vec<String> = Vec::new();
        let mut first_rows = Vec::new();
        let mut groups = Vec::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            // Without a column of samples, several spectra of one file are one sample, and two rows are two.
            let line = recording.spectra[row].line;
            let key = if self.split.group.is_some() { (*text, 0) } else { ("", line) };
            let place = *places.entry(key).or_insert_with(|| {
                names.push((*text).to_owned());
                first_rows.push(row);
                names.len() - 1
            });
            if let Truth::Classes { labels, indices } = truth
                && indices[row] != indices[first_rows[place]]
            {
                return Err(TrainError::MixedGroup {
                    line: recording.spectra[row].line,
                    group: names[place].clone(),
                    found: labels[indices[row]].clone(),
                    earlier: labels[indices[first_rows[place]]].clone(),
                });
            }
            groups.push(place);
        }
        no_spectrum_in_two_samples(recording, &groups)?;
        Ok((groups, names))
    }

    /// What each row is held out with, one number per row: its block, or where there is no column of blocks, its sample of
    /// `groups`, whose names are `names`.
    ///
    /// # Errors
    /// Names the sample that is in two blocks; too few units for the folds; a class in fewer than two of them.
    pub(super) fn units(
        &self,
        recording: &Recording,
        truth: &Truth,
        groups: &[usize],
        names: &[String],
    ) -> Result<Vec<usize>, TrainError> {
        let (units, what) = match &self.split.block {
            None => (groups.to_vec(), ["independent samples", "sample(s)"]),
            Some(column) => {
                let texts = filled(recording, column)?;
                let mut first_rows = BTreeMap::new();
                for (row, (&group, &text)) in groups.iter().zip(&texts).enumerate() {
                    let first = *first_rows.entry(group).or_insert(row);
                    if texts[first] != text {
                        return Err(TrainError::SampleInTwoBlocks {
                            line: recording.spectra[row].line,
                            sample: names[group].clone(),
                            found: text.to_owned(),
                            earlier: texts[first].to_owned(),
                        });
                    }
                }
                (recording.samples(Some(column))?, ["blocks", "block(s)"])
            }
        };
        let count = units.iter().max().map_or(0, |last| last + 1);
        if count < self.split.folds || self.split.folds < 2 {
            return Err(TrainError::TooFewSamples { samples: count, what: what[0], folds: self.split.folds });
        }
        if let Truth::Classes { labels, indices } = truth {
            for (class, label) in labels.iter().enumerate() {
                let of_class = indices.iter().zip(&units).filter(|(index, _)| **index == class);
                let samples = of_class.map(|(_, unit)| unit).collect::<BTreeSet<_>>().len();
                if samples < SAMPLES_PER_CLASS_MIN {
                    return Err(TrainError::RareClass { class: label.clone(), samples, what: what[1] });
                }
            }
        }
        Ok(units)
    }

    /// The rows of the reference population, and its description.
    pub(super) fn reference_rows(&self, recording: &Recording) -> Result<(Vec<usize>, String), TrainError> {
        let (rows, labelled) = self.reference.rows(recording)?;
        let population = match labelled {
            None => "all training spectra".to_owned(),
            Some(label) => format!("training spectra with {label}"),
        };
        Ok((rows, population))
    }
}

/// A label column without holes.
pub(super) fn filled<'a>(recording: &'a Recording, column: &str) -> Result<Vec<&'a str>, TrainError> {
    let texts = recording.label_column(column)?;
    match texts.iter().position(|text| text.is_empty()) {
        Some(row) => Err(TrainError::EmptyLabel { line: recording.spectra[row].line, column: column.to_owned() }),
        None => Ok(texts),
    }
}

/// Which sample each row belongs to, from 0 in the order of appearance; without a column of samples, every row is one.
pub(super) fn samples(recording: &Recording, group: Option<&str>) -> Result<Vec<usize>, TrainError> {
    if let Some(column) = group {
        filled(recording, column)?;
    }
    Ok(recording.samples(group)?)
}

/// The same identifier twice is a replicate or a mistake, and only the user knows which.
fn no_identifier_twice(recording: &Recording) -> Result<(), TrainError> {
    let mut lines = BTreeMap::new();
    for row in &recording.spectra {
        if let Some(&earlier) = lines.get(row.id.as_str()) {
            return Err(TrainError::IdentifierTwice { line: row.line, id: row.id.clone(), earlier });
        }
        lines.insert(row.id.as_str(), row.line);
    }
    Ok(())
}

/// A copy in another sample would be held out and shown at once.
fn no_spectrum_in_two_samples(recording: &Recording, groups: &[usize]) -> Result<(), TrainError> {
    let mut seen: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    for (row, spectrum) in recording.spectra.iter().enumerate() {
        let bits = spectrum.intensities.iter().map(|value| value.to_bits()).collect();
        let earlier = *seen.entry(bits).or_insert(row);
        if groups[earlier] != groups[row] {
            let (line, earlier) = (spectrum.line, recording.spectra[earlier].line);
            return Err(TrainError::SpectrumTwice { line, id: spectrum.id.clone(), earlier });
        }
    }
    Ok(())
}
