//! Whether a prediction may be drawn, and what to do about it.
//!
//! ```text
//! RawSpectrum ----------> instrument_reasons --+
//! PreparedSpectrum -----> Gate::assess --------+--> verdict: invalid > reject > accept, with every reason
//! Prediction, map error, Rules ----------------+
//! ```

mod gate;
mod instrument;
mod verdict;

pub use gate::{COMPONENTS_MAX, Gate, GateError, PrincipalComponents};
pub use instrument::{InstrumentLimits, LaserProof, instrument_reasons, signal_counts, signal_to_noise};
pub use verdict::{COMPLETENESS_ERROR_MAX, Limit, LimitError, Output, Rules, Ungated, invalid, verdict};
