//! The bundles: whether they load, down to the last hash, and whether the limits fit them.

use ramand_core::failure::{self, Failure, Kind};

use super::{Finding, State};
use crate::config::Config;
use crate::daemon;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    if config.models.is_empty() {
        return vec![Finding::noted("model", "there is no [[model]]: spectra are kept, nothing is concluded")];
    }
    let mut findings = Vec::new();
    for configured in &config.models {
        match daemon::trust(config).open(&configured.path) {
            Ok(model) => {
                let identity = model.identity();
                findings.push(Finding::good(
                    "model",
                    format!("{} {}: every hash is right", identity.name, identity.version),
                ));
                if configured.allow_ungated && model.manifest().gate.is_none() {
                    let says = format!("{} runs without an applicability gate (allow_ungated)", identity.name);
                    findings.push(Finding::noted("model", says));
                }
            }
            Err(error) => findings.push(Finding::mend("model", error.kind(), failure::chain(&error))),
        }
    }
    let all_open = findings.iter().all(|finding| !matches!(finding.state, State::Mend(_)));
    if let (true, Err(error)) = (all_open, daemon::inspector(config)) {
        findings.push(Finding::mend("model", Kind::Operator, failure::chain(&error)));
    }
    findings
}
