//! The bundles: whether they load, down to the last hash, and whether the limits fit them.

use ramand_core::failure::{self, Failure, Kind};

use super::{Diagnosis, State};
use crate::config::Config;
use crate::daemon;

pub(super) fn examine(config: &Config) -> Vec<Diagnosis> {
    if config.models.is_empty() {
        return vec![Diagnosis::noted("model", "there is no [[model]]: spectra are kept, nothing is concluded")];
    }
    let mut diagnoses = Vec::new();
    for configured in &config.models {
        match daemon::trust(config).open(&configured.path) {
            Ok(model) => {
                let identity = model.identity();
                diagnoses.push(Diagnosis::good(
                    "model",
                    format!("{} {}: every hash is right", identity.name, identity.version),
                ));
                if configured.allow_ungated && model.manifest().gate.is_none() {
                    let says = format!("{} runs without an applicability gate (allow_ungated)", identity.name);
                    diagnoses.push(Diagnosis::noted("model", says));
                }
            }
            Err(error) => diagnoses.push(Diagnosis::mend("model", error.kind(), failure::chain(&error))),
        }
    }
    let all_open = diagnoses.iter().all(|diagnosis| !matches!(diagnosis.state, State::Mend(_)));
    if let (true, Err(error)) = (all_open, daemon::inspector(config)) {
        diagnoses.push(Diagnosis::mend("model", Kind::Operator, failure::chain(&error)));
    }
    diagnoses
}
