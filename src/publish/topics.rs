//! Topic names: `ramand/v1/{site}/{line}/{device}/{what}`.

use ramand_core::failure::{Failure, Kind};
use ramand_core::record::PartKind;

/// The longest name of a site, line or device, bytes: the whole topic stays far below MQTT's 65,535 and brokers' usual
/// 1,000.
pub const LEVEL_BYTES_MAX: usize = 100;

/// Why a name cannot be a level of a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{level} {name:?} cannot be part of an MQTT topic: {fault}")]
pub struct TopicError {
    /// `site`, `line` or `device`.
    pub level: &'static str,
    pub name: String,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl Failure for TopicError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// Where one instrument speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// # Errors
    /// When a name is empty, too long, or holds a wildcard (`+`, `#`), a slash or a control character.
    pub fn new(site: &str, line: &str, device: &str) -> Result<Self, TopicError> {
        for (level, name) in [("site", site), ("line", line), ("device", device)] {
            let fault = if name.is_empty() {
                "it is empty"
            } else if name.len() > LEVEL_BYTES_MAX {
                "it is longer than 100 bytes"
            } else if name.contains(['+', '#', '/']) {
                "it holds one of + # /"
            } else if name.chars().any(char::is_control) {
                "it holds a control character"
            } else {
                continue;
            };
            return Err(TopicError { level, name: name.to_owned(), fault });
        }
        Ok(Self { root: format!("ramand/v1/{site}/{line}/{device}") })
    }

    /// Everything the instrument says: what a subscriber asks for.
    pub fn all(&self) -> String {
        format!("{}/#", self.root)
    }

    /// Where parts of a kind go.
    pub fn part(&self, kind: PartKind) -> String {
        format!("{}/{}", self.root, kind.name())
    }

    /// Whether the instrument is there, retained.
    pub fn status(&self) -> String {
        format!("{}/status", self.root)
    }

    /// The newest of what is not journalled, retained.
    pub fn latest(&self, latest: Latest) -> String {
        let name = match latest {
            Latest::Result => "last",
            Latest::Health => "health",
        };
        format!("{}/{name}", self.root)
    }
}

/// What only the newest of is of interest: retained by the broker, not journalled, not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Latest {
    /// `last`: the newest result.
    Result,
    /// `health`: the state of the instrument.
    Health,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_plain_name() {
        let topics = Topics::new("Mühle 1", "line-2", "QEP01234").expect("plain names");
        assert_eq!(topics.part(PartKind::Result), "ramand/v1/Mühle 1/line-2/QEP01234/result");
        assert_eq!(topics.latest(Latest::Result), "ramand/v1/Mühle 1/line-2/QEP01234/last");
        assert_eq!(topics.all(), "ramand/v1/Mühle 1/line-2/QEP01234/#");
        let long = "x".repeat(LEVEL_BYTES_MAX + 1);
        for (name, expected) in [
            ("", "it is empty"),
            ("a/b", "it holds one of + # /"),
            ("+", "it holds one"),
            ("a\n", "control"),
            (&long, "longer"),
        ] {
            for (site, line, device) in [(name, "l", "d"), ("s", name, "d"), ("s", "l", name)] {
                let error = Topics::new(site, line, device).expect_err(expected);
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
    }
}
