//! Methods of explanation compared on the same networks, with measures whose best value is known beforehand.
//!
//! ```text
//! task ─┬─ training spectra ─> networks of several kinds and seeds ─> exported graph with gradients ─┐
//!       ├─ other spectra ────────────────────────────────> maps by every method, bands replaced ──> measures ─> table
//!       └─ simulated: noise-free spectra ─> where the classes, or the ends of a blend, truly differ ───┘
//! ```
//! A random map stands beside the methods, so that it is seen what a measure gives for nothing, and occlusion, which asks the
//! network itself.

mod error;
mod material;
mod measures;
mod method;
mod randomise;
mod segments;
mod subject;
mod table;
#[cfg(test)]
mod tests;
mod trial;

pub use error::MethodsError;
pub use material::Material;
pub use table::{Compared, ComparisonPlan, compare};
pub use trial::{Effort, NetworkKind};
