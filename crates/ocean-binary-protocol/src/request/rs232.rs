//! The serial port of the device itself.

use super::{commands, settings};

settings! {
    /// Changes the baud rate. The acknowledgement still comes at the old rate; when exactly the device switches is documented
    /// nowhere, so verify the new rate with a cheap question.
    SetBaudRate {
        /// Bits per second. QE Pro: 9600, 19200, 38400, 57600, 115200, 230400; STS: to 115200 at least.
        baud: u32
    }: SET_BAUD_RATE;
}

commands! {
    /// Keeps the port's settings over a power cycle. Verify a new rate before: a rate that does not work would be kept as well.
    SaveRs232Settings: SAVE_RS232_SETTINGS;
}
