//! What tract's own optimiser leaves on the table in graphs as small as networks of spectra with their gradient: there a node costs
//! what it costs, however little it computes, and several that always come together are better one.

mod convolution;
mod interleave;
mod map;
mod patch;
mod slope;
mod winner;

use tract_onnx::prelude::{InferenceModel, InferenceModelExt};
use tract_onnx::tract_core::internal::*;

pub(super) use convolution::kernel_name;

/// The graph as it runs fastest on this processor.
///
/// # Errors
/// When tract cannot shape or optimise it.
pub fn optimised(model: InferenceModel) -> TractResult<TypedModel> {
    let mut model = model.into_typed()?;
    // Offsets come through a conversion that is not calculated yet.
    model.prop_consts()?;
    // Decluttering would make a matrix product of a kernel of one point, and cut its stride out before. The others it simplifies.
    convolution::lower(&mut model, |kernel| kernel == 1)?;
    let mut model = model.into_decluttered()?;
    convolution::lower(&mut model, |_| true)?;
    // A map first: the winner's row is a part of it.
    map::lower(&mut model)?;
    winner::lower(&mut model)?;
    slope::lower(&mut model)?;
    interleave::lower(&mut model)?;
    let mut model = model.into_optimized()?;
    map::read_in_place(&mut model)?;
    Ok(model)
}
