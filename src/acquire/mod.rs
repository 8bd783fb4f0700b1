//! From a serial line to raw spectra: link, session, driver.

pub mod capture;
mod dark;
mod driver;
mod error;
mod identify;
mod laser;
mod link;
mod session;
mod settings;
mod spectrometer;
pub mod station;
mod survey;
mod units;

pub use driver::{Driver, check_limits};
pub use error::AcquireError;
pub use settings::{
    AcquisitionSettings, BaudRate, DarkRefresh, FlowControl, LaserSwitching, SerialLine, SpectrometerModel,
};
pub use spectrometer::Spectrometer;
pub use station::StationEvent;
pub use survey::{Survey, survey};

#[cfg(test)]
mod tests;
