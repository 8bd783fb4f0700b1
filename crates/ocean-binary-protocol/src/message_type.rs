//! The message types a Raman daemon uses. A number's hexadecimal digits read feature (3), sub-feature (3), command (2).

use std::fmt;

/// What a frame asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(u32);

impl MessageType {
    /// From the number on the wire.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:#010x}", self.0)
    }
}

macro_rules! message_types {
    ($($name:ident = $number:literal, $doc:literal;)*) => {
        impl MessageType {
            $(#[doc = $doc] pub const $name: Self = Self($number);)*
        }
    };
}

message_types! {
    RESET = 0x0000_0000, "Restart the device.";
    HARDWARE_REVISION = 0x0000_0080, "Hardware revision, u8.";
    FIRMWARE_REVISION = 0x0000_0090, "Firmware revision, u16 in binary-coded decimal.";
    FPGA_REVISION = 0x0000_0091, "FPGA revision, u16 in binary-coded decimal.";
    SERIAL_NUMBER = 0x0000_0100, "Serial number, ASCII.";
    SERIAL_NUMBER_LENGTH = 0x0000_0101, "Longest serial number, u8.";
    BAUD_RATE = 0x0000_0800, "Baud rate of the RS-232 port, u32.";
    SET_BAUD_RATE = 0x0000_0810, "Change the baud rate, u32.";
    FLOW_CONTROL = 0x0000_0804, "Flow control of the RS-232 port, u8: 0 none, 1 RTS/CTS.";
    SET_FLOW_CONTROL = 0x0000_0814, "Change the flow control, u8.";
    SAVE_RS232_SETTINGS = 0x0000_08F0, "Keep baud rate and flow control over a power cycle.";
    ABORT_ACQUISITION = 0x0010_0000, "Abort and go idle (QE Pro).";
    BUFFER_SIZE_MAX = 0x0010_0820, "Spectra the buffer can hold, u32.";
    BUFFER_SIZE = 0x0010_0822, "Spectra the buffer is set to hold, u32.";
    SET_BUFFER_SIZE = 0x0010_0832, "Change how many spectra the buffer holds, u32.";
    CLEAR_BUFFER = 0x0010_0830, "Forget all buffered spectra.";
    BUFFERED_SPECTRA = 0x0010_0900, "Spectra in the buffer, u32.";
    START_ACQUISITION = 0x0010_0902, "Acquire into the buffer.";
    IS_IDLE = 0x0010_0908, "Whether no acquisition runs, u8.";
    BUFFERED_SPECTRUM = 0x0010_0928, "The oldest buffered spectrum: 32 bytes of metadata and u32 pixels (QE Pro).";
    CORRECTED_SPECTRUM = 0x0010_1000, "A spectrum now, corrected on board, u16 pixels.";
    UNCORRECTED_SPECTRUM = 0x0010_1100, "A spectrum now, u16 pixels.";
    PARTIAL_SPECTRUM_MODE = 0x0010_2000, "Which pixels a partial spectrum has.";
    SET_PARTIAL_SPECTRUM_MODE = 0x0010_2010, "Choose them.";
    PARTIAL_SPECTRUM = 0x0010_2080, "A partial spectrum now, u16 pixels.";
    INTEGRATION_TIME = 0x0011_0000, "Integration time in us, u32.";
    INTEGRATION_TIME_MIN = 0x0011_0001, "Shortest integration time in us, u32.";
    INTEGRATION_TIME_MAX = 0x0011_0002, "Longest integration time in us, u32.";
    INTEGRATION_TIME_STEP = 0x0011_0003, "Step of the integration time in us, u32.";
    SET_INTEGRATION_TIME = 0x0011_0010, "Change the integration time, us, u32.";
    TRIGGER_MODE = 0x0011_0100, "Trigger mode, u8.";
    SET_TRIGGER_MODE = 0x0011_0110, "Change the trigger mode, u8.";
    PIXEL_COUNT = 0x0011_0220, "Pixels in a spectrum, u16 or u32.";
    LAMP_LINE = 0x0011_0400, "Lamp enable line, u8.";
    SET_LAMP_LINE = 0x0011_0410, "Drive the lamp enable line, u8.";
    SET_ACQUISITION_DELAY = 0x0011_0510, "Delay from trigger to exposure in us, u32.";
    SCANS_TO_AVERAGE = 0x0012_0000, "Scans averaged on board, u16.";
    SET_SCANS_TO_AVERAGE = 0x0012_0010, "Change them, u16.";
    BOXCAR = 0x0012_1000, "Half width of the on-board boxcar, u8.";
    SET_BOXCAR = 0x0012_1010, "Change it, u8.";
    WAVELENGTH_COEFFICIENT_COUNT = 0x0018_0100, "How many wavelength coefficients, u8.";
    WAVELENGTH_COEFFICIENT = 0x0018_0101, "Coefficient of the asked power, f32.";
    NONLINEARITY_COEFFICIENT_COUNT = 0x0018_1100, "How many nonlinearity coefficients, u8.";
    NONLINEARITY_COEFFICIENT = 0x0018_1101, "Coefficient of the asked power, f32.";
    STRAY_LIGHT_COEFFICIENT_COUNT = 0x0018_3100, "How many stray light coefficients, u8.";
    STRAY_LIGHT_COEFFICIENT = 0x0018_3101, "Coefficient of the asked index, f32.";
    TEMPERATURE_COUNT = 0x0040_0000, "How many temperature sensors, u8.";
    TEMPERATURE = 0x0040_0001, "One temperature in degrees Celsius, f32.";
    TEMPERATURES = 0x0040_0002, "All temperatures in degrees Celsius, f32 each.";
    TEC_ENABLED = 0x0042_0000, "Whether the thermoelectric cooler runs, u8.";
    TEC_SETPOINT = 0x0042_0001, "Its set point in degrees Celsius, f32.";
    TEC_STABLE = 0x0042_0003, "Whether the detector has reached it, u8.";
    TEC_TEMPERATURE = 0x0042_0004, "The detector's temperature in degrees Celsius, f32.";
    ENABLE_TEC = 0x0042_0010, "Switch the cooler, u8.";
    SET_TEC_SETPOINT = 0x0042_0011, "Change its set point, f32.";
    LIGHT_SOURCE_ENABLED = 0x0081_0021, "Whether a light source (the laser) is on, u8.";
    ENABLE_LIGHT_SOURCE = 0x0081_0031, "Switch a light source.";
    LIGHT_SOURCE_INTENSITY = 0x0081_0041, "Intensity of a light source, 0..1, f32.";
    SET_LIGHT_SOURCE_INTENSITY = 0x0081_0051, "Change it.";
}
