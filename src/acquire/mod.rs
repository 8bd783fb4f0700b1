//! From a serial line to raw spectra: link, session, driver.

pub mod capture;
mod dark;
pub mod driver;
mod error;
mod identify;
mod laser;
pub mod link;
pub mod session;
pub mod settings;
pub mod station;
pub mod survey;
mod units;

use std::sync::Arc;

use ramand_core::spectrum::{Instrument, Laser, RawSpectrum};

pub use driver::Driver;
pub use error::AcquireError;
pub use link::Link;
pub use session::Session;
pub use settings::{BaudRate, DarkRefresh, FlowControl, LaserSwitch, Line, Model, Settings};
pub use station::{Event, Station};
pub use survey::{Survey, survey};

#[cfg(test)]
mod tests;

/// An instrument that has been identified and is ready to measure.
pub trait Spectrometer {
    /// Who it is.
    fn instrument(&self) -> &Arc<Instrument>;

    /// One spectrum: a light frame, and a dark frame that belongs to it.
    ///
    /// The laser may stay on afterwards, so that the next spectrum needs no warm-up; after an error it is off.
    ///
    /// # Errors
    /// When the device is gone, refuses or answers nonsense; [`AcquireError::Stopped`] on a stop request.
    fn measure(&mut self) -> Result<RawSpectrum, AcquireError>;

    /// Switches the laser off and reads back that it is.
    ///
    /// # Errors
    /// When the device is gone or still says "on".
    fn laser_off(&mut self) -> Result<(), AcquireError>;

    /// The laser as last read back.
    fn laser(&self) -> Laser;
}
