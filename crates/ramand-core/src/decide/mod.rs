//! Whether a prediction may be drawn, and what to do about it.
//!
//! ```text
//! RawSpectrum ----------> instrument_reasons --+
//! PreprocessedSpectrum -> Gate::assess --------+--> verdict: invalid > reject > accept, with every reason
//! Prediction, map error, Rules ----------------+
//!     with the interval or set that held-out scores give (conformal)
//! ```

mod classes;
pub mod conformal;
mod gate;
mod gate_error;
mod instrument;
mod limit;
mod project;
#[cfg(test)]
mod tests;
mod verdict;

pub use classes::{Classes, VARIATES_MAX, distance};
pub use gate::{Gate, PrincipalComponents, nonconformity};
pub use gate_error::{COMPONENTS_MAX, GateError};
pub use instrument::{InstrumentLimits, LaserProof, instrument_reasons, signal_counts, signal_to_noise};
pub use limit::{Limit, LimitError, Output};
pub use verdict::{COMPLETENESS_ERROR_MAX, Guard, Rules, SIGNIFICANCE, Ungated, invalid, verdict};
