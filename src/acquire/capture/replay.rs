//! A recorded conversation, told to the driver again.

use ramand_core::spectrum::RawSpectrum;

use super::CaptureError;
use super::conversation::Conversation;
use super::event::{Act, CaptureEvent, CaptureMoment};
use super::play::CapturePlayer;
use crate::acquire::settings::{AcquisitionSettings, SerialLine};
use crate::acquire::{AcquireError, Driver, Spectrometer};
use crate::supervise::Stop;

/// Plays the conversation to the driver; `tell` gets each spectrum, and each error of the driver, as it comes about.
///
/// # Errors
/// [`AcquireError::Capture`] where the driver no longer does what was recorded, or the recording ends within something.
pub fn replay(
    conversation: &Conversation,
    mut tell: impl FnMut(Result<&RawSpectrum, &AcquireError>),
) -> Result<(), AcquireError> {
    let player = CapturePlayer::new(conversation.started, conversation.moments.clone());
    let settings = AcquisitionSettings { line: SerialLine::Played(player.clone()), ..conversation.settings.clone() };
    let mut driver: Option<Driver> = None;
    while let Some(moment) = player.next() {
        let outcome = match (&moment.event, &mut driver) {
            (CaptureEvent::Full, _) => return Ok(()),
            (CaptureEvent::Open(_), _) => {
                driver = None;
                Driver::open(settings.clone(), &Stop::never()).map(|opened| {
                    driver = Some(opened);
                    None
                })
            }
            (CaptureEvent::Do(Act::Close), _) => {
                driver = None;
                // Letting go consumes the line; where nothing was held, the file says what no program did.
                match player.next() {
                    Some(next) if next.line == moment.line => return Err(stray(&moment)),
                    _ => Ok(None),
                }
            }
            (CaptureEvent::Do(Act::Measure), Some(driver)) => driver.measure().map(Some),
            (CaptureEvent::Do(Act::MeasureDark), Some(driver)) => driver.measure_dark().map(Some),
            (CaptureEvent::Do(Act::LaserOff), Some(driver)) => driver.laser_off().map(|()| None),
            (CaptureEvent::Do(Act::SetExposure(integration, scans)), Some(driver)) => {
                driver.set_exposure(*integration, *scans).map(|()| None)
            }
            _ => return Err(stray(&moment)),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(spectrum)) => tell(Ok(&spectrum)),
            // What went wrong with the device went wrong then too; what the recording forbids ends the replay.
            Err(error @ AcquireError::Capture(_)) => return Err(error),
            Err(error) => tell(Err(&error)),
        }
    }
    Ok(())
}

/// A line that no driver would have been asked for at this point.
fn stray(moment: &CaptureMoment) -> AcquireError {
    let CaptureMoment { line, event, .. } = moment;
    let now = "the driver having nothing more to do".to_owned();
    CaptureError::Diverged { line: *line, recorded: event.summary(), now }.into()
}
