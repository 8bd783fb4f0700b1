//! From a path to an instrument that has said who it is. Nothing here changes what the instrument does.

use std::time::Duration;

use ocean_binary_protocol::request::exposure::PixelCount;
use ocean_binary_protocol::request::identity::{FirmwareRevision, SerialNumber, SerialNumberLength};
use ocean_binary_protocol::request::rs232::{SaveRs232Settings, SetBaudRate};
use ocean_binary_protocol::request::temperature::TecEnabled;
use ocean_binary_protocol::{DeviceError, Profile, Request};

use super::AcquireError;
use super::link::SerialLink;
use super::session::DeviceSession;
use super::settings::{AcquisitionSettings, BaudRate, SpectrometerModel};
use crate::supervise::Stop;

/// Tried where the rate is unknown, the usual first.
const BAUD_CANDIDATES: [u32; 6] = [9_600, 115_200, 230_400, 57_600, 38_400, 19_200];

/// How long a device may think about the cheapest question; real ones take 20-40 ms.
const PROBE_PATIENCE: Duration = Duration::from_millis(250);

/// How often each rate is tried: the first request at a wrong rate may have left half a frame in the device.
const PROBE_ROUNDS: usize = 2;

/// An instrument that has answered.
#[derive(Debug)]
pub(super) struct IdentifiedDevice {
    pub(super) session: DeviceSession,
    pub(super) profile: &'static Profile,
    pub(super) serial: String,
    pub(super) firmware: Option<String>,
}

/// Opens the port, finds the rate, asks who is there.
pub(super) fn identify(settings: &AcquisitionSettings, stop: &Stop) -> Result<IdentifiedDevice, AcquireError> {
    let mut session = connect(settings, stop)?;
    let serial = session.exchange(&SerialNumber)?.value;
    if let Some(expected) = settings.serial_number.as_ref().filter(|expected| **expected != serial) {
        let port = settings.port.clone();
        return Err(AcquireError::WrongSerialNumber { port, expected: expected.clone(), found: serial });
    }
    let profile = profile(&mut session, settings.model)?;
    let firmware = ask_if_supported(&mut session, &FirmwareRevision)?.map(|revision| revision.to_string());
    Ok(IdentifiedDevice { session, profile, serial, firmware })
}

/// The answer; `None` where the device does not know the request, or does not hold what it asks for.
pub(super) fn ask_if_supported<R: Request>(
    session: &mut DeviceSession,
    request: &R,
) -> Result<Option<R::Response>, AcquireError> {
    match session.exchange(request) {
        Ok(reply) => Ok(Some(reply.value)),
        Err(AcquireError::Refused {
            source: DeviceError::UnknownMessageType | DeviceError::NoSuchInformation, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn connect(settings: &AcquisitionSettings, stop: &Stop) -> Result<DeviceSession, AcquireError> {
    let candidates: Vec<u32> = match settings.baud {
        BaudRate::Fixed(baud) => vec![baud],
        BaudRate::Probe => BAUD_CANDIDATES.to_vec(),
        BaudRate::Negotiate(baud) => with_first(baud),
    };
    let first = candidates.first().copied().unwrap_or(BAUD_CANDIDATES[0]);
    let link = SerialLink::open(&settings.line, &settings.port, first, settings.flow_control)?;
    let mut session = DeviceSession::new(link, settings.checksum, stop.clone());
    find_baud(&mut session, &candidates)?;
    match settings.baud {
        BaudRate::Negotiate(baud) if baud != session.link().baud() => negotiate_baud(&mut session, baud)?,
        _ => {}
    }
    Ok(session)
}

fn with_first(baud: u32) -> Vec<u32> {
    std::iter::once(baud).chain(BAUD_CANDIDATES.into_iter().filter(|&candidate| candidate != baud)).collect()
}

/// Leaves the session at the first rate at which anything intelligible comes back.
fn find_baud(session: &mut DeviceSession, candidates: &[u32]) -> Result<(), AcquireError> {
    for _ in 0..PROBE_ROUNDS {
        for &baud in candidates {
            if session.link().baud() != baud {
                session.set_baud(baud)?;
            }
            match session.drain() {
                // At a wrong rate a talking device is noise without an end.
                Ok(()) | Err(AcquireError::Babble { .. }) => {}
                Err(error) => return Err(error),
            }
            match session.ask_once(&SerialNumberLength, PROBE_PATIENCE) {
                // Whatever the device says, it understood the question.
                Ok(_) | Err(AcquireError::Refused { .. } | AcquireError::Response(_)) => return Ok(()),
                Err(AcquireError::TimedOut { .. } | AcquireError::Babble { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let tried = candidates.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    Err(AcquireError::NoAnswer { port: session.link().path().to_owned(), tried })
}

/// Moves both sides to another rate, verifies it, and has the device keep it.
///
/// When exactly a device switches is written nowhere: where the new rate does not answer, all are tried again.
fn negotiate_baud(session: &mut DeviceSession, baud: u32) -> Result<(), AcquireError> {
    let before = session.link().baud();
    session.exchange(&SetBaudRate { baud })?;
    session.set_baud(baud)?;
    find_baud(session, &with_first(baud))?;
    let now = session.link().baud();
    if now == baud {
        ask_if_supported(session, &SaveRs232Settings)?;
        tracing::info!(before, now, "changed the baud rate");
    } else {
        tracing::warn!(asked = baud, now, "the device acknowledged another baud rate but does not answer at it");
    }
    Ok(())
}

fn profile(session: &mut DeviceSession, model: SpectrometerModel) -> Result<&'static Profile, AcquireError> {
    let pixels = ask_if_supported(session, &PixelCount)?;
    let fits = |profile: &Profile, pixels: u32| usize::try_from(pixels).is_ok_and(|pixels| pixels == profile.pixels);
    let profile = match (model, pixels) {
        (SpectrometerModel::Profile(profile), _) => profile,
        (SpectrometerModel::Detect, Some(pixels)) => {
            Profile::ALL.into_iter().find(|profile| fits(profile, pixels)).unwrap_or(Profile::ALL[0])
        }
        // Of the models there are profiles for, one is cooled.
        (SpectrometerModel::Detect, None) => {
            let cooled = ask_if_supported(session, &TecEnabled)?.is_some();
            let candidate = Profile::ALL.into_iter().find(|profile| profile.cooled == cooled);
            let known = || Profile::ALL.map(|profile| profile.name).join(", ");
            candidate.ok_or_else(|| AcquireError::UnknownModel { known: known() })?
        }
    };
    match pixels {
        Some(pixels) if !fits(profile, pixels) => {
            Err(AcquireError::WrongModel { profile: profile.name, expected: profile.pixels, pixels })
        }
        _ => Ok(profile),
    }
}
