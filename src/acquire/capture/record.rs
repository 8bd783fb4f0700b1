//! The tap on a link: writes down what happens, and never stands in its way.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::CaptureError;
use super::event::{CaptureEvent, encode_line};

/// The longest file, bytes: some seven thousand QE Pro spectra, and little enough to be read into memory on any board.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// Kept for the line that says that the file is full.
const FULL_LINE_LEN: u64 = 64;

/// A file being written. Copies write to the same one.
#[derive(Debug, Clone)]
pub struct Recorder {
    state: Arc<Mutex<RecorderState>>,
    started: Instant,
}

#[derive(Debug)]
struct RecorderState {
    file: File,
    /// Zero once nothing is written any more.
    bytes_left: u64,
}

impl Recorder {
    /// Starts a file of at most [`FILE_BYTES_MAX`] bytes with this header. A file that is there already is kept under its name
    /// with `.old` behind it.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(super) fn create(path: &Path, header: &str) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Create { path: path.to_owned(), source };
        if path.exists() {
            let mut old = path.as_os_str().to_owned();
            old.push(".old");
            std::fs::rename(path, old).map_err(failed)?;
        }
        let mut file = File::create_new(path).map_err(failed)?;
        file.write_all(header.as_bytes()).map_err(failed)?;
        let bytes_left = FILE_BYTES_MAX - header.len() as u64;
        Ok(Self { state: Arc::new(Mutex::new(RecorderState { file, bytes_left })), started: Instant::now() })
    }

    /// Writes one line, at once: whoever needs the file needs its last lines most.
    pub(in crate::acquire) fn record(&self, event: &CaptureEvent) {
        let mut state = self.lock();
        if state.bytes_left == 0 {
            return;
        }
        let at = self.started.elapsed();
        let mut line = encode_line(at, event);
        if line.len() as u64 + FULL_LINE_LEN > state.bytes_left {
            tracing::warn!("the capture has reached its size: the rest of the conversation is not recorded");
            line = encode_line(at, &CaptureEvent::Full);
            state.bytes_left = 0;
        } else {
            state.bytes_left -= line.len() as u64;
        }
        if let Err(error) = state.file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the conversation cannot be recorded any more; measuring goes on");
            state.bytes_left = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two are the same when they write to the same file.
impl PartialEq for Recorder {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("capture.txt");
        let recorder = Recorder::create(&path, "header\n\n").expect("created");
        recorder.lock().bytes_left = 300;
        (0..20).for_each(|_| recorder.record(&CaptureEvent::Sent(vec![0xC1; 30])));
        let text = std::fs::read_to_string(&path).expect("a file");
        let events: Vec<&str> = text.lines().skip(2).filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        let sent = format!("> {}", "C1".repeat(30));
        assert_eq!(events, [&sent, &sent, &sent, "full"]);
    }

    #[test]
    fn a_file_that_is_there_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("capture.txt");
        std::fs::write(&path, "yesterday").expect("written");
        Recorder::create(&path, "").expect("created");
        let old = std::fs::read_to_string(folder.path().join("capture.txt.old")).expect("kept");
        assert_eq!(old, "yesterday");
    }
}
