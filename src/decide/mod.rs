//! Whether a prediction may be drawn, and what to do about it.
