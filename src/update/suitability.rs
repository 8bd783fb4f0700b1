//! Whether a model answers the question that is asked on this line, with the light this instrument gives.

use ramand_core::spectrum::ShiftAxis;
use ramand_model::manifest::{Manifest, Task};

use super::UpdateError;

/// How far the laser may be from the one the model was made for, nm. The axis is in shifts and forgives a laser that is
/// slightly off; sensitivity and fluorescence belong to a wavelength as diode lasers are sold: 532, 633, 785, 830 nm.
pub const LASER_DIFFERENCE_NM_MAX: f64 = 5.0;

/// Whether `new` gives the same kind of output as `old`: the same task, and the same unit or the same set of labels.
///
/// # Errors
/// Says what differs.
pub fn same_output(old: &Manifest, new: &Manifest) -> Result<(), UpdateError> {
    let task = |manifest: &Manifest| match manifest.task {
        Task::Regression => "regression".to_owned(),
        Task::Classification => "classification".to_owned(),
    };
    let labels = |manifest: &Manifest| {
        let mut labels = manifest.output.labels.clone().unwrap_or_default();
        labels.sort();
        labels.join(", ")
    };
    let unit = |manifest: &Manifest| manifest.output.unit.clone().unwrap_or_default();
    for (what, old, new) in
        [("task", task(old), task(new)), ("unit", unit(old), unit(new)), ("labels", labels(old), labels(new))]
    {
        if old != new {
            return Err(UpdateError::OtherOutput { what, new, old });
        }
    }
    Ok(())
}

/// Whether a measured axis covers the model's: preprocessing refuses to extrapolate.
///
/// # Errors
/// Says both ranges.
pub fn covered(measured: &ShiftAxis, new: &Manifest) -> Result<(), UpdateError> {
    let shifts = measured.per_cm();
    let measured = shifts.first().copied().zip(shifts.last().copied()).unwrap_or((f64::NAN, f64::NAN));
    let needed = (new.axis.first, new.axis.last);
    // Written so that NaN covers nothing.
    if measured.0 <= needed.0 && measured.1 >= needed.1 {
        return Ok(());
    }
    Err(UpdateError::Axis { needed, measured })
}

/// Whether the configured laser is the model's; a model made without a laser has none to compare.
///
/// # Errors
/// Says both wavelengths.
pub fn same_laser(configured_nm: f64, new: &Manifest) -> Result<(), UpdateError> {
    let model = new.laser_nm;
    if model == 0.0 || (model - configured_nm).abs() <= LASER_DIFFERENCE_NM_MAX {
        return Ok(());
    }
    Err(UpdateError::Laser { model, configured: configured_nm })
}
