//! The trail: who changed which model when, and what was refused. One JSON object a line, synced before anything happens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::UpdateError;
use super::shadow::ComparisonRecord;

/// In the store.
pub const FILE: &str = "audit.jsonl";
/// Version of the records.
const VERSION: u8 = 1;
/// What the kernel says where nobody logged in.
const NO_LOGIN: u32 = u32::MAX;

/// What somebody set out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `ramand model install`.
    Install,
    /// `ramand model rollback`.
    Rollback,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was checked, and somebody said yes: the switch follows. Without a `switched` after it, it was cut short.
    Approved,
    /// The store's `current` leads to the new version.
    Switched,
    /// A check failed.
    Refused,
    /// Somebody said no.
    Declined,
    /// The switch itself failed.
    Failed,
}

/// A model, by what pins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelRecord {
    pub name: String,
    pub version: String,
    /// SHA-256 of its manifest.
    pub sha256: String,
}

/// An archive, by what pins it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveRecord {
    /// As it was called.
    pub file: String,
    /// SHA-256 of the whole file.
    pub sha256: String,
}

/// What is known about a change; what is not yet known is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Subject {
    /// Where the model came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveRecord>,
    /// Who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The model that was to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRecord>,
    /// The model that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ModelRecord>,
    /// What both said to the same spectra.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ComparisonRecord>,
}

#[derive(Debug, Serialize)]
struct AuditLine<'a> {
    v: u8,
    time: String,
    uid: Option<u32>,
    login_uid: Option<u32>,
    ramand: &'static str,
    action: Action,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(flatten)]
    subject: &'a Subject,
}

/// Adds a line to the trail of the store at `root`, and returns when it is on the medium.
///
/// # Errors
/// When it cannot be written.
pub fn append(
    root: &Path,
    action: Action,
    outcome: Outcome,
    why: Option<&str>,
    subject: &Subject,
) -> Result<(), UpdateError> {
    let path = root.join(FILE);
    let time = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let line = AuditLine {
        v: VERSION,
        time: format!("{time:.6}"),
        uid: fs::metadata("/proc/self").ok().map(|metadata| metadata.uid()),
        login_uid: login_uid(),
        ramand: env!("CARGO_PKG_VERSION"),
        action,
        outcome,
        why,
        subject,
    };
    let mut text = serde_json::to_string(&line).expect("records have text keys");
    text.push('\n');
    write(&path, &text).map_err(|source| UpdateError::Write { path, source })
}

fn write(path: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    let torn = file.metadata()?.len() > 0 && last_byte(&mut file)? != b'\n';
    // One write, so that lines of two processes cannot mix; a line a power cut tore stays as it is, on its own.
    file.write_all(format!("{}{line}", if torn { "\n" } else { "" }).as_bytes())?;
    file.sync_all()?;
    // The name as well, where the file is new.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// Who logged in, however often the user was changed since: sudo does not hide it.
fn login_uid() -> Option<u32> {
    let text = fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != NO_LOGIN)
}
