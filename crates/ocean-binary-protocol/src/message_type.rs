//! The numbers that name the messages a Raman instrument needs.

use std::fmt;

/// What a frame asks or answers: bytes 8 to 11 of its header.
///
/// The hexadecimal digits of a number read feature (3), sub-feature (3), command (2): 000 general, 001 spectrometer, 004
/// temperature, 008 light source. The constants are the numbers that [`request`](crate::request) knows; any other is made with
/// [`new`](Self::new). Source: Ventana Data Sheet, pages 12-16; SeaBreeze `OBPMessageTypes.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(u32);

impl MessageType {
    /// The message type of this number. Any number will do: whether a device knows it, the device says.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number on the wire, little endian there.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// `message 0x00000100`.
impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:#010x}", self.0)
    }
}

macro_rules! message_types {
    ($($name:ident = $number:literal, $doc:literal;)*) => {
        impl MessageType {
            $(
                #[doc = concat!("`", stringify!($number), "`: ", $doc)]
                pub const $name: Self = Self($number);
            )*
        }
    };
}

message_types! {
    FIRMWARE_REVISION = 0x0000_0090, "reads the firmware's revision, u16 in binary-coded decimal.";
    SERIAL_NUMBER = 0x0000_0100, "reads the serial number, ASCII.";
    SERIAL_NUMBER_LENGTH = 0x0000_0101, "reads how long a serial number can be, bytes, u8.";
    SET_BAUD_RATE = 0x0000_0810, "changes the baud rate of the RS-232 port, bits per second, u32.";
    SAVE_RS232_SETTINGS = 0x0000_08F0, "keeps the port's settings over a power cycle. No data.";
    ABORT_ACQUISITION = 0x0010_0000, "ends the running acquisition (QE Pro). No data.";
    CLEAR_BUFFER = 0x0010_0830, "forgets all buffered spectra (QE Pro). No data.";
    START_ACQUISITION = 0x0010_0902, "starts an acquisition into the buffer (QE Pro). No data.";
    BUFFERED_SPECTRUM = 0x0010_0928, "reads the oldest buffered spectrum (QE Pro): 32 bytes of metadata, then u32 pixels.";
    CORRECTED_SPECTRUM = 0x0010_1000, "exposes at once and reads the spectrum, corrected on board (STS): u16 pixels.";
    INTEGRATION_TIME = 0x0011_0000, "reads the integration time, µs, u32.";
    INTEGRATION_TIME_MIN = 0x0011_0001, "reads the shortest integration time, µs, u32.";
    INTEGRATION_TIME_MAX = 0x0011_0002, "reads the longest integration time, µs, u32.";
    SET_INTEGRATION_TIME = 0x0011_0010, "changes the integration time, µs, u32.";
    SET_TRIGGER_MODE = 0x0011_0110, "changes the trigger mode, u8.";
    PIXEL_COUNT = 0x0011_0220, "reads how many pixels a spectrum has, u16 or u32.";
    LAMP_LINE = 0x0011_0400, "reads the lamp enable line, u8: 0 low, 1 high.";
    SET_LAMP_LINE = 0x0011_0410, "drives the lamp enable line, u8: 0 low, 1 high.";
    SET_SCANS_TO_AVERAGE = 0x0012_0010, "changes how many scans the device averages, u16.";
    SET_BOXCAR = 0x0012_1010, "changes the half width of the on-board boxcar, pixels, u8.";
    WAVELENGTH_COEFFICIENT_COUNT = 0x0018_0100, "reads how many wavelength coefficients are stored, u8.";
    WAVELENGTH_COEFFICIENT = 0x0018_0101, "reads the wavelength coefficient of the power asked for (u8), f32.";
    NONLINEARITY_COEFFICIENT_COUNT = 0x0018_1100, "reads how many nonlinearity coefficients are stored, u8.";
    NONLINEARITY_COEFFICIENT = 0x0018_1101, "reads the nonlinearity coefficient of the power asked for (u8), f32.";
    TEMPERATURES = 0x0040_0002, "reads all temperature sensors, °C, f32 each.";
    TEC_ENABLED = 0x0042_0000, "reads whether the thermoelectric cooler runs, u8.";
    TEC_SETPOINT = 0x0042_0001, "reads the cooler's set point, °C, f32.";
    TEC_STABLE = 0x0042_0003, "reads whether the detector has reached the set point, u8.";
    TEC_TEMPERATURE = 0x0042_0004, "reads the detector's temperature, °C, f32.";
    ENABLE_TEC = 0x0042_0010, "switches the cooler, u8.";
    SET_TEC_SETPOINT = 0x0042_0011, "changes the cooler's set point, °C, f32.";
    LIGHT_SOURCE_ENABLED = 0x0081_0021, "reads whether a light source (the laser) is on, u8.";
    ENABLE_LIGHT_SOURCE = 0x0081_0031, "switches a light source (the laser): module, source, 0 or 1, u8 each.";
}
