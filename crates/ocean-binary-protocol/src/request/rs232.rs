//! The serial port of the device itself.

use super::{commands, queries, settings};

queries! {
    /// The baud rate.
    BaudRate: BAUD_RATE -> u32;
}

settings! {
    /// Changes the baud rate; the acknowledgement still comes at the old one.
    SetBaudRate {
        /// Bits per second.
        baud: u32
    }: SET_BAUD_RATE;
}

commands! {
    /// Keeps the port's settings over a power cycle.
    SaveRs232Settings: SAVE_RS232_SETTINGS;
}
