//! What lies on the stage, from a scenario or a recording, and a record of what each light frame saw.

use std::fmt;
use std::time::Duration;

use super::faults::Fault;
use super::oils::Specimen;
use super::{replay, scenario};

/// What a light frame saw.
#[derive(Debug, Clone, PartialEq)]
pub enum OnStage {
    /// The laser shone on nothing.
    Nothing,
    /// A simulated sample: substances and their per cent by mass.
    Oils(Vec<(&'static str, f64)>),
    /// A recorded spectrum.
    Recorded {
        /// Row of the recording, from 0.
        row: usize,
        /// Its identifier.
        id: String,
    },
}

impl fmt::Display for OnStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing on the stage"),
            Self::Recorded { row, id } => write!(f, "recorded row {row}, id {id}"),
            Self::Oils(parts) => {
                let texts: Vec<String> = parts.iter().map(|(oil, pct)| format!("{pct:.1} % {oil}")).collect();
                f.write_str(&texts.join(" + "))
            }
        }
    }
}

/// One light frame, as it was exposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Its number, from 0.
    pub light_frame: u64,
    /// What it saw.
    pub on_stage: OnStage,
}

/// Where the light of the next frame comes from.
#[derive(Debug)]
pub(super) enum SampleStage {
    Scenario(Box<scenario::ScenarioPlayer>),
    Replay(replay::ReplayPlayer),
}

/// The light of one frame, owned.
#[derive(Debug)]
pub(super) enum Scene {
    Dark,
    Specimen(Specimen),
    Counts(Vec<f64>),
}

impl SampleStage {
    /// Plays what is due; the faults it brings.
    pub(super) fn advance(&mut self, now: Duration, light_frames: u64) -> Vec<Fault> {
        match self {
            Self::Scenario(player) => player.advance(now, light_frames),
            Self::Replay(_) => Vec::new(),
        }
    }

    /// When something happens by itself.
    pub(super) fn next_event_at(&self) -> Option<Duration> {
        match self {
            Self::Scenario(player) => player.next_event_at(),
            Self::Replay(_) => None,
        }
    }

    /// What light frame number `light_frame` (from 0) sees.
    pub(super) fn scene(&self, light_frame: u64) -> (Scene, OnStage) {
        match self {
            Self::Replay(player) => {
                let (row, id, counts) = player.row(light_frame);
                (Scene::Counts(counts), OnStage::Recorded { row, id: id.to_owned() })
            }
            Self::Scenario(player) => match player.on_stage() {
                None => (Scene::Dark, OnStage::Nothing),
                Some((mixture, sample)) => {
                    let total: f64 = mixture.iter().map(|(_, mass)| mass).sum();
                    let parts = mixture.iter().map(|(what, mass)| (what.name(), 100.0 * mass / total)).collect();
                    (Scene::Specimen(sample.clone()), OnStage::Oils(parts))
                }
            },
        }
    }
}
