//! From raw to prepared spectra: one ordered pipeline, the same for training and for the line.
