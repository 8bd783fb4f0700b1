//! `[[model]]` and `[updates]`: a bundle on the line, what is demanded of it, and where newer ones come from.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[[model]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Folder of the bundle.
    pub path: PathBuf,
    /// Run a bundle that has no applicability gate or no conformal scores.
    #[serde(default)]
    pub allow_ungated: bool,
    /// A p-value that is not above this is refused; absent: as the bundle says.
    pub significance: Option<f32>,
    /// What is held against the limits.
    #[serde(default)]
    pub guard: Guard,
    /// Classes that are accepted.
    pub allowed: Option<Vec<String>>,
    /// A less certain class is rejected.
    pub probability_min: Option<f32>,
    /// Reject above.
    pub above: Option<f32>,
    /// Reject below.
    pub below: Option<f32>,
}

/// What is held against the limits of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// The value or the likeliest class alone.
    #[default]
    None,
    /// The whole interval or set.
    Interval,
}

impl ModelEntry {
    /// The bundle at `path`, without any limit.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            allow_ungated: false,
            significance: None,
            guard: Guard::default(),
            allowed: None,
            probability_min: None,
            above: None,
            below: None,
        }
    }
}

/// `[updates]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Updates {
    /// Folder of the store: below it nothing runs that nobody known has signed.
    pub store: PathBuf,
    /// Folder of the public keys that may sign.
    pub keys: PathBuf,
}
