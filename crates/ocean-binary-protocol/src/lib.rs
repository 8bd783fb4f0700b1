//! Ocean Binary Protocol v1: frames, a resynchronising framer, and one typed request per message.
//!
//! Bytes in, values out: no port is opened and no clock is read here, so the driver, the simulator and the fuzz targets
//! share one codec. Integers and floats are little endian throughout.

pub mod deadline;
pub mod frame;
pub mod framer;
pub mod message_type;
pub mod profile;
pub mod request;
pub mod units;

pub use deadline::deadline;
pub use frame::{Checksum, DeviceError, Flags, Frame, FrameError, Version};
pub use framer::{Framer, FramerStatistics};
pub use message_type::MessageType;
pub use profile::{LaserControl, Profile, SpectrumSource};
pub use request::{Answer, Request, ResponseError};
pub use units::{Celsius, Counts, IntegrationTime};

#[cfg(test)]
mod tests;
