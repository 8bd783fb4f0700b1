//! `ramand model verify`: whether a bundle is what it claims.

use std::path::Path;

use serde::Serialize;

use crate::cli::CommandError;
use crate::infer::verify::{Check, verify};

/// A check as JSON.
#[derive(Debug, Serialize)]
pub(super) struct CheckLine<'a> {
    check: &'a str,
    ok: bool,
    detail: &'a str,
}

impl<'a> From<&'a Check> for CheckLine<'a> {
    fn from(check: &'a Check) -> Self {
        let (ok, detail) = match &check.outcome {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        Self { check: &check.name, ok, detail }
    }
}

pub(super) fn verify_bundle(folder: &Path, json: bool) -> Result<(), CommandError> {
    let checks = verify(folder);
    for check in &checks {
        let line = CheckLine::from(check);
        if json {
            println!("{}", serde_json::to_string(&line).expect("text is JSON"));
        } else {
            println!("{:<7} {}: {}", if line.ok { "ok" } else { "failed" }, line.check, line.detail);
        }
    }
    let failed = checks.iter().filter(|check| check.outcome.is_err()).count();
    match failed {
        0 => Ok(()),
        failed => {
            let total = checks.len();
            let message = format!("{}: {failed} of {total} checks failed", folder.display());
            Err(CommandError::operator(message))
        }
    }
}
