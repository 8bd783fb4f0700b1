//! What the acquisition thread needs of an instrument, whatever protocol it speaks.

use std::sync::Arc;

use ramand_core::spectrum::{Instrument, Laser, RawSpectrum};

use super::AcquireError;

/// An instrument that has been identified and is ready to measure.
pub trait Spectrometer {
    /// Model, serial number and calibration, as read when it was opened.
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
