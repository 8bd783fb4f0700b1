//! A timed list of what lies on the stage and what goes wrong, as data.
//!
//! ```toml
//! unit = "seconds"            # or "light-frames": how far the list has advanced
//! repeat_after = 60.0         # start over then; without it the last step stays
//! [[step]]
//! at = 0.0
//! sample = { olive = 97.0, sunflower = 3.0 }   # parts by mass; {} is an empty stage; absent: what was there stays
//! [[step]]
//! at = 30.0
//! faults = ["interlock-open"]
//! ```
//! A step that names a sample draws fresh bottles, every time it comes round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ramand_core::failure::{Failure, Kind};
use rand::rngs::ChaCha8Rng;
use serde::Deserialize;

use super::faults::{Fault, FaultError};
use super::oils::{Specimen, Substance};

/// Steps in one scenario: a day of one change a minute.
const STEPS_MAX: usize = 1_440;

/// The scenario that runs when none is given: the oils, and olive oil with 0, 3, 10 and 30 % of sunflower oil between them.
const DEFAULT: &str = include_str!("scenario_default.toml");

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("failed to read the scenario {}", path.display())]
    Read {
        /// The file that was to be read.
        path: PathBuf,
        /// What the operating system says about it.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or not a scenario.
    #[error("failed to understand the scenario {}", path.display())]
    Parse {
        /// The file of the scenario.
        path: PathBuf,
        /// The line and what is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// A fault nobody knows.
    #[error("{}: step {step}", path.display())]
    Fault {
        /// The file of the scenario.
        path: PathBuf,
        /// Number of the step, from 1.
        step: usize,
        /// Why the text is no fault.
        #[source]
        source: FaultError,
    },
    /// A value that makes no sense.
    #[error("{}: step {step}: {what}", path.display())]
    Invalid {
        /// The file of the scenario.
        path: PathBuf,
        /// Number of the step, from 1.
        step: usize,
        /// Which key, and what it must be.
        what: String,
    },
}

impl Failure for ScenarioError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    unit: ScenarioUnit,
    repeat_after: Option<f64>,
    step: Vec<StepFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    at: f64,
    sample: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    faults: Vec<String>,
}

/// What advances a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ScenarioUnit {
    Seconds,
    LightFrames,
}

/// A scenario that can be played.
#[derive(Debug, Clone)]
pub struct Scenario {
    unit: ScenarioUnit,
    repeat_after: Option<f64>,
    steps: Vec<ScenarioStep>,
}

#[derive(Debug, Clone)]
struct ScenarioStep {
    at: f64,
    sample: Option<Mixture>,
    faults: Vec<Fault>,
}

/// Substances and their parts by mass; empty for an empty stage.
pub type Mixture = Vec<(Substance, f64)>;

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or holds anything but a scenario.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// One substance, or one blend, and nothing else: parts by mass.
    #[cfg(feature = "control")]
    pub fn always(mixture: Mixture) -> Self {
        let step = ScenarioStep { at: 0.0, sample: Some(mixture), faults: Vec::new() };
        Self { unit: ScenarioUnit::Seconds, repeat_after: None, steps: vec![step] }
    }

    /// `text` as if it stood in the file `path`.
    ///
    /// # Errors
    /// When it is anything but a scenario.
    fn parse(path: &Path, text: &str) -> Result<Self, ScenarioError> {
        let file: ScenarioFile =
            toml::from_str(text).map_err(|source| ScenarioError::Parse { path: path.to_owned(), source })?;
        let invalid = |step: usize, what: &str| {
            Err(ScenarioError::Invalid { path: path.to_owned(), step, what: what.to_owned() })
        };
        if file.step.is_empty() || file.step.len() > STEPS_MAX {
            return invalid(file.step.len(), &format!("a scenario has 1..={STEPS_MAX} steps"));
        }
        let mut steps: Vec<ScenarioStep> = Vec::new();
        for (index, step) in file.step.into_iter().enumerate() {
            let number = index + 1;
            let after = steps.last().map_or(0.0, |last| last.at);
            if !step.at.is_finite() || step.at < after || (index == 0 && step.at != 0.0) {
                return invalid(number, "'at' must be 0 in the first step and not less than before in the next ones");
            }
            let faults = step.faults.iter().map(|fault| fault.parse()).collect::<Result<_, _>>();
            let faults =
                faults.map_err(|source| ScenarioError::Fault { path: path.to_owned(), step: number, source })?;
            let sample = match step.sample {
                None => None,
                Some(parts) => match mixture(&parts) {
                    Ok(mixture) => Some(mixture),
                    Err(what) => return invalid(number, &what),
                },
            };
            steps.push(ScenarioStep { at: step.at, sample, faults });
        }
        let end = steps.last().map_or(0.0, |last| last.at);
        if file.repeat_after.is_some_and(|period| !period.is_finite() || period <= end) {
            return invalid(steps.len(), "'repeat_after' must be more than the last step's 'at'");
        }
        Ok(Self { unit: file.unit, repeat_after: file.repeat_after, steps })
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::parse(Path::new("scenario_default.toml"), DEFAULT)
            .expect("the scenario that comes with the program is one")
    }
}

fn mixture(parts: &BTreeMap<String, f64>) -> Result<Mixture, String> {
    let mixture = parts
        .iter()
        .map(|(name, &mass)| {
            let substance =
                Substance::named(name).ok_or_else(|| format!("'sample': there is no oil or reference '{name}'"))?;
            if !(mass.is_finite() && mass >= 0.0) {
                return Err(format!("'sample': the part of {name} must be a number that is not negative"));
            }
            Ok((substance, mass))
        })
        .collect::<Result<Mixture, String>>()?;
    let total: f64 = mixture.iter().map(|(_, mass)| mass).sum();
    if mixture.is_empty() || total > 0.0 { Ok(mixture) } else { Err("'sample': the parts sum to nothing".to_owned()) }
}

/// A scenario being played.
#[derive(Debug)]
pub(super) struct ScenarioPlayer {
    scenario: Scenario,
    next_step: usize,
    rounds: u64,
    rng: ChaCha8Rng,
    on_stage: Option<(Mixture, Specimen)>,
}

impl ScenarioPlayer {
    pub(super) fn new(scenario: Scenario, rng: ChaCha8Rng) -> Self {
        Self { scenario, next_step: 0, rounds: 0, rng, on_stage: None }
    }

    /// Plays every step whose time has come; the faults they bring.
    pub(super) fn advance(&mut self, now: Duration, light_frames: u64) -> Vec<Fault> {
        let position = match self.scenario.unit {
            ScenarioUnit::Seconds => now.as_secs_f64(),
            ScenarioUnit::LightFrames => light_frames as f64,
        };
        let mut faults = Vec::new();
        while let Some(at) = self.next_at().filter(|&at| at <= position) {
            self.skip_whole_rounds(position, at);
            let step = &self.scenario.steps[self.next_step];
            faults.extend(&step.faults);
            if let Some(mixture) = &step.sample {
                let bottles: Vec<Specimen> = mixture.iter().map(|(what, _)| what.draw(&mut self.rng)).collect();
                let parts: Vec<(&Specimen, f64)> = bottles.iter().zip(mixture.iter().map(|(_, mass)| *mass)).collect();
                self.on_stage = (!parts.is_empty()).then(|| (mixture.clone(), Specimen::blend(&parts)));
            }
            self.next_step += 1;
            if self.next_step == self.scenario.steps.len() && self.scenario.repeat_after.is_some() {
                self.next_step = 0;
                self.rounds += 1;
            }
        }
        faults
    }

    /// When the next step comes by itself, if time is what advances the scenario.
    pub(super) fn next_event_at(&self) -> Option<Duration> {
        let at = self.next_at().filter(|_| self.scenario.unit == ScenarioUnit::Seconds)?;
        Duration::try_from_secs_f64(at).ok()
    }

    /// What lies on the stage: the substances with their parts, and the sample they make.
    pub(super) fn on_stage(&self) -> Option<(&Mixture, &Specimen)> {
        self.on_stage.as_ref().map(|(mixture, sample)| (mixture, sample))
    }

    fn next_at(&self) -> Option<f64> {
        let step = self.scenario.steps.get(self.next_step)?;
        Some(self.rounds as f64 * self.scenario.repeat_after.unwrap_or(0.0) + step.at)
    }

    /// Rounds that lie wholly in the past are not played one by one: a short period must not make the device late.
    fn skip_whole_rounds(&mut self, position: f64, at: f64) {
        if let Some(period) = self.scenario.repeat_after {
            self.rounds += ((position - at) / period) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::FaultKind;
    use rand::SeedableRng;

    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(Path::new("s.toml"), text)
    }

    fn names(player: &ScenarioPlayer) -> Vec<&'static str> {
        player.on_stage().map_or(Vec::new(), |(mixture, _)| mixture.iter().map(|(what, _)| what.name()).collect())
    }

    #[test]
    fn the_default_scenario_shows_every_trained_oil_and_four_blends() {
        let mut player = ScenarioPlayer::new(Scenario::default(), ChaCha8Rng::seed_from_u64(1));
        let mut seen = Vec::new();
        for frame in 0..12 {
            player.advance(Duration::ZERO, frame);
            seen.push(names(&player));
        }
        for oil in ["olive", "sunflower", "soybean", "rapeseed", "corn", "peanut", "palm", "sesame"] {
            assert!(seen.contains(&vec![oil]), "{oil} in {seen:?}");
        }
        assert_eq!(seen.iter().filter(|names| **names == ["olive", "sunflower"]).count(), 3);
    }

    #[test]
    fn steps_come_at_their_time_and_the_list_starts_over_with_fresh_bottles() {
        let text = "unit = 'seconds'\nrepeat_after = 10.0\n[[step]]\nat = 0.0\nsample = { palm = 1 }\n\
                    [[step]]\nat = 4.0\nsample = {}\nfaults = ['interlock-open']\n";
        let mut player = ScenarioPlayer::new(parse(text).expect("valid"), ChaCha8Rng::seed_from_u64(1));
        let at = |seconds| Duration::from_secs(seconds);
        assert!(player.advance(at(0), 0).is_empty());
        let first = player.on_stage().expect("palm").1.clone();
        assert_eq!((names(&player), player.next_event_at()), (vec!["palm"], Some(at(4))));
        assert_eq!(player.advance(at(5), 0), [Fault::once(FaultKind::InterlockOpen)]);
        assert!(player.on_stage().is_none());
        player.advance(at(10), 0);
        let second = player.on_stage().expect("palm again").1.clone();
        assert_ne!(first, second);
        // After a long silence one round is played, not a hundred.
        assert!(player.advance(at(1_003), 0).len() <= 2);
        assert_eq!(names(&player), ["palm"]);
    }

    #[test]
    fn what_is_no_scenario_says_where() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).expect_err(expected);
            let message =
                format!("{error}: {}", std::error::Error::source(&error).map_or(String::new(), |e| e.to_string()));
            assert!(message.contains(expected), "{message}");
        };
        check("unit = 'seconds'\nstep = []", "1..=1440 steps");
        check("unit = 'hours'\n[[step]]\nat = 0.0", "unknown variant");
        check("unit = 'seconds'\n[[step]]\nat = 1.0", "'at' must be 0");
        check("unit = 'seconds'\n[[step]]\nat = 0.0\nsample = { walrus = 1 }", "no oil or reference 'walrus'");
        check("unit = 'seconds'\n[[step]]\nat = 0.0\nsample = { palm = -1 }", "not negative");
        check("unit = 'seconds'\n[[step]]\nat = 0.0\nsample = { palm = 0 }", "sum to nothing");
        check("unit = 'seconds'\n[[step]]\nat = 0.0\nfaults = ['gremlin']", "there is no fault 'gremlin'");
        check("unit = 'seconds'\nrepeat_after = 1.0\n[[step]]\nat = 0.0\n[[step]]\nat = 1.0", "'repeat_after'");
        check("unit = 'seconds'\nspeed = 2\n[[step]]\nat = 0.0", "unknown field");
    }
}
