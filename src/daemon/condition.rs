//! How the station is: gathered from every part, told to the page, to the broker and to systemd.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ramand_core::outcome::{Decision, Inspection};
use tokio::sync::watch;

use crate::publish::wire::{Health, Ne107, PaDimReadings};
use crate::web;

/// Whose trouble it is. The order is that of the sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TroubleSource {
    Spectrometer,
    Journal,
    Outbox,
    Broker,
    Model,
    Sample,
    Program,
}

/// A trouble, and how much it matters.
#[derive(Debug, Clone, PartialEq)]
struct Trouble {
    state: Ne107,
    why: String,
}

#[derive(Debug, Default)]
struct State {
    troubles: BTreeMap<TroubleSource, Trouble>,
    readings: PaDimReadings,
}

/// Whether there is a spectrometer that has said who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identified {
    Yes,
    No,
}

/// Shared by all parts.
#[derive(Debug, Default)]
pub(super) struct Condition {
    state: Mutex<State>,
    spectrometer_troubled: watch::Sender<bool>,
}

impl Condition {
    /// Resolves as soon as the spectrometer is as asked.
    pub(super) async fn spectrometer(&self, wanted: Identified) {
        let mut troubled = self.spectrometer_troubled.subscribe();
        // The sender is in `self`, so waiting cannot fail.
        drop(troubled.wait_for(|troubled| *troubled == (wanted == Identified::No)).await);
    }

    /// Nothing is known yet, so nothing works yet.
    pub(super) fn starting() -> Self {
        let condition = Self::default();
        condition.raise(
            TroubleSource::Spectrometer,
            Ne107::FunctionCheck,
            "the spectrometer has not been identified yet",
        );
        condition
    }

    /// Notes a trouble; true when it is news.
    pub(super) fn raise(&self, source: TroubleSource, state: Ne107, why: impl Into<String>) -> bool {
        let trouble = Trouble { state, why: why.into() };
        let mut inner = self.lock();
        if source == TroubleSource::Spectrometer {
            self.spectrometer_troubled.send_replace(true);
        }
        inner.troubles.insert(source, trouble.clone()).is_none_or(|before| before != trouble)
    }

    /// The source works again; true when that is news.
    pub(super) fn clear(&self, source: TroubleSource) -> bool {
        if source == TroubleSource::Spectrometer {
            self.spectrometer_troubled.send_replace(false);
        }
        self.lock().troubles.remove(&source).is_some()
    }

    /// Whether the source has a trouble now.
    pub(super) fn is_troubled(&self, source: TroubleSource) -> bool {
        self.lock().troubles.contains_key(&source)
    }

    /// What an inspection says about the instrument.
    pub(super) fn inspected(&self, inspection: &Inspection) {
        let decisions = || inspection.findings.iter().map(|finding| finding.verdict.decision);
        // One model may rightly refuse a sample another one knows; when all do, it is the measurement.
        let all_invalid = decisions().next().is_some() && decisions().all(|decision| decision == Decision::Invalid);
        if all_invalid {
            let reason = inspection.findings.iter().find_map(|finding| finding.verdict.reasons.first());
            let why = reason.map_or_else(|| "no model may judge the spectrum".to_owned(), ToString::to_string);
            self.raise(TroubleSource::Sample, Ne107::OutOfSpecification, why);
        } else {
            self.clear(TroubleSource::Sample);
        }
        self.lock().readings = PaDimReadings::from(inspection);
    }

    /// The record for the broker.
    pub(super) fn health(&self) -> Health {
        let state = self.lock();
        Health {
            state: state.troubles.values().map(|trouble| trouble.state).max().unwrap_or(Ne107::Normal),
            reasons: state.troubles.values().map(|trouble| trouble.why.clone()).collect(),
            readings: state.readings,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl web::Health for Condition {
    fn problems(&self) -> Vec<String> {
        self.health().reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_trouble_is_the_state_and_each_has_a_sentence() {
        let condition = Condition::starting();
        assert_eq!(condition.health().state, Ne107::FunctionCheck);
        assert!(condition.raise(TroubleSource::Spectrometer, Ne107::Failure, "unplugged"));
        assert!(!condition.raise(TroubleSource::Spectrometer, Ne107::Failure, "unplugged"), "said before");
        assert!(condition.raise(TroubleSource::Broker, Ne107::MaintenanceRequired, "no answer"));
        assert_eq!(condition.health().state, Ne107::Failure);
        assert_eq!(web::Health::problems(&condition), ["unplugged", "no answer"]);
        assert!(condition.clear(TroubleSource::Spectrometer));
        assert!(!condition.clear(TroubleSource::Spectrometer));
        assert_eq!(condition.health().state, Ne107::MaintenanceRequired);
    }
}
