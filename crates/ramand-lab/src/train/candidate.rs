//! What a training chooses among: preprocessings of the spectra, one or two input channels, a linear part or none.

use ramand_core::preprocess::{Baseline, Normalise, Pipeline, PipelineError, PipelineStep, Smooth};

/// Order of the polynomial that the first of two channels subtracts: a fluorescence background is no wigglier.
const BACKGROUND_ORDER: usize = 6;
/// The second channel: Savitzky-Golay's first derivative, which no constant background survives.
const DERIVATIVE: Smooth = Smooth { window: 7, order: 2, derivative: 1 };

/// One way from raw spectrum to network input.
#[derive(Debug, Clone)]
pub struct Preprocessing {
    /// What it is called in tables and in the bundle.
    pub name: String,
    /// The way itself.
    pub pipeline: Pipeline,
}

impl Preprocessing {
    /// The same in two channels, each brought to scale for itself (SNV): without a polynomial background, and the first
    /// derivative. The scaling at the end of the common steps goes, as it would look at the background.
    ///
    /// # Errors
    /// When the axis has fewer points than the polynomial or the derivative needs.
    pub fn in_two_channels(&self) -> Result<Self, PipelineError> {
        let mut steps = self.pipeline.steps().to_vec();
        while matches!(steps.last(), Some(PipelineStep::Normalise(_))) {
            steps.pop();
        }
        let channels = [
            PipelineStep::Baseline(Baseline::Polynomial { order: BACKGROUND_ORDER }),
            PipelineStep::Smooth(DERIVATIVE),
        ];
        let channels = channels.map(|step| vec![step, PipelineStep::Normalise(Normalise::Snv)]).to_vec();
        let pipeline = Pipeline::new(self.pipeline.axis().clone(), steps, channels)?;
        Ok(Self { name: format!("{} in two channels", self.name), pipeline })
    }
}

/// Whether PLS is part of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// y = PLS(x) + network(x).
    Pls,
    /// y = network(x).
    None,
}

/// One thing to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Index into the preprocessings.
    pub(super) preprocessing: usize,
    pub(super) skip: Skip,
}

impl Candidate {
    /// Every preprocessing with every skip, in that order.
    pub(super) fn all(preprocessings: usize, skips: &[Skip]) -> Vec<Self> {
        let of = |preprocessing| skips.iter().map(move |&skip| Self { preprocessing, skip });
        (0..preprocessings).flat_map(of).collect()
    }

    /// For tables and the bundle.
    pub(super) fn in_words(self, preprocessings: &[Preprocessing]) -> String {
        let linear = match self.skip {
            Skip::Pls => "PLS and network",
            Skip::None => "network alone",
        };
        format!("{}, {linear}", preprocessings[self.preprocessing].name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use ramand_core::spectrum::ShiftAxis;

    #[test]
    fn two_channels_are_the_background_removed_and_the_derivative() {
        let axis = Arc::new(ShiftAxis::new((0..50).map(f64::from).collect()).expect("increasing"));
        let steps = vec![PipelineStep::Dark, PipelineStep::Resample, PipelineStep::Normalise(Normalise::Area)];
        let pipeline = Pipeline::new(axis, steps, Vec::new()).expect("valid");
        let two = Preprocessing { name: "raw".into(), pipeline }.in_two_channels().expect("long enough");
        assert_eq!(two.name, "raw in two channels");
        assert_eq!(two.pipeline.steps(), [PipelineStep::Dark, PipelineStep::Resample]);
        let snv = PipelineStep::Normalise(Normalise::Snv);
        let background = PipelineStep::Baseline(Baseline::Polynomial { order: 6 });
        let derivative = PipelineStep::Smooth(Smooth { window: 7, order: 2, derivative: 1 });
        assert_eq!(two.pipeline.channel_steps(), [vec![background, snv], vec![derivative, snv]]);
    }
}
