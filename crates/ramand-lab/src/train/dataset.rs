//! The labelled spectra as training sees them: preprocessed once, and disturbed afresh for every step.

use std::sync::Arc;

use nalgebra::DMatrix;
use ramand_core::preprocess::{Pipeline, PreprocessError, Workspace};
use ramand_recording::Recording;
use rand::rngs::ChaCha8Rng;

use super::augment::{Disturbance, deviation};
use super::error::TrainError;

/// What each spectrum is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Truth {
    /// A quantity, one number per spectrum.
    Values(Vec<f64>),
    /// A class: index into the labels, one per spectrum.
    Classes {
        /// In the order of the network's outputs.
        labels: Vec<String>,
        /// One per spectrum.
        indices: Vec<usize>,
    },
}

impl Truth {
    /// Numbers the network predicts for a spectrum.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Values(_) => 1,
            Self::Classes { labels, .. } => labels.len(),
        }
    }

    /// The classes in the order of the outputs; none for a quantity.
    pub(super) fn labels(&self) -> &[String] {
        match self {
            Self::Values(_) => &[],
            Self::Classes { labels, .. } => labels,
        }
    }

    /// What output `output` of the network should say about a spectrum: its value, or 1 for its own class and 0 for others.
    pub(super) fn target(&self, spectrum: usize, output: usize) -> f64 {
        match self {
            Self::Values(values) => values[spectrum],
            Self::Classes { indices, .. } => f64::from(u8::from(indices[spectrum] == output)),
        }
    }
}

/// Labelled spectra, preprocessed.
pub(super) struct Dataset<'a> {
    pipeline: &'a Pipeline,
    /// Before the first normalisation, on the model's axis.
    rows: Arc<[Vec<f64>]>,
    /// `[spectra][channels · points]`.
    preprocessed: Arc<[f32]>,
    /// Channels · points.
    pub(super) features: usize,
    /// What each spectrum is.
    pub(super) truth: Truth,
    /// Which independent sample each spectrum belongs to, counted from 0 in the order of appearance.
    pub(super) groups: Vec<usize>,
    /// What is held out together and exchangeable, counted from 0: the block of each spectrum, or where there are none, its sample.
    pub(super) units: Vec<usize>,
}

impl<'a> Dataset<'a> {
    /// Preprocesses every spectrum of a recording; `truth` and `groups` have one entry per row.
    ///
    /// # Errors
    /// Names the row that cannot be preprocessed.
    pub(super) fn preprocess(
        recording: &Recording,
        pipeline: &'a Pipeline,
        truth: Truth,
        groups: Vec<usize>,
    ) -> Result<Self, TrainError> {
        let mut workspace = Workspace::default();
        let features = pipeline.channels() * pipeline.axis().len();
        let mut rows = Vec::with_capacity(recording.spectra.len());
        let mut preprocessed = Vec::new();
        for (raw, recorded) in recording.raw_spectra().zip(&recording.spectra) {
            let failed = |source| TrainError::Preprocess { line: recorded.line, id: recorded.id.clone(), source };
            let row = pipeline.before_normalise(&raw, &mut workspace).map_err(failed)?;
            preprocessed.resize(preprocessed.len() + features, 0.0);
            let last = preprocessed.len() - features;
            pipeline.finish(&row, &mut workspace, &mut preprocessed[last..]).map_err(failed)?;
            rows.push(row);
        }
        let units = groups.clone();
        Ok(Self { pipeline, rows: rows.into(), preprocessed: preprocessed.into(), features, truth, groups, units })
    }

    /// The same, held out by `units`: one per spectrum, spectra of one sample in one unit.
    pub(super) fn held_out_by(self, units: Vec<usize>) -> Self {
        Self { units, ..self }
    }

    /// The same spectra, said to be something else.
    pub(super) fn relabelled(&self, truth: Truth) -> Self {
        let (rows, preprocessed) = (self.rows.clone(), self.preprocessed.clone());
        Self {
            pipeline: self.pipeline,
            rows,
            preprocessed,
            features: self.features,
            truth,
            groups: self.groups.clone(),
            units: self.units.clone(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Channels and points of a preprocessed spectrum.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.channels(), self.features / self.channels())
    }

    /// How many independent samples.
    pub(super) fn samples(&self) -> usize {
        self.groups.iter().max().map_or(0, |last| last + 1)
    }

    /// How many units are held out: blocks, or samples where there are none.
    pub(super) fn unit_count(&self) -> usize {
        self.units.iter().max().map_or(0, |last| last + 1)
    }

    /// What units are, for messages.
    pub(super) fn units_in_words(&self) -> &'static str {
        if self.unit_count() < self.samples() { "blocks" } else { "independent samples" }
    }

    /// The unit of each sample.
    pub(super) fn units_of_samples(&self) -> Vec<usize> {
        let mut units = vec![0; self.samples()];
        for (&group, &unit) in self.groups.iter().zip(&self.units) {
            units[group] = unit;
        }
        units
    }

    /// One preprocessed spectrum, `[channels · points]`.
    pub(super) fn preprocessed(&self, spectrum: usize) -> &[f32] {
        &self.preprocessed[spectrum * self.features..][..self.features]
    }

    /// One spectrum before its normalisation, on the model's axis.
    pub(super) fn before_normalise(&self, spectrum: usize) -> &[f64] {
        &self.rows[spectrum]
    }

    /// Input channels of the network.
    pub(super) fn channels(&self) -> usize {
        self.pipeline.channels()
    }

    /// Preprocessed spectra as a matrix, `[members × channels · points]`.
    pub(super) fn spectra(&self, members: &[usize]) -> DMatrix<f64> {
        DMatrix::from_fn(members.len(), self.features, |i, j| f64::from(self.preprocessed(members[i])[j]))
    }

    /// What the network should say, `[members × outputs]`.
    pub(super) fn targets(&self, members: &[usize]) -> DMatrix<f64> {
        DMatrix::from_fn(members.len(), self.truth.outputs(), |i, j| self.truth.target(members[i], j))
    }

    /// Mean over `members` of a spectrum's standard deviation before normalisation: the unit of augmentation.
    pub(super) fn mean_deviation(&self, members: &[usize]) -> f64 {
        members.iter().map(|&spectrum| deviation(&self.rows[spectrum])).sum::<f64>() / members.len() as f64
    }

    /// Disturbs one spectrum, preprocesses it to the end: `[channels · points]`.
    ///
    /// # Errors
    /// When a disturbed spectrum cannot be preprocessed, which a spectrum that could be preprocessed itself hardly brings about.
    pub(super) fn draw(
        &self,
        spectrum: usize,
        disturbance: Disturbance<'_>,
        random: &mut ChaCha8Rng,
        workspace: &mut DrawWorkspace,
        preprocessed: &mut [f32],
    ) -> Result<(), PreprocessError> {
        disturbance.apply(&self.rows[spectrum], random, &mut workspace.disturbed);
        self.pipeline.finish(&workspace.disturbed, &mut workspace.preprocess, preprocessed)
    }
}

/// Buffers that [`Dataset::draw`] reuses.
#[derive(Default)]
pub(super) struct DrawWorkspace {
    disturbed: Vec<f64>,
    preprocess: Workspace,
}
