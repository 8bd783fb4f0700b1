//! Room kept back for a full disk: deleting what was delivered takes some before it gives any.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

/// How much: what the log holds between two checkpoints (4 MiB and a record) must find its place in the file, and the log that
/// deletes must find its own.
const RESERVE_BYTES: u64 = 8 << 20;

/// What must be free besides before room is kept back again.
const SLACK_BYTES: u64 = 1 << 20;

/// A file beside the journal that holds nothing but its place. Dropped last, it takes what the closed log has left.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    kept: AtomicBool,
    /// From when the disk was found full until there is room again.
    full: AtomicBool,
}

impl Reserve {
    /// Of the journal at this path; kept back where there is room.
    pub(super) fn beside(journal: &Path) -> Self {
        let mut path = journal.as_os_str().to_owned();
        path.push(".reserve");
        let path = PathBuf::from(path);
        let kept = AtomicBool::new(fs::metadata(&path).is_ok_and(|file| file.len() > 0));
        let reserve = Self { path, kept, full: AtomicBool::new(false) };
        if !reserve.kept.load(Ordering::Relaxed) {
            reserve.restore();
        }
        reserve
    }

    /// Whether the disk was found full, and has not been seen with room since.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// The disk is full: the room is there to be used.
    pub(super) fn spend(&self) {
        self.full.store(true, Ordering::Relaxed);
        if self.kept.swap(false, Ordering::Relaxed) {
            tracing::warn!("the disk of the journal is full: what was delivered makes room from now on");
            if let Err(error) = fs::remove_file(&self.path) {
                tracing::warn!(%error, "the room kept back cannot be had");
            }
        }
    }

    /// Keeps room back again, where there is enough of it.
    pub(super) fn restore(&self) {
        if self.kept.load(Ordering::Relaxed) && !self.is_full() {
            return;
        }
        if self.free_bytes() >= RESERVE_BYTES + SLACK_BYTES && self.keep(RESERVE_BYTES) {
            self.full.store(false, Ordering::Relaxed);
        }
    }

    /// Keeps back what is left of it after a journal was opened or closed on a full disk.
    pub(super) fn keep_rest(&self) {
        let bytes = self.free_bytes().min(RESERVE_BYTES);
        if !self.kept.load(Ordering::Relaxed) && bytes > 0 {
            self.keep(bytes);
        }
    }

    fn free_bytes(&self) -> u64 {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Both counts have another width on every architecture, and a disk's size has no need for its last byte.
        statvfs(folder).map_or(0, |disk| (disk.blocks_available() as f64 * disk.fragment_size() as f64) as u64)
    }

    /// Whether that much is kept back now.
    fn keep(&self, bytes: u64) -> bool {
        let reserved = || -> std::io::Result<()> {
            let file = File::create(&self.path)?;
            // A length has 32 bits on a 32-bit processor.
            let bytes = libc::off_t::try_from(bytes).map_err(std::io::Error::other)?;
            Ok(posix_fallocate(&file, 0, bytes)?)
        };
        let outcome = reserved();
        if let Err(error) = &outcome {
            // A part of it would only be missing elsewhere.
            drop(fs::remove_file(&self.path));
            tracing::debug!(%error, "no room is kept back");
        }
        self.kept.store(outcome.is_ok(), Ordering::Relaxed);
        outcome.is_ok()
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        self.keep_rest();
    }
}
