//! From a serial line to raw spectra: link, session, driver.
