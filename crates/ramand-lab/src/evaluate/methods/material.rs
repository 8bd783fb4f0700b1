//! What the methods are compared on: spectra to train with, others to explain, and where those truly differ.

use ramand_core::outcome::Explained;
use ramand_core::preprocess::{Pipeline, PipelineStep, Workspace};
use ramand_model::manifest::Task;
use ramand_recording::Recording;
use ramand_sim::dataset::Recipe;

use super::error::MethodsError;
use super::measures::where_different;
use crate::train::{TrainError, TrainingRequest};

/// Share of the squared difference of two noise-free spectra that the points hold where they truly differ.
pub(super) const TRUTH_SHARE: f64 = 0.9;

/// One task.
#[derive(Debug, Clone)]
pub struct Material {
    /// What it is called in the tables.
    pub title: String,
    /// The networks see these.
    pub training: Recording,
    /// Other samples, which are explained.
    pub explained: Recording,
    /// How networks are trained; its seed and its families are replaced.
    pub request: TrainingRequest,
    /// Of simulated spectra: each class, or both ends of a blend, without noise.
    pub noise_free: Option<Recording>,
}

/// Spectra as the network sees them, with what is explained of each.
#[derive(Debug)]
pub(super) struct Preprocessed {
    /// [channels · points] of each spectrum to explain.
    pub spectra: Vec<Vec<f32>>,
    /// Of each, which sample it belongs to, from 0 in the order of appearance.
    pub samples: Vec<usize>,
    /// Of each, the scalar.
    pub explained: Vec<Explained>,
    /// Of each, the label or value that is true: index of the class or the quantity.
    pub truth: Vec<f64>,
    /// Of each, the points that truly differ; nothing for measured spectra.
    pub differs: Vec<Option<Vec<bool>>>,
    /// Preprocessed training spectra of the reference population.
    pub population: Vec<Vec<f32>>,
}

impl Material {
    /// A simulated task from a recipe, `samples` of it for training and `explained` more to be explained, both drawn from `seed`.
    ///
    /// # Errors
    /// When the set cannot be made or is too small.
    pub fn simulated(
        mut recipe: Recipe,
        samples: usize,
        explained: usize,
        seed: u64,
        request: TrainingRequest,
    ) -> Result<Self, MethodsError> {
        recipe.samples = samples + explained;
        let folder = tempfile::tempdir().map_err(MethodsError::Folder)?;
        let path = folder.path().join("simulated.csv");
        recipe.write(&path, seed)?;
        let noise_free = Some(recipe.noise_free());
        Ok(Self { noise_free, ..Self::new(request.name.clone(), &Recording::read(&path)?, explained, request)? })
    }

    /// A task of recorded spectra: `explained` samples, spread evenly over the file, are explained; the others are trained on.
    ///
    /// # Errors
    /// When there are too few samples.
    pub fn new(
        title: String,
        recording: &Recording,
        explained: usize,
        request: TrainingRequest,
    ) -> Result<Self, MethodsError> {
        let samples = recording.samples(request.split.group.as_deref())?;
        let count = samples.iter().max().map_or(0, |last| last + 1);
        if explained == 0 || count < 2 * explained {
            return Err(MethodsError::TooFewSamples { samples: count, explained });
        }
        // Sample s is explained where s · explained / count passes a whole number.
        let held_out = |sample: usize| (sample + 1) * explained / count > sample * explained / count;
        let part = |belongs: &dyn Fn(usize) -> bool| {
            let rows = recording.spectra.iter().zip(&samples);
            let mut rows: Vec<_> = rows.filter(|(_, sample)| belongs(**sample)).collect();
            // Replicates beside each other.
            rows.sort_by_key(|(_, sample)| **sample);
            let spectra = rows.into_iter().map(|(row, _)| row.clone()).collect();
            Recording { path: recording.path.clone(), files: recording.files.clone(), spectra }
        };
        let (training, explained) = (part(&|sample| !held_out(sample)), part(&held_out));
        Ok(Self { title, training, explained, request, noise_free: None })
    }

    /// Preprocesses everything, with the outputs of the network in the order of `labels`.
    ///
    /// # Errors
    /// Names the row that cannot be preprocessed.
    pub(super) fn preprocess(&self, labels: &[String], reference_rows: &[usize]) -> Result<Preprocessed, MethodsError> {
        let pipeline = &self.request.preprocessings[0].pipeline;
        let training = preprocessed(&self.training, pipeline)?;
        let spectra = preprocessed(&self.explained, pipeline)?;
        let samples = self.explained.samples(self.request.split.group.as_deref())?;
        let target = &self.request.target;
        let (truth, explained): (Vec<f64>, Vec<Explained>) = match self.request.task {
            Task::Regression => {
                let values = self.explained.number_column(target)?;
                let explained = vec![Explained::Value; values.len()];
                (values, explained)
            }
            Task::Classification => {
                let rivals = rivals(&training, &classes(&self.training, target, labels)?, labels.len());
                let own = classes(&self.explained, target, labels)?;
                let contrast = |&class: &usize| Explained::Contrast { class, against: rivals[class] };
                (own.iter().map(|&class| class as f64).collect(), own.iter().map(contrast).collect())
            }
        };
        let differs = self.differs(labels, &explained)?;
        let population = reference_rows.iter().map(|&row| training[row].clone()).collect();
        Ok(Preprocessed { spectra, samples, explained, truth, differs, population })
    }

    fn differs(&self, labels: &[String], explained: &[Explained]) -> Result<Vec<Option<Vec<bool>>>, MethodsError> {
        let Some(noise_free) = &self.noise_free else { return Ok(vec![None; explained.len()]) };
        let given = &self.request.preprocessings[0].pipeline;
        // What removes cosmic rays takes sharp bands for them where there is no noise to compare with.
        let steps = given.steps().iter().copied().filter(|step| !matches!(step, PipelineStep::Despike(_))).collect();
        let pipeline = Pipeline::new(given.axis().clone(), steps, given.channel_steps().to_vec())
            .map_err(MethodsError::TruthPipeline)?;
        let mut workspace = Workspace::default();
        let preprocessed = noise_free.raw_spectra().map(|raw| pipeline.preprocess(&raw, &mut workspace));
        let preprocessed = preprocessed.collect::<Result<Vec<_>, _>>().map_err(MethodsError::Truth)?;
        let points = pipeline.axis().len();
        let between = |one: usize, other: usize| {
            let (one, other) = (preprocessed[one].values(), preprocessed[other].values());
            let squares = |point| {
                let channels = one.iter().zip(other).skip(point).step_by(points);
                channels.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            };
            where_different(&(0..points).map(|point| squares(point).sqrt()).collect::<Vec<_>>(), TRUTH_SHARE)
        };
        let rows = match self.request.task {
            Task::Regression => Vec::new(),
            Task::Classification => classes(noise_free, &self.request.target, labels)?,
        };
        let row_of = |class: usize| rows.iter().position(|&row| row == class).unwrap_or(0);
        let of = |explained: &Explained| match *explained {
            Explained::Value => between(0, preprocessed.len() - 1),
            Explained::Contrast { class, against } => between(row_of(class), row_of(against)),
        };
        Ok(explained.iter().map(|explained| Some(of(explained))).collect())
    }
}

/// Which output each row belongs to; a label no network was trained on counts as the first.
fn classes(recording: &Recording, column: &str, labels: &[String]) -> Result<Vec<usize>, MethodsError> {
    let place = |text: &str| labels.iter().position(|label| label == text).unwrap_or(0);
    Ok(recording.label_column(column)?.into_iter().map(place).collect())
}

fn preprocessed(recording: &Recording, pipeline: &Pipeline) -> Result<Vec<Vec<f32>>, MethodsError> {
    let mut workspace = Workspace::default();
    let rows = recording.raw_spectra().zip(&recording.spectra);
    rows.map(|(raw, row)| {
        let failed = |source| TrainError::Preprocess { line: row.line, id: row.id.clone(), source };
        Ok(pipeline.preprocess(&raw, &mut workspace).map_err(failed)?.values().to_vec())
    })
    .collect()
}

/// For each class the one whose mean training spectrum is nearest: the one it is most easily taken for. It does not depend on any
/// network, so that all networks and all replicates explain the same.
fn rivals(spectra: &[Vec<f32>], classes: &[usize], count: usize) -> Vec<usize> {
    let features = spectra.first().map_or(0, Vec::len);
    let mut means = vec![vec![0.0_f64; features]; count];
    let mut counts = vec![0.0_f64; count];
    for (spectrum, &class) in spectra.iter().zip(classes) {
        counts[class] += 1.0;
        means[class].iter_mut().zip(spectrum).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    for (mean, count) in means.iter_mut().zip(&counts) {
        mean.iter_mut().for_each(|value| *value /= count.max(1.0));
    }
    let distance =
        |one: usize, other: usize| -> f64 { means[one].iter().zip(&means[other]).map(|(a, b)| (a - b).powi(2)).sum() };
    let nearest = |class: usize| {
        let others = (0..count).filter(|&other| other != class);
        others.min_by(|&a, &b| distance(class, a).total_cmp(&distance(class, b))).unwrap_or(class)
    };
    (0..count).map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rival_is_the_class_with_the_nearest_mean() {
        let spectra = [[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [9.0, 9.0], [4.0, 4.0]].map(|s: [f32; 2]| s.to_vec());
        // Means (1, 0), (1, 1), (6.5, 6.5).
        assert_eq!(rivals(&spectra, &[0, 0, 1, 2, 2], 3), [1, 0, 1]);
    }
}
