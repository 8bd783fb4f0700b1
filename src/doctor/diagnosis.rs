//! What was found about one matter, and which diagnosis matters most.

use ramand_core::failure::Kind;

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
pub struct Diagnosis {
    /// What it is about, one word.
    pub topic: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, and where something must be done, what.
    pub says: String,
}

impl Diagnosis {
    pub(super) fn good(topic: &'static str, says: impl Into<String>) -> Self {
        Self { topic, state: State::Good, says: says.into() }
    }

    pub(super) fn noted(topic: &'static str, says: impl Into<String>) -> Self {
        Self { topic, state: State::Noted, says: says.into() }
    }

    pub(super) fn mend(topic: &'static str, kind: Kind, says: impl Into<String>) -> Self {
        Self { topic, state: State::Mend(kind), says: says.into() }
    }
}

/// The exit code's reason: what an operator must mend comes before what a device or a network does.
pub fn gravest(diagnoses: &[Diagnosis]) -> Option<Kind> {
    let found = |kind| diagnoses.iter().any(|diagnosis| diagnosis.state == State::Mend(kind));
    [Kind::Bug, Kind::Operator, Kind::Device, Kind::Transient].into_iter().find(|&kind| found(kind))
}
