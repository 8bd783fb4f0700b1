//! Networks as ONNX files hold them, with the files beside that hold their numbers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use onnx_gradient::external::{self, side_files};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{GradientError, proto};
use ramand_model::{GradientFailure, ONNX_BYTES_MAX};

use super::error::CommandError;

/// A network of an ONNX file, and of the files beside it where it keeps numbers there.
pub(super) struct Loaded {
    pub(super) model: ModelProto,
    /// The ONNX file.
    pub(super) bytes: Vec<u8>,
    /// Whether there were others.
    #[cfg(feature = "lab")]
    gathered: bool,
}

#[cfg(feature = "lab")]
impl Loaded {
    /// One file in any case: its hash is the network's identity.
    pub(super) fn into_one_file(self) -> Vec<u8> {
        if self.gathered { proto::encode(&self.model) } else { self.bytes }
    }
}

/// Reads a network within the limits of such files, with the files beside it that it names.
///
/// # Errors
/// Names the file, and what is wrong with it.
pub(super) fn load(path: &Path) -> Result<Loaded, CommandError> {
    let bytes = read(path)?;
    let named =
        |error: GradientError| CommandError::from(GradientFailure::from(error)).context(path.display().to_string());
    let mut model = proto::decode(&bytes).map_err(named)?;
    let names = side_files(&model).map_err(named)?;
    let mut files = BTreeMap::new();
    let mut left = ONNX_BYTES_MAX;
    for name in &names {
        let file = path.with_file_name(name);
        // What is missing is reported with the initialiser that asks for it.
        let Ok(metadata) = fs::symlink_metadata(&file) else { continue };
        if !metadata.is_file() || metadata.len() > left {
            let problem = format!(
                "{}: {} is no file, or all of them exceed {ONNX_BYTES_MAX} bytes",
                path.display(),
                file.display()
            );
            return Err(CommandError::operator(problem));
        }
        let content = read(&file)?;
        left = left.saturating_sub(content.len() as u64);
        files.insert(name.clone(), content);
    }
    external::load(&mut model, &files).map_err(named)?;
    Ok(Loaded {
        model,
        bytes,
        #[cfg(feature = "lab")]
        gathered: !names.is_empty(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let failed = |error: std::io::Error| CommandError::operator(format!("failed to read {}: {error}", path.display()));
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > ONNX_BYTES_MAX {
        let problem = format!("{} is not a file of at most {ONNX_BYTES_MAX} bytes", path.display());
        return Err(CommandError::operator(problem));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(failed)?.take(ONNX_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
