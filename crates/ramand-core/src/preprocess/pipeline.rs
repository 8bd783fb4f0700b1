//! The ordered list of steps, checked once, run on every spectrum.

use std::sync::Arc;

use super::orthogonal::OrthonormalPolynomials;
use super::smooth::Filter;
use super::step::{Baseline, Despike, Normalise, PipelineStep, Whittaker};
use super::{PipelineError, PreprocessError, baseline, despike, normalise, resample, whittaker};
use crate::spectrum::{PreprocessedSpectrum, RawSpectrum, ShiftAxis};

/// Steps in one list: longer ones are a mistake, and time per spectrum must be bounded.
pub const STEPS_MAX: usize = 32;

/// Channels of one model, for the same reason.
pub const CHANNELS_MAX: usize = 8;

/// Points of a model's axis: twice what any detector read here resolves.
pub const POINTS_MAX: usize = 8192;

/// A validated pipeline: whatever spectrum covers its axis goes through, or is refused with a reason.
#[derive(Debug, Clone)]
pub struct Pipeline {
    axis: Arc<ShiftAxis>,
    steps: Vec<PipelineStep>,
    channel_steps: Vec<Vec<PipelineStep>>,
    /// Shared steps up to the first normalisation after the resampling, or to their end.
    head: Vec<PipelineStage>,
    /// The shared steps from there on.
    rest: Vec<PipelineStage>,
    /// What each channel does on top; empty where there is one channel.
    branches: Vec<Vec<PipelineStage>>,
}

/// A step with everything that can be computed before a spectrum is there.
#[derive(Debug, Clone)]
enum PipelineStage {
    Dark,
    Despike(Despike),
    Resample,
    Arpls(Whittaker),
    Airpls(Whittaker),
    Polynomial(OrthonormalPolynomials),
    Smooth(Filter),
    Normalise(Normalise),
}

/// Buffers for one spectrum on its way. Reused, they make preprocessing free of allocations except for the result. One
/// workspace serves any number of pipelines, one at a time.
#[derive(Debug, Default)]
pub struct Workspace {
    values: Vec<f64>,
    other: Vec<f64>,
    shared: Vec<f64>,
    despike: despike::DespikeScratch,
    baseline: baseline::BaselineScratch,
}

impl Pipeline {
    /// `steps` run in order for every channel; each list in `channel_steps` is one channel's own continuation, and an
    /// empty `channel_steps` means one channel without any.
    ///
    /// Exactly one step resamples onto `axis`. "dark" can only be the first step; "despike" and "resample" belong to
    /// all channels, as they need the detector's pixels; "normalise" and a polynomial baseline come after "resample".
    ///
    /// # Errors
    /// When a setting, the order of the steps or a number of things is outside what is stated there.
    pub fn new(
        axis: Arc<ShiftAxis>,
        steps: Vec<PipelineStep>,
        channel_steps: Vec<Vec<PipelineStep>>,
    ) -> Result<Self, PipelineError> {
        at_most("channels", channel_steps.len(), CHANNELS_MAX)?;
        at_most("points on the axis", axis.len(), POINTS_MAX)?;
        for list in std::iter::once(&steps).chain(&channel_steps) {
            at_most("steps in one list", list.len(), STEPS_MAX)?;
            list.iter().try_for_each(PipelineStep::validate)?;
        }
        let found = steps.iter().filter(|step| matches!(step, PipelineStep::Resample)).count();
        if found != 1 {
            return Err(PipelineError::Resamples { found });
        }
        check_order(&steps, &channel_steps)?;

        let resample = steps.iter().position(|step| matches!(step, PipelineStep::Resample)).unwrap_or(steps.len());
        let mut head = steps
            .iter()
            .enumerate()
            .map(|(index, step)| PipelineStage::new(step, (index > resample).then_some(axis.len())))
            .collect::<Result<Vec<_>, _>>()?;
        let split = steps.iter().position(|step| matches!(step, PipelineStep::Normalise(_))).unwrap_or(steps.len());
        let rest = head.split_off(split);
        let on_axis =
            |list: &Vec<PipelineStep>| list.iter().map(|step| PipelineStage::new(step, Some(axis.len()))).collect();
        let branches = channel_steps.iter().map(on_axis).collect::<Result<_, _>>()?;
        Ok(Self { axis, steps, channel_steps, head, rest, branches })
    }

    /// The model's axis.
    pub fn axis(&self) -> &Arc<ShiftAxis> {
        &self.axis
    }

    /// The shared steps, as given.
    pub fn steps(&self) -> &[PipelineStep] {
        &self.steps
    }

    /// Every channel's own steps, as given; empty where there is one channel without any.
    pub fn channel_steps(&self) -> &[Vec<PipelineStep>] {
        &self.channel_steps
    }

    /// How many channels a preprocessed spectrum has.
    pub fn channels(&self) -> usize {
        self.branches.len().max(1)
    }

    /// The whole way from counts to what the network sees.
    ///
    /// # Errors
    /// When the spectrum ends before the model's axis, or leaves nothing to bring to scale.
    pub fn preprocess(
        &self,
        raw: &RawSpectrum,
        workspace: &mut Workspace,
    ) -> Result<PreprocessedSpectrum, PreprocessError> {
        self.run_head(raw, workspace)?;
        let mut values = vec![0.0; self.channels() * self.axis.len()];
        self.run_rest(workspace, &mut values)?;
        Ok(PreprocessedSpectrum::assemble(self.axis.clone(), self.channels(), values))
    }

    /// The first half: everything before the first "normalise" of the shared steps, or all of them where they have
    /// none. One value per point of the axis, in counts or what became of them. Training augments this row.
    ///
    /// # Errors
    /// As [`Pipeline::preprocess`].
    pub fn before_normalise(&self, raw: &RawSpectrum, workspace: &mut Workspace) -> Result<Vec<f64>, PreprocessError> {
        self.run_head(raw, workspace)?;
        Ok(workspace.values.clone())
    }

    /// The second half: from such a row to what the network sees, `[channels][points]` into `preprocessed`. Both halves
    /// together are [`Pipeline::preprocess`], bit for bit.
    ///
    /// # Errors
    /// When the row leaves nothing to bring to scale.
    ///
    /// # Panics
    /// When the row has not one value per point, or `preprocessed` not one per channel and point.
    pub fn finish(
        &self,
        row: &[f64],
        workspace: &mut Workspace,
        preprocessed: &mut [f32],
    ) -> Result<(), PreprocessError> {
        assert_eq!(row.len(), self.axis.len(), "one value per point of the axis");
        workspace.values.clear();
        workspace.values.extend_from_slice(row);
        self.run_rest(workspace, preprocessed)
    }

    /// Leaves one value per point of the axis in the workspace.
    fn run_head(&self, raw: &RawSpectrum, workspace: &mut Workspace) -> Result<(), PreprocessError> {
        workspace.values.clear();
        workspace.values.extend(raw.light().iter().map(|&counts| f64::from(counts)));
        let largest = normalise::largest_absolute(&workspace.values);
        for stage in &self.head {
            stage.run(Some(raw), &self.axis, largest, workspace)?;
        }
        let extremes = workspace
            .values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &value| (value.min(least), value.max(most)));
        if extremes.1 - extremes.0 <= normalise::FLATNESS * largest {
            return Err(PreprocessError::Flat { step: self.head.last().map_or("resample", PipelineStage::name) });
        }
        Ok(())
    }

    fn run_rest(&self, workspace: &mut Workspace, preprocessed: &mut [f32]) -> Result<(), PreprocessError> {
        assert_eq!(preprocessed.len(), self.channels() * self.axis.len(), "one value per channel and point");
        let largest = normalise::largest_absolute(&workspace.values);
        for stage in &self.rest {
            stage.run(None, &self.axis, largest, workspace)?;
        }
        let last = |stages: &[PipelineStage]| stages.last().map(PipelineStage::name);
        let shared_last = last(&self.rest).or_else(|| last(&self.head)).unwrap_or("resample");
        if self.branches.is_empty() {
            return write(&workspace.values, shared_last, preprocessed);
        }
        workspace.shared.clone_from(&workspace.values);
        let largest = normalise::largest_absolute(&workspace.shared);
        for (branch, channel) in self.branches.iter().zip(preprocessed.chunks_exact_mut(self.axis.len())) {
            workspace.values.clone_from(&workspace.shared);
            for stage in branch {
                stage.run(None, &self.axis, largest, workspace)?;
            }
            write(&workspace.values, last(branch).unwrap_or(shared_last), channel)?;
        }
        Ok(())
    }
}

impl PipelineStage {
    /// `points` is the length of the model's axis for a step that works on it.
    fn new(step: &PipelineStep, points: Option<usize>) -> Result<Self, PipelineError> {
        let long_enough = |needed: usize| match points {
            Some(points) if points < needed => Err(PipelineError::AxisTooShort { step: step.name(), needed, points }),
            _ => Ok(()),
        };
        Ok(match step {
            PipelineStep::Dark => Self::Dark,
            PipelineStep::Despike(settings) => Self::Despike(*settings),
            PipelineStep::Resample => Self::Resample,
            PipelineStep::Baseline(Baseline::Arpls(settings)) => {
                long_enough(whittaker::POINTS_MIN)?;
                Self::Arpls(*settings)
            }
            PipelineStep::Baseline(Baseline::Airpls(settings)) => {
                long_enough(whittaker::POINTS_MIN)?;
                Self::Airpls(*settings)
            }
            PipelineStep::Baseline(Baseline::Polynomial { order }) => {
                long_enough(order + 2)?;
                Self::Polynomial(OrthonormalPolynomials::new(points.unwrap_or(order + 2), *order))
            }
            PipelineStep::Smooth(settings) => {
                long_enough(settings.window)?;
                Self::Smooth(Filter::new(settings))
            }
            PipelineStep::Normalise(method) => Self::Normalise(*method),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Despike(_) => "despike",
            Self::Resample => "resample",
            Self::Arpls(_) | Self::Airpls(_) | Self::Polynomial(_) => "baseline",
            Self::Smooth(_) => "smooth",
            Self::Normalise(_) => "normalise",
        }
    }

    /// Fewest points this stage can work on.
    fn points_min(&self) -> usize {
        match self {
            Self::Arpls(_) | Self::Airpls(_) => whittaker::POINTS_MIN,
            Self::Smooth(filter) => filter.window(),
            _ => 0,
        }
    }

    /// Works on the workspace's values in place. `raw` is there for the stages of the head.
    fn run(
        &self,
        raw: Option<&RawSpectrum>,
        axis: &ShiftAxis,
        largest: f64,
        workspace: &mut Workspace,
    ) -> Result<(), PreprocessError> {
        let Workspace { values, other, despike, baseline, .. } = workspace;
        if values.len() < self.points_min() {
            return Err(PreprocessError::TooFewPoints {
                step: self.name(),
                needed: self.points_min(),
                points: values.len(),
            });
        }
        match self {
            Self::Dark => raw.into_iter().for_each(|raw| subtract_dark(raw, values)),
            Self::Despike(settings) => despike::remove_spikes(values, settings, despike),
            Self::Resample => {
                let from = raw.expect("'resample' is among the shared steps before any 'normalise'").axis();
                resample::resample(values, from, axis, other)?;
                std::mem::swap(values, other);
            }
            Self::Arpls(settings) => baseline::subtract_arpls(values, settings, baseline),
            Self::Airpls(settings) => baseline::subtract_airpls(values, settings, baseline),
            Self::Polynomial(basis) => baseline::subtract_polynomial(values, basis),
            Self::Smooth(filter) => {
                filter.apply(values, other);
                std::mem::swap(values, other);
            }
            Self::Normalise(method) => normalise::normalise(values, *method, largest)?,
        }
        if values.iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(PreprocessError::NotFinite { step: self.name() })
        }
    }
}

/// A step whose place contradicts its meaning.
fn check_order(steps: &[PipelineStep], channel_steps: &[Vec<PipelineStep>]) -> Result<(), PipelineError> {
    let misplaced = |step: &PipelineStep, rule| Err(PipelineError::Misplaced { step: step.name(), rule });
    let mut resampled = false;
    for (index, step) in steps.iter().enumerate() {
        match step {
            PipelineStep::Dark if index > 0 => {
                return misplaced(step, "must be the first step: it needs the counts as read");
            }
            PipelineStep::Despike(_) if resampled => {
                return misplaced(step, "must come before 'resample': it needs the detector's pixels");
            }
            PipelineStep::Normalise(_) if !resampled => {
                return misplaced(step, "must come after 'resample': it has to see what the model sees");
            }
            PipelineStep::Baseline(Baseline::Polynomial { .. }) if !resampled => {
                return misplaced(step, "with method 'polynomial' must come after 'resample': it needs an even axis");
            }
            PipelineStep::Resample => resampled = true,
            _ => {}
        }
    }
    for step in channel_steps.iter().flatten() {
        if matches!(step, PipelineStep::Dark | PipelineStep::Despike(_) | PipelineStep::Resample) {
            return misplaced(step, "belongs among the shared steps, not into a channel");
        }
    }
    Ok(())
}

fn subtract_dark(raw: &RawSpectrum, values: &mut [f64]) {
    let Some(dark) = raw.dark() else { return };
    values.iter_mut().zip(dark).for_each(|(value, &dark)| *value -= f64::from(dark));
    let nonlinearity = raw.acquisition().and_then(|acquisition| acquisition.instrument.nonlinearity.as_ref());
    if let Some(nonlinearity) = nonlinearity {
        values.iter_mut().for_each(|value| *value = f64::from(nonlinearity.correct(*value as f32)));
    }
}

/// Narrows to f32, which counts of 1e39 do not survive; `step` was the last one.
fn write(values: &[f64], step: &'static str, preprocessed: &mut [f32]) -> Result<(), PreprocessError> {
    for (preprocessed, &value) in preprocessed.iter_mut().zip(values) {
        *preprocessed = value as f32;
        if !preprocessed.is_finite() {
            return Err(PreprocessError::NotFinite { step });
        }
    }
    Ok(())
}

fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), PipelineError> {
    if count <= limit { Ok(()) } else { Err(PipelineError::TooMany { what, count, limit }) }
}
