//! The conversation on a serial line as a text file: recorded while it happens, played back to the same driver later.
//!
//! [`Recorder`] taps a link; [`Conversation`] is the file, read back; [`CapturePlayer`] stands in for the device. docs/capture.md
//! describes the file. A player has no clock of its own: the recorded times are the time of whoever asks the link, so a
//! night of time-outs plays back at once and comes to the same end.

mod conversation;
mod digest;
mod error;
mod event;
mod header;
mod play;
mod record;
mod replay;

pub use conversation::{Conversation, recorded};
pub use digest::digest;
pub use error::CaptureError;
pub use event::{Act, CaptureEvent, CaptureMoment, Way};
pub use play::CapturePlayer;
pub use record::Recorder;
pub use replay::replay;
