//! Reports as files, whole or not at all.

use std::path::Path;

use ramand_lab::evaluate::document::Document;
use ramand_lab::evaluate::render;

use crate::cli::error::CommandError;

/// What a report file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    Markdown,
}

impl Format {
    /// By the file's ending.
    pub(super) fn of(path: &Path) -> Result<Self, CommandError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("html") => Ok(Self::Html),
            Some("json") => Ok(Self::Json),
            Some("md") => Ok(Self::Markdown),
            _ => {
                Err(CommandError::operator(format!("{}: a report's name ends in .html, .md or .json", path.display())))
            }
        }
    }

    pub(super) fn render(self, document: &Document) -> String {
        match self {
            Self::Html => render::html(document),
            Self::Json => format!("{:#}\n", render::json(document)),
            Self::Markdown => render::markdown(document),
        }
    }
}

/// Writes the whole file or nothing: beside its place first.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::operator(format!("failed to write {}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    // A report is for everybody who may read the folder; temporary files are for their maker alone.
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(everybody).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}
