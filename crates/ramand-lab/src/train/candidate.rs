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

/// What a model is made of, the simplest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// y = PLS(x).
    Pls,
    /// y = kernel ridge(x).
    KernelRidge,
    /// y = (1 − s) PLS(x) + s kernel ridge(x), 0 ≤ s ≤ 1.
    PlsAndKernelRidge,
    /// y = PLS(x) + s network(x), 0 ≤ s ≤ 1.
    PlsAndNetwork,
    /// y = network(x).
    Network,
}

impl Family {
    /// All, the simplest first.
    pub const ALL: [Self; 5] =
        [Self::Pls, Self::KernelRidge, Self::PlsAndKernelRidge, Self::PlsAndNetwork, Self::Network];

    /// Whether a network has to be trained for it.
    pub fn has_network(self) -> bool {
        matches!(self, Self::PlsAndNetwork | Self::Network)
    }

    /// Whether PLS is a part of it.
    pub(super) fn has_pls(self) -> bool {
        matches!(self, Self::Pls | Self::PlsAndKernelRidge | Self::PlsAndNetwork)
    }

    /// For tables and the bundle.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Pls => "PLS",
            Self::KernelRidge => "kernel ridge",
            Self::PlsAndKernelRidge => "PLS and kernel ridge",
            Self::PlsAndNetwork => "PLS and network",
            Self::Network => "network alone",
        }
    }
}

/// One thing to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Index into the preprocessings.
    pub(super) preprocessing: usize,
    pub(super) family: Family,
}

impl Candidate {
    /// Every preprocessing with every family, in that order.
    pub(super) fn all(preprocessings: usize, families: &[Family]) -> Vec<Self> {
        let of = |preprocessing| families.iter().map(move |&family| Self { preprocessing, family });
        (0..preprocessings).flat_map(of).collect()
    }

    /// For tables and the bundle.
    pub(super) fn in_words(self, preprocessings: &[Preprocessing]) -> String {
        format!("{}, {}", preprocessings[self.preprocessing].name, self.family.in_words())
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
