//! The manifest's records of a pipeline, and the pipeline itself.

use std::path::Path;
use std::sync::Arc;

use ramand_core::preprocess::{Baseline, Despike, Normalise, Pipeline, PipelineStep, Smooth, Whittaker};
use ramand_core::spectrum::ShiftAxis;

use super::manifest::{BaselineMethod, ChannelRecord, Manifest, ManifestError, NormaliseMethod, StepRecord};

impl Manifest {
    /// The pipeline of `[[pipeline]]` and `[[channel]]`; `path` is only for messages.
    ///
    /// # Errors
    /// When a parameter is missing, belongs to another method or is out of its range, or the order of the steps is wrong.
    pub fn pipeline(&self, path: &Path) -> Result<Pipeline, ManifestError> {
        let failed = |field: String, problem: String| ManifestError::Field { path: path.to_owned(), field, problem };
        let axis = ShiftAxis::try_from(&self.axis).map_err(|error| failed("axis".into(), error.to_string()))?;
        let steps = |records: &[StepRecord], field: &str| -> Result<Vec<PipelineStep>, ManifestError> {
            let numbered = records.iter().enumerate();
            numbered
                .map(|(i, record)| {
                    PipelineStep::try_from(record)
                        .map_err(|problem| failed(format!("{field}[{i}]"), problem.to_owned()))
                })
                .collect()
        };
        let common = steps(&self.pipeline, "pipeline")?;
        let channels = self.channels.iter().enumerate();
        let channels = channels.map(|(i, channel)| steps(&channel.steps, &format!("channel[{i}].steps")));
        let channels = channels.collect::<Result<_, _>>()?;
        Pipeline::new(Arc::new(axis), common, channels).map_err(|error| failed("pipeline".into(), error.to_string()))
    }
}

/// The records of a pipeline: `[[pipeline]]` and `[[channel]]`.
pub fn records(pipeline: &Pipeline) -> (Vec<StepRecord>, Vec<ChannelRecord>) {
    let list = |steps: &[PipelineStep]| steps.iter().map(StepRecord::from).collect();
    let channels = pipeline.channel_steps().iter().map(|steps| ChannelRecord { steps: list(steps) }).collect();
    (list(pipeline.steps()), channels)
}

impl TryFrom<&StepRecord> for PipelineStep {
    type Error = &'static str;

    fn try_from(record: &StepRecord) -> Result<Self, Self::Error> {
        Ok(match *record {
            StepRecord::Dark {} => Self::Dark,
            StepRecord::Despike { threshold, window } => Self::Despike(Despike { threshold, window }),
            StepRecord::Resample {} => Self::Resample,
            StepRecord::Baseline { method, lambda, tolerance, iterations_max, order } => {
                Self::Baseline(match (method, (lambda, tolerance, iterations_max), order) {
                    (BaselineMethod::Polynomial, (None, None, None), Some(order)) => Baseline::Polynomial { order },
                    (BaselineMethod::Polynomial, ..) => {
                        return Err("a polynomial baseline has 'order' and nothing else");
                    }
                    (method, (Some(lambda), Some(tolerance), Some(iterations_max)), None) => {
                        let whittaker = Whittaker { lambda, tolerance, iterations_max };
                        match method {
                            BaselineMethod::Airpls => Baseline::Airpls(whittaker),
                            _ => Baseline::Arpls(whittaker),
                        }
                    }
                    _ => return Err("arpls and airpls have 'lambda', 'tolerance' and 'iterations_max'"),
                })
            }
            StepRecord::Smooth { window, order, derivative } => Self::Smooth(Smooth { window, order, derivative }),
            StepRecord::Normalise { method } => Self::Normalise(match method {
                NormaliseMethod::Snv => Normalise::Snv,
                NormaliseMethod::Area => Normalise::Area,
                NormaliseMethod::Max => Normalise::Max,
            }),
        })
    }
}

impl From<&PipelineStep> for StepRecord {
    fn from(step: &PipelineStep) -> Self {
        let whittaker = |method, Whittaker { lambda, tolerance, iterations_max }| Self::Baseline {
            method,
            lambda: Some(lambda),
            tolerance: Some(tolerance),
            iterations_max: Some(iterations_max),
            order: None,
        };
        match *step {
            PipelineStep::Dark => Self::Dark {},
            PipelineStep::Despike(Despike { threshold, window }) => Self::Despike { threshold, window },
            PipelineStep::Resample => Self::Resample {},
            PipelineStep::Baseline(Baseline::Arpls(settings)) => whittaker(BaselineMethod::Arpls, settings),
            PipelineStep::Baseline(Baseline::Airpls(settings)) => whittaker(BaselineMethod::Airpls, settings),
            PipelineStep::Baseline(Baseline::Polynomial { order }) => Self::Baseline {
                method: BaselineMethod::Polynomial,
                lambda: None,
                tolerance: None,
                iterations_max: None,
                order: Some(order),
            },
            PipelineStep::Smooth(Smooth { window, order, derivative }) => Self::Smooth { window, order, derivative },
            PipelineStep::Normalise(method) => Self::Normalise {
                method: match method {
                    Normalise::Snv => NormaliseMethod::Snv,
                    Normalise::Area => NormaliseMethod::Area,
                    Normalise::Max => NormaliseMethod::Max,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::documented;

    #[test]
    fn records_and_pipeline_are_the_same_thing() {
        let path = Path::new("manifest.toml");
        let manifest = Manifest::parse(&documented(), path).expect("as documented");
        let pipeline = manifest.pipeline(path).expect("a pipeline");
        assert_eq!((pipeline.axis().len(), pipeline.channels()), (251, 2));
        assert_eq!(records(&pipeline), (manifest.pipeline, manifest.channels));
    }

    #[test]
    fn a_baseline_has_the_parameters_of_its_method() {
        let cases = [
            ("lambda = 1e4", "order = 6", "pipeline[3]: arpls and airpls have"),
            ("method = \"arpls\"", "method = \"polynomial\"", "pipeline[3]: a polynomial baseline has 'order'"),
            ("window = 7\norder = 2", "window = 6\norder = 2", "pipeline: step 'smooth': window = 6"),
            ("step = \"resample\"", "step = \"dark\"", "pipeline: "),
        ];
        for (from, to, expected) in cases {
            let path = Path::new("manifest.toml");
            let text = documented().replacen(from, to, 1);
            let manifest = Manifest::parse(&text, path).unwrap_or_else(|error| panic!("{to}: {error}"));
            let message = manifest.pipeline(path).expect_err(to).to_string();
            assert!(message.contains(expected), "{to}: {message}");
        }
    }
}
