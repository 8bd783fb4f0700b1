//! A bundle made ready: prediction and explanation of preprocessed spectra.

use std::path::Path;
use std::sync::Arc;

use ramand_core::cam::{Branch, ExplainedLayer, Explainer, ExplainerSettings, OutputMaps, Spread};
use ramand_core::decide::conformal::{conforming, conforming_or_likeliest};
use ramand_core::decide::{Gate, Output};
use ramand_core::failure::{Failure, Kind};
use ramand_core::outcome::{Attribution, Explained, Interval, LabelSet, ModelIdentity, Prediction, Reason};
use ramand_core::preprocess::Pipeline;
use ramand_core::spectrum::PreprocessedSpectrum;

use super::applicability::{ApplicabilityError, Confidence, ConfidenceSpread};
use super::bundle::{Bundle, BundleError};
use super::manifest::Manifest;
use super::network::{Network, NetworkError, Session, Values};

/// Why a model cannot be used, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder is no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The network cannot be run.
    #[error("model '{model}'")]
    Network {
        model: String,
        #[source]
        source: NetworkError,
    },
    /// Gate or conformal scores cannot be used.
    #[error("model '{model}'")]
    Applicability {
        model: String,
        #[source]
        source: ApplicabilityError,
    },
    /// NaN or infinite: the weights or the spectrum are beyond f32.
    #[error("model '{model}': output {output} is not a finite number")]
    NotFinite {
        model: String,
        /// Which output of the network.
        output: usize,
    },
}

impl Failure for ModelError {
    fn kind(&self) -> Kind {
        match self {
            Self::Bundle(error) => error.kind(),
            Self::Network { source, .. } => source.kind(),
            Self::Applicability { .. } | Self::NotFinite { .. } => Kind::Operator,
        }
    }
}

/// What a model says about one spectrum, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What it says.
    pub prediction: Prediction,
    pub attribution: Attribution,
}

/// What the outputs are.
#[derive(Debug, Clone)]
enum AnswerRule {
    Value { unit: Arc<str>, interval: Option<HalfWidth> },
    Class { labels: Arc<[String]>, temperature: f64, set: Option<SetRule> },
}

/// What makes the interval of a value.
#[derive(Debug, Clone, Copy)]
struct HalfWidth {
    half_width: f32,
    confidence: f32,
}

/// What makes the set of a classification.
#[derive(Debug, Clone)]
struct SetRule {
    /// One a label.
    limits: Vec<f64>,
    /// Whether the likeliest class belongs to every set.
    likeliest: bool,
    confidence: f32,
}

/// A model that can be asked; shared between threads, each of which has a [`Session`].
#[derive(Debug, Clone)]
pub struct Model {
    identity: Arc<ModelIdentity>,
    manifest: Arc<Manifest>,
    pipeline: Pipeline,
    gate: Option<Gate>,
    network: Network,
    explainer: Explainer,
    answer: AnswerRule,
}

impl Model {
    /// Opens the bundle in `folder` and makes it ready: hashes, shapes, optimisation, one run on zeros.
    ///
    /// # Errors
    /// As [`Bundle::open`] and [`Model::new`].
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        Self::new(Bundle::open(folder)?)
    }

    /// Makes a checked bundle ready.
    ///
    /// # Errors
    /// When tract refuses the network or the gate's loadings are not orthonormal.
    pub fn new(bundle: Bundle) -> Result<Self, ModelError> {
        let Bundle { identity, manifest, network, references, gate, conformal, folder } = bundle;
        let pipeline = manifest.pipeline(&folder).map_err(BundleError::from)?;
        let axis = pipeline.axis().clone();
        let model = || identity.name.clone();
        let unusable = |source| ModelError::Applicability { model: identity.name.clone(), source };
        let gate = match manifest.gate.as_ref().zip(gate) {
            None => None,
            Some((record, tables)) => Some(record.gate(&tables).map_err(unusable)?),
        };
        let labels = manifest.output.labels.as_ref().map(Vec::len);
        let confidence = match manifest.conformal.as_ref().zip(conformal) {
            None => None,
            Some((record, table)) => record.confidence(&table, labels).map_err(unusable)?,
        };
        let targets = &manifest.network.targets;
        let names: Vec<_> =
            targets.iter().map(|target| (target.activation.as_str(), target.gradient.as_str())).collect();
        let network = Network::load(&network, (pipeline.channels(), axis.len()), &manifest.network.output, &names)
            .map_err(|source| ModelError::Network { model: model(), source })?;
        let layers = targets.iter().zip(&references).map(|(target, reference)| {
            let spread = Spread::new(axis.len(), reference.columns(), target.first_cell, target.stride);
            let branch = if target.linear { Branch::Linear } else { Branch::Network };
            ExplainedLayer::new(spread, reference.values(), branch)
        });
        let layers = layers.collect();
        let f32s = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let fields = targets.iter().filter(|target| !target.linear).map(|target| target.receptive_field);
        let explainer = Explainer::new(ExplainerSettings {
            bands: manifest.bands().collect(),
            layers,
            offset: f32s(&manifest.network.offset),
            reference_output: f32s(&manifest.reference.output),
            receptive_field: fields.max().unwrap_or(1) as f64 * axis.mean_step(),
            completeness: manifest.network.completeness.into(),
            axis,
        });
        let answer = answer(&manifest, confidence);
        let (identity, manifest) = (Arc::new(identity), Arc::new(manifest));
        Ok(Self { identity, manifest, pipeline, gate, network, explainer, answer })
    }

    /// Name, version and hash.
    pub fn identity(&self) -> &Arc<ModelIdentity> {
        &self.identity
    }

    /// Everything the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How a raw spectrum becomes what the network sees.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Whether a spectrum is like the training's; `None` where the bundle has no gate.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// A remark where a value is outside the range of the training's true values by more than RMSECV, the error it has within.
    pub fn extrapolated(&self, prediction: &Prediction) -> Option<Reason> {
        let Prediction::Value { value, unit, .. } = prediction else { return None };
        let [low, high] = self.manifest.training.range?;
        let allowed = self.manifest.metrics.rmsecv.unwrap_or(0.0);
        let inside = (low - allowed..=high + allowed).contains(&f64::from(*value));
        let unit = Arc::clone(unit);
        (!inside).then_some(Reason::Extrapolated { value: *value, low: low as f32, high: high as f32, unit })
    }

    /// What the bundle lacks to say whether it may speak and how sure it is, in words; nothing where it lacks nothing.
    pub fn lacks(&self) -> Vec<&'static str> {
        let gate = match &self.gate {
            None => Some("applicability gate"),
            Some(gate) if !gate.is_calibrated() => Some("held-out scores of its gate"),
            Some(_) => None,
        };
        let answer = match &self.answer {
            AnswerRule::Value { interval: None, .. } => Some("prediction interval"),
            AnswerRule::Class { set: None, .. } => Some("prediction set"),
            AnswerRule::Value { .. } | AnswerRule::Class { .. } => None,
        };
        gate.into_iter().chain(answer).collect()
    }

    /// The network alone.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What its explanations have in common.
    pub fn explainer(&self) -> &Explainer {
        &self.explainer
    }

    /// What the model gives, as limits see it.
    pub fn output(&self) -> Output<'_> {
        match &self.answer {
            AnswerRule::Value { .. } => Output::Value,
            AnswerRule::Class { labels, .. } => Output::Class(labels),
        }
    }

    /// Buffers for a thread.
    ///
    /// # Errors
    /// When tract cannot make them.
    pub fn session(&self) -> Result<Session, ModelError> {
        self.network.session().map_err(|source| self.failed(source))
    }

    /// What the model says about a spectrum its own pipeline preprocessed, and why: one run of the network.
    ///
    /// A regression explains its value. A classification explains the contrast of the raw scores of the best class and
    /// the runner-up, since softmax saturates and couples the classes.
    ///
    /// # Errors
    /// When the network fails or gives something that is not a finite number.
    pub fn judge(&self, session: &mut Session, spectrum: &PreprocessedSpectrum) -> Result<Judgement, ModelError> {
        let failed = |source| self.failed(source);
        let values = self.network.run(session, spectrum.values()).map_err(failed)?;
        let scores = self.finite(&values)?;
        let (prediction, explained) = match &self.answer {
            AnswerRule::Value { unit, interval } => {
                let value = scores[0];
                let interval = interval.map(|HalfWidth { half_width, confidence }| Interval {
                    lower: value - half_width,
                    upper: value + half_width,
                    confidence,
                });
                (Prediction::Value { value, unit: unit.clone(), interval }, Explained::Value)
            }
            AnswerRule::Class { labels, temperature, set } => {
                let (best, runner_up) = first_two(scores);
                let probabilities = softmax(scores, *temperature as f32);
                let set = set.as_ref().map(|SetRule { limits, likeliest, confidence }| LabelSet {
                    members: match likeliest {
                        true => conforming_or_likeliest(scores, *temperature, limits, best),
                        false => conforming(scores, *temperature, limits),
                    },
                    confidence: *confidence,
                });
                let (labels, scores) = (labels.clone(), scores.to_vec());
                let prediction = Prediction::Class { labels, scores, probabilities, best, runner_up, set };
                (prediction, Explained::Contrast { class: best, against: runner_up })
            }
        };
        let attribution = self.explainer.explain(explained, scores, &values.layers().map_err(failed)?);
        Ok(Judgement { prediction, attribution })
    }

    /// y of each output, and M of each, for preprocessed values \[channels\]\[points\] that need not be a measured spectrum's.
    ///
    /// # Errors
    /// As [`Model::judge`].
    pub fn output_maps(
        &self,
        session: &mut Session,
        preprocessed: &[f32],
    ) -> Result<(Vec<f32>, OutputMaps), ModelError> {
        let failed = |source| self.failed(source);
        let values = self.network.run(session, preprocessed).map_err(failed)?;
        let scores = self.finite(&values)?.to_vec();
        Ok((scores, self.explainer.maps(&values.layers().map_err(failed)?)))
    }

    /// y of each output for preprocessed values \[channels\]\[points\] that need not be a measured spectrum's.
    ///
    /// # Errors
    /// As [`Model::judge`].
    pub fn scores(&self, session: &mut Session, preprocessed: &[f32]) -> Result<Vec<f32>, ModelError> {
        let values = self.network.run(session, preprocessed).map_err(|source| self.failed(source))?;
        Ok(self.finite(&values)?.to_vec())
    }

    fn finite<'v>(&self, values: &'v Values<'_>) -> Result<&'v [f32], ModelError> {
        let scores = values.y().map_err(|source| self.failed(source))?;
        match scores.iter().position(|score| !score.is_finite()) {
            Some(output) => Err(ModelError::NotFinite { model: self.identity.name.clone(), output }),
            None => Ok(scores),
        }
    }

    fn failed(&self, source: NetworkError) -> ModelError {
        ModelError::Network { model: self.identity.name.clone(), source }
    }
}

/// What the outputs are, and how sure they can be said.
fn answer(manifest: &Manifest, confidence: Option<Confidence>) -> AnswerRule {
    let (stated, spread) = confidence.map(|of| (of.confidence as f32, of.spread)).unzip();
    let confidence = stated.unwrap_or_default();
    let likeliest = manifest.conformal.as_ref().and_then(|conformal| conformal.likeliest).unwrap_or(false);
    match (&manifest.output.labels, manifest.output.temperature, &manifest.output.unit) {
        (Some(labels), Some(temperature), _) => {
            let set = match spread {
                Some(ConfidenceSpread::Limits(limits)) => Some(SetRule { limits, likeliest, confidence }),
                Some(ConfidenceSpread::HalfWidth(_)) | None => None,
            };
            AnswerRule::Class { labels: labels.as_slice().into(), temperature, set }
        }
        (.., unit) => {
            let interval = match spread {
                Some(ConfidenceSpread::HalfWidth(width)) => Some(HalfWidth { half_width: width as f32, confidence }),
                Some(ConfidenceSpread::Limits(_)) | None => None,
            };
            AnswerRule::Value { unit: unit.as_deref().unwrap_or_default().into(), interval }
        }
    }
}

/// The indices of the highest and the second highest score; of equal ones the first. There are at least two.
fn first_two(scores: &[f32]) -> (usize, usize) {
    let (mut best, mut runner_up) = if scores[1] > scores[0] { (1, 0) } else { (0, 1) };
    for (index, &score) in scores.iter().enumerate().skip(2) {
        if score > scores[best] {
            (best, runner_up) = (index, best);
        } else if score > scores[runner_up] {
            runner_up = index;
        }
    }
    (best, runner_up)
}

/// exp(s / T) / Σ exp(s / T), with the highest score subtracted first so that nothing overflows.
fn softmax(scores: &[f32], temperature: f32) -> Vec<f32> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut weights: Vec<f32> = scores.iter().map(|score| ((score - highest) / temperature).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}
