//! A Raman spectrometer that is not there: its physics, and its answers on a pseudo-terminal.
