//! What keeps this station from measuring, and what to do about it: one finding a line, gathered without changing anything.
//!
//! Nothing here switches a laser, sets an exposure or writes to the journal. What the operating system tells in files is
//! read below a [`Root`], so that every finding can be provoked with a made-up tree.

mod board;
mod broker;
mod credentials;
mod models;
mod port;
mod root;
mod station;

use ramand_core::failure::Kind;

use crate::config::Config;

pub use credentials::handed_over;
pub use root::Root;

/// How a matter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Nothing to do, but worth knowing; or not to be known here.
    Noted,
    /// Somebody must do what the text says, for this reason.
    Mend(Kind),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, one word.
    pub topic: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, and where something must be done, what.
    pub says: String,
}

impl Finding {
    fn good(topic: &'static str, says: impl Into<String>) -> Self {
        Self { topic, state: State::Good, says: says.into() }
    }

    fn noted(topic: &'static str, says: impl Into<String>) -> Self {
        Self { topic, state: State::Noted, says: says.into() }
    }

    fn mend(topic: &'static str, kind: Kind, says: impl Into<String>) -> Self {
        Self { topic, state: State::Mend(kind), says: says.into() }
    }
}

/// Looks at everything the configuration names. The instrument is asked who it is where nobody else has its port.
pub fn examine(config: &Config, root: &Root) -> Vec<Finding> {
    let mut findings = port::examine(config, root);
    findings.extend(port::uninvited(config, root));
    findings.extend(port::instrument(config));
    findings.extend(station::laser(config));
    findings.extend(station::clock());
    findings.extend(station::journal(config, root));
    findings.extend(broker::examine(config, root));
    findings.extend(credentials::examine(config, root));
    findings.extend(models::examine(config));
    findings.extend(board::examine(root));
    findings
}

/// The exit code's reason: what an operator must mend comes before what a device or a network does.
pub fn gravest(findings: &[Finding]) -> Option<Kind> {
    let found = |kind| findings.iter().any(|finding| finding.state == State::Mend(kind));
    [Kind::Bug, Kind::Operator, Kind::Device, Kind::Transient].into_iter().find(|&kind| found(kind))
}
