//! External data: initialisers whose numbers lie in files beside the ONNX file, as PyTorch writes those of larger networks.
//!
//! Such an initialiser says `location`, the file's name, and where in it its bytes are: `offset`, 0 by default, and `length`,
//! by default the rest of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use crate::error::GradientError;
use crate::onnx::tensor_proto::DataLocation;
use crate::onnx::{ModelProto, TensorProto};

/// Bytes of all such initialisers together: several may share a stretch of one file, so that the files' sizes limit nothing.
const BYTES_MAX: usize = 64 << 20;

/// The names of the files beside the ONNX file that hold numbers of it.
///
/// # Errors
/// [`GradientError::Initializer`] when a location is anything but the name of a file in the same folder.
pub fn side_files(model: &ModelProto) -> Result<BTreeSet<String>, GradientError> {
    let initializers = &model.graph.initializer;
    initializers.iter().filter(|tensor| is_outside(tensor)).map(|tensor| location(tensor).map(str::to_owned)).collect()
}

/// Loads the numbers that lie in `files`, by the files' names, into their initialisers: what `load_external_data_for_model` of
/// the Python package does.
///
/// # Errors
/// [`GradientError::Initializer`] when a file is missing or shorter than an initialiser says, [`GradientError::TooMany`] when
/// all of them have more than 64 MiB.
pub fn load(model: &mut ModelProto, files: &BTreeMap<String, Vec<u8>>) -> Result<(), GradientError> {
    let mut taken = 0_usize;
    let initializers = model.graph.as_option_mut().into_iter().flat_map(|graph| &mut graph.initializer);
    for tensor in initializers {
        if !is_outside(tensor) {
            continue;
        }
        let name = location(tensor)?;
        let file = files.get(name).ok_or_else(|| outside(tensor))?;
        let offset = number(tensor, "offset")?.unwrap_or(0);
        let length = number(tensor, "length")?.unwrap_or_else(|| file.len().saturating_sub(offset));
        let bytes = offset.checked_add(length).and_then(|end| file.get(offset..end)).ok_or_else(|| {
            fault(tensor, format!("{length} bytes from byte {offset} of '{name}', which has {}", file.len()))
        })?;
        taken = taken.saturating_add(length);
        if taken > BYTES_MAX {
            let (found, limit) = (taken as u64, BYTES_MAX as u64);
            return Err(GradientError::TooMany { what: "bytes of initialisers in other files", found, limit });
        }
        tensor.raw_data = bytes.to_vec();
        tensor.external_data.clear();
        tensor.data_location = DataLocation::Default.into();
    }
    Ok(())
}

/// Whether an initialiser's numbers are not in the ONNX file.
pub(super) fn is_outside(tensor: &TensorProto) -> bool {
    !tensor.external_data.is_empty() || tensor.data_location != DataLocation::Default
}

/// What an initialiser is refused with whose numbers were not brought along.
pub(super) fn outside(tensor: &TensorProto) -> GradientError {
    let place = entry(tensor, "location").unwrap_or("another file");
    fault(tensor, format!("its numbers are in '{place}', which is not there: keep it in the folder of the ONNX file"))
}

fn fault(tensor: &TensorProto, problem: String) -> GradientError {
    GradientError::Initializer { name: tensor.name.clone(), problem }
}

fn entry<'t>(tensor: &'t TensorProto, key: &str) -> Option<&'t str> {
    tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<usize>, GradientError> {
    let parse = |text: &str| text.parse().map_err(|_| fault(tensor, format!("'{key}' of its numbers is '{text}'")));
    entry(tensor, key).map(parse).transpose()
}

/// A file's name and nothing else: a path could lead anywhere.
fn location(tensor: &TensorProto) -> Result<&str, GradientError> {
    let given = entry(tensor, "location").unwrap_or_default();
    let mut parts = Path::new(given).components();
    match (parts.next(), parts.next()) {
        // "a/" and "a/." have one component as well.
        (Some(Component::Normal(name)), None) if name == given && !given.contains(['\\', ':', '\0']) => Ok(given),
        _ => {
            Err(fault(tensor, format!("its numbers are in '{given}', which is no file of the ONNX file's own folder")))
        }
    }
}
