//! One spectrum through all models: preprocessed, judged, gated, with a verdict each. The daemon, `explain`, `replay` and
//! the benchmarks all inspect here.

use std::sync::Arc;
use std::time::Instant;

use ramand_core::decide::{InstrumentLimits, LimitError, Rules, Ungated, instrument_reasons, invalid, verdict};
use ramand_core::failure::{self, Failure, Kind};
use ramand_core::outcome::{Conclusion, Finding, Inspection, Reason, Timings};
use ramand_core::preprocess::{Pipeline, PreprocessError, Workspace};
use ramand_core::spectrum::{PreprocessedSpectrum, RawSpectrum};

use crate::{Model, ModelError, Session};

/// Why models and limits do not make an inspection.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// A limit is for another kind of model.
    #[error("model '{model}'")]
    Limit {
        model: String,
        #[source]
        source: LimitError,
    },
    /// A bundle that cannot say whether it may speak, or how sure it is.
    #[error(
        "model '{model}' has no {missing}: allow_ungated = true in its [[model]] runs it all the same, and every result says so"
    )]
    Ungated {
        model: String,
        /// What the bundle lacks.
        missing: String,
    },
    /// A model has no buffers to work in.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Failure for InspectError {
    fn kind(&self) -> Kind {
        match self {
            Self::Limit { source, .. } => source.kind(),
            Self::Ungated { .. } => Kind::Operator,
            Self::Model(error) => error.kind(),
        }
    }
}

/// The models of a line in their order, ready in one thread.
#[derive(Debug)]
pub struct Inspector {
    instrument: InstrumentLimits,
    seats: Vec<Seat>,
    workspace: Workspace,
    /// Of the last spectrum, by seat; empty where another seat's serves.
    preprocessed: Vec<Option<Result<PreprocessedSpectrum, PreprocessError>>>,
}

/// A model with what this line demands of it.
#[derive(Debug)]
struct Seat {
    model: Arc<Model>,
    session: Session,
    rules: Rules,
    /// The first seat with the same pipeline: its preprocessed spectrum serves this model too.
    preprocessed_by: usize,
}

impl Inspector {
    /// `models` in the order of the findings, each with its own limits.
    ///
    /// # Errors
    /// When a limit cannot be applied to its model, or a bundle without gate or conformal scores is not allowed to speak.
    pub fn new(models: Vec<(Arc<Model>, Rules)>, instrument: InstrumentLimits) -> Result<Self, InspectError> {
        let seats = models.into_iter().map(|(model, rules)| Seat::new(model, rules)).collect::<Result<_, _>>()?;
        let mut inspector = Self { instrument, seats, workspace: Workspace::default(), preprocessed: Vec::new() };
        inspector.share_preprocessing();
        Ok(inspector)
    }

    /// Puts another model on the seat at `index`, under the same limits, and answers the one that sat there.
    ///
    /// # Errors
    /// When a limit cannot be applied to it: then the seat keeps its model.
    pub fn replace(&mut self, index: usize, model: Arc<Model>) -> Result<Arc<Model>, InspectError> {
        let seat = &mut self.seats[index];
        let old = std::mem::replace(seat, Seat::new(model, seat.rules.clone())?);
        self.share_preprocessing();
        Ok(old.model)
    }

    /// Finds for every seat the first one with the same pipeline.
    fn share_preprocessing(&mut self) {
        for index in 0..self.seats.len() {
            let pipeline = self.seats[index].model.pipeline();
            let first = self.seats.iter().position(|seat| alike(seat.model.pipeline(), pipeline));
            self.seats[index].preprocessed_by = first.unwrap_or(index);
        }
    }

    /// The models, in order.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.seats.iter().map(|seat| &seat.model)
    }

    /// What each model was shown of the last spectrum, in order; `None` where it could not be preprocessed.
    pub fn preprocessed(&self) -> impl Iterator<Item = Option<&PreprocessedSpectrum>> {
        let of = |seat: &Seat| self.preprocessed.get(seat.preprocessed_by)?.as_ref()?.as_ref().ok();
        self.seats.iter().map(of)
    }

    /// Everything there is to conclude from a spectrum. What goes wrong with one model is that model's finding.
    pub fn inspect(&mut self, spectrum: Arc<RawSpectrum>) -> Inspection {
        let acquire = spectrum.acquisition().map_or(std::time::Duration::ZERO, |acquisition| acquisition.took);
        let mut timings = Timings { acquire, ..Timings::default() };
        let started = Instant::now();
        let reasons = instrument_reasons(&spectrum, &self.instrument);
        timings.decide += started.elapsed();

        let started = Instant::now();
        self.preprocessed.clear();
        for (index, seat) in self.seats.iter().enumerate() {
            let own = seat.preprocessed_by == index;
            self.preprocessed.push(own.then(|| seat.model.pipeline().preprocess(&spectrum, &mut self.workspace)));
        }
        timings.preprocess = started.elapsed();

        let mut findings = Vec::new();
        for seat in &mut self.seats {
            let of_pipeline =
                self.preprocessed[seat.preprocessed_by].as_ref().expect("the first seat with a pipeline prepares");
            findings.push(seat.find(of_pipeline, reasons.clone(), &mut timings));
        }
        Inspection { spectrum, findings, timings }
    }
}

impl Seat {
    /// Until somebody finds a seat with the same pipeline, each preprocesses for itself.
    fn new(model: Arc<Model>, rules: Rules) -> Result<Self, InspectError> {
        for limit in &rules.limits {
            limit.check(model.output()).map_err(|source| {
                let model = model.identity().name.clone();
                InspectError::Limit { model, source }
            })?;
        }
        let lacks = model.lacks();
        if rules.ungated == Ungated::Invalid && !lacks.is_empty() {
            let model = model.identity().name.clone();
            return Err(InspectError::Ungated { model, missing: lacks.join(" and no ") });
        }
        let session = model.session()?;
        Ok(Self { model, session, rules, preprocessed_by: usize::MAX })
    }

    fn find(
        &mut self,
        preprocessed: &Result<PreprocessedSpectrum, PreprocessError>,
        reasons: Vec<Reason>,
        timings: &mut Timings,
    ) -> Finding {
        let model = self.model.identity().clone();
        let without = |mut reasons: Vec<Reason>, reason| {
            reasons.push(reason);
            Finding { model: model.clone(), conclusion: None, verdict: invalid(reasons) }
        };
        let preprocessed = match preprocessed {
            Ok(preprocessed) => preprocessed,
            Err(error) => return without(reasons, reason_of(error)),
        };
        let started = Instant::now();
        let judged = self.model.judge(&mut self.session, preprocessed);
        timings.infer += started.elapsed();
        let judgement = match judged {
            Ok(judgement) => judgement,
            Err(error) => return without(reasons, Reason::NotJudged { why: failure::chain(&error) }),
        };
        let started = Instant::now();
        let applicability = self.model.gate().map(|gate| gate.assess(preprocessed));
        let mut reasons = reasons;
        reasons.extend(self.model.extrapolated(&judgement.prediction));
        let completeness = (judgement.attribution.completeness, judgement.attribution.completeness_error);
        let verdict = verdict(reasons, applicability.as_ref(), &judgement.prediction, completeness, &self.rules);
        timings.decide += started.elapsed();
        let (prediction, attribution) = (judgement.prediction, judgement.attribution);
        Finding { model, conclusion: Some(Conclusion { prediction, attribution, applicability }), verdict }
    }
}

/// Whether two pipelines give the same preprocessed spectrum.
fn alike(one: &Pipeline, other: &Pipeline) -> bool {
    one.axis() == other.axis() && one.steps() == other.steps() && one.channel_steps() == other.channel_steps()
}

fn reason_of(error: &PreprocessError) -> Reason {
    match *error {
        PreprocessError::AxisNotCovered { measured, needed } => Reason::AxisNotCovered { measured, needed },
        ref other => Reason::NotPreprocessed { why: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundles::{draft, limits, spectrum};
    use ramand_core::decide::Limit;
    use ramand_core::outcome::{Decision, Prediction};

    fn model(outputs: usize) -> Arc<Model> {
        let folder = tempfile::tempdir().expect("a folder");
        draft(outputs).write(&folder.path().join("random"));
        Arc::new(Model::open(&folder.path().join("random")).expect("a bundle"))
    }

    #[test]
    fn every_model_has_its_finding_in_order() {
        let strict = Rules { limits: vec![Limit::Above(-1e9)], ..Rules::default() };
        let models = vec![(model(1), strict), (model(3), Rules::default())];
        let mut inspector = Inspector::new(models, limits()).expect("they fit");
        assert_eq!(inspector.seats[1].preprocessed_by, 0, "the same pipeline prepares once");
        let inspection = inspector.inspect(spectrum(700.0, 1100.0, 970.0));
        let [value, class] = inspection.findings.as_slice() else { panic!("two findings") };
        assert_eq!((value.verdict.decision, class.verdict.decision), (Decision::Reject, Decision::Accept));
        let conclusion = value.conclusion.as_ref().expect("a conclusion");
        assert!(matches!(conclusion.prediction, Prediction::Value { .. }));
        assert!(conclusion.applicability.is_some());
        let timings = inspection.timings;
        assert!(timings.preprocess > std::time::Duration::ZERO && timings.infer > std::time::Duration::ZERO);
    }

    #[test]
    fn a_spectrum_that_ends_early_is_invalid_for_the_model_and_says_where() {
        let mut inspector = Inspector::new(vec![(model(1), Rules::default())], limits()).expect("it fits");
        let inspection = inspector.inspect(spectrum(700.0, 1000.0, 970.0));
        let finding = &inspection.findings[0];
        assert_eq!(finding.conclusion, None);
        assert_eq!(finding.verdict.decision, Decision::Invalid);
        let expected = Reason::AxisNotCovered { measured: (700.0, 1000.0), needed: (800.0, 1044.0) };
        assert_eq!(finding.verdict.reasons, [expected]);
    }

    #[test]
    fn a_bundle_that_cannot_say_how_sure_it_is_runs_only_where_that_is_allowed() {
        type Strip = fn(&mut crate::manifest::Manifest);
        let cases: [(Strip, usize, &str, &[&str]); 4] = [
            (|manifest| manifest.gate = None, 1, "has no applicability gate: allow_ungated = true", &["not-gated"]),
            (
                |manifest| manifest.gate.as_mut().expect("a gate").scores = None,
                1,
                "has no held-out scores of its gate: allow_ungated = true",
                &["not-calibrated"],
            ),
            (
                |manifest| manifest.conformal = None,
                3,
                "has no prediction set: allow_ungated = true",
                &["not-calibrated"],
            ),
            (
                |manifest| (manifest.conformal, manifest.gate) = (None, None),
                1,
                "has no applicability gate and no prediction interval",
                &["not-gated", "not-calibrated"],
            ),
        ];
        for (strip, outputs, expected, codes) in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let mut draft = draft(outputs);
            strip(&mut draft.manifest);
            draft.write(&folder.path().join("random"));
            let model = Arc::new(Model::open(&folder.path().join("random")).expect("a bundle"));
            let refused = Inspector::new(vec![(model.clone(), Rules::default())], limits()).expect_err(expected);
            assert!(refused.to_string().contains(expected), "{refused}");
            assert_eq!(refused.kind(), Kind::Operator);
            let rules = Rules { ungated: Ungated::Remarked, ..Rules::default() };
            let mut inspector = Inspector::new(vec![(model, rules)], limits()).expect("allowed");
            let inspection = inspector.inspect(spectrum(700.0, 1100.0, 970.0));
            let verdict = &inspection.findings[0].verdict;
            let found: Vec<&str> = verdict.reasons.iter().map(Reason::code).collect();
            assert_eq!((verdict.decision, found.as_slice()), (Decision::Accept, codes), "{expected}");
        }
    }

    #[test]
    fn a_limit_for_another_kind_of_model_is_refused_at_the_start() {
        let rules = Rules { limits: vec![Limit::Above(5.0)], ..Rules::default() };
        let error = Inspector::new(vec![(model(2), rules)], limits()).expect_err("a class has no upper limit");
        assert!(failure::chain(&error).contains("model 'random': the upper limit 5 is for a model that gives a value"));
    }
}
