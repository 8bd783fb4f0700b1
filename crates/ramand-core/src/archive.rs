//! A bundle as one file: a tar of plain files without folders, links or extensions.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{Archive, Builder, EntryType, Header};

use crate::failure::{Failure, Kind};

/// An archive is held in memory while it is checked, on a board that measures at the same time; bundles have below 1 MB.
pub const ARCHIVE_BYTES_MAX: u64 = 64 << 20;
/// A manifest names at most some 80 files.
pub const ENTRIES_MAX: usize = 96;
/// As in a manifest.
const NAME_BYTES_MAX: usize = 128;
/// Of one tar entry's name, without the extensions that are refused.
const TAR_NAME_BYTES_MAX: usize = 100;
/// Readable by everybody: weights are no secret.
const MODE: u32 = 0o644;

/// Why bytes are no archive of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a tar, or cut short.
    #[error("not a tar archive of a bundle")]
    Read(#[source] io::Error),
    /// More bytes than a bundle has.
    #[error("the archive holds more than {ARCHIVE_BYTES_MAX} bytes")]
    TooLarge,
    /// More files than a bundle has.
    #[error("the archive holds more than {ENTRIES_MAX} entries")]
    TooManyEntries,
    /// A folder, a link, a device, or an extension.
    #[error("'{name}' is {what}; an archive of a bundle holds plain files only: make it by `ramand model pack`")]
    NotAFile {
        /// Its name, as far as it is text.
        name: String,
        /// The kind of entry.
        what: &'static str,
    },
    /// A name that leaves the folder, or is none.
    #[error("'{name}' is no name of a file of a bundle: letters, digits, '-', '_' and '.', without a folder")]
    Name {
        /// As far as it is text.
        name: String,
    },
    /// The same name again.
    #[error("'{name}' is there twice")]
    Twice { name: String },
    /// A name tar has no room for.
    #[error("'{name}' is longer than the {TAR_NAME_BYTES_MAX} bytes that a tar entry's name has")]
    LongName { name: String },
}

impl Failure for ArchiveError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// The files of an archive by name. Nothing is written anywhere.
///
/// # Errors
/// When it is no tar, holds anything but plain files, or is larger than a bundle can be.
pub fn read(archive: impl Read) -> Result<BTreeMap<String, Vec<u8>>, ArchiveError> {
    let mut archive = Archive::new(archive.take(ARCHIVE_BYTES_MAX));
    let mut files = BTreeMap::new();
    let mut total = 0_u64;
    // Raw: no extension is interpreted, so that no two programs can read the archive differently.
    for (index, entry) in archive.entries().map_err(ArchiveError::Read)?.raw(true).enumerate() {
        if index == ENTRIES_MAX {
            return Err(ArchiveError::TooManyEntries);
        }
        let mut entry = entry.map_err(ArchiveError::Read)?;
        let bytes = entry.header().path_bytes().into_owned();
        let name = || String::from_utf8_lossy(&bytes).into_owned();
        if let Some(what) = other_than_a_file(entry.header().entry_type()) {
            return Err(ArchiveError::NotAFile { name: name(), what });
        }
        let name = std::str::from_utf8(&bytes)
            .ok()
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .ok_or_else(|| ArchiveError::Name { name: name() })?;
        let size = entry.header().entry_size().map_err(ArchiveError::Read)?;
        total = total.saturating_add(size);
        if total > ARCHIVE_BYTES_MAX {
            return Err(ArchiveError::TooLarge);
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(ArchiveError::Read)?;
        if content.len() as u64 != size {
            return Err(ArchiveError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        if files.insert(name.clone(), content).is_some() {
            return Err(ArchiveError::Twice { name });
        }
    }
    Ok(files)
}

/// The same bytes for the same files: sorted by name, without times and owners.
///
/// # Errors
/// When a name is too long for tar, or none that [`read`] accepts.
pub fn write(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, ArchiveError> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        if !is_plain(name) {
            return Err(ArchiveError::Name { name: name.clone() });
        }
        if name.len() > TAR_NAME_BYTES_MAX {
            return Err(ArchiveError::LongName { name: name.clone() });
        }
        let mut header = Header::new_ustar();
        header.set_path(name).map_err(ArchiveError::Read)?;
        header.set_size(content.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        builder.append(&header, content.as_slice()).map_err(ArchiveError::Read)?;
    }
    builder.into_inner().map_err(ArchiveError::Read)
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

/// What an entry is, unless it is a file.
fn other_than_a_file(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular => None,
        EntryType::Directory => Some("a folder"),
        EntryType::Symlink | EntryType::Link => Some("a link"),
        EntryType::Char | EntryType::Block | EntryType::Fifo => Some("a device"),
        _ => Some("an extension of tar"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry as an attacker writes it.
    fn entry(builder: &mut Builder<Vec<u8>>, name: &[u8], kind: EntryType, size: u64, content: &[u8]) {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_size(size);
        header.set_mode(0o4777);
        header.set_entry_type(kind);
        header.set_cksum();
        builder.append(&header, content).expect("in memory");
    }

    #[test]
    fn a_hostile_archive_is_refused_by_name() {
        let of = |entries: &[(&[u8], EntryType)]| {
            let mut builder = Builder::new(Vec::new());
            entries.iter().for_each(|(name, kind)| entry(&mut builder, name, *kind, 1, b"x"));
            builder.into_inner().expect("in memory")
        };
        let file = EntryType::Regular;
        let names = (0..=ENTRIES_MAX).map(|index| format!("f{index}")).collect::<Vec<_>>();
        let many = names.iter().map(|name| (name.as_bytes(), file)).collect::<Vec<_>>();
        let mut claims = Builder::new(Vec::new());
        entry(&mut claims, b"model.onnx", file, ARCHIVE_BYTES_MAX + 1, b"");
        let mut endless = Builder::new(Vec::new());
        entry(&mut endless, b"model.onnx", file, u64::MAX, b"");
        let whole = of(&[(b"model.onnx", file)]);
        let mut checksum = whole.clone();
        checksum[0] = b'n';
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (of(&[(b"../model.onnx", file)]), "'../model.onnx' is no name"),
            (of(&[(b"/etc/passwd", file)]), "'/etc/passwd' is no name"),
            (of(&[(b"folder/model.onnx", file)]), "is no name"),
            (of(&[(b".hidden", file)]), "is no name"),
            (of(&[(b"..", file)]), "is no name"),
            (of(&[(b"", file)]), "is no name"),
            (of(&[(b"a\xffb", file)]), "is no name"),
            (of(&[(b"model.onnx", EntryType::Symlink)]), "is a link"),
            (of(&[(b"model.onnx", EntryType::Link)]), "is a link"),
            (of(&[(b"model.onnx", EntryType::Char)]), "is a device"),
            (of(&[(b"model.onnx", EntryType::Fifo)]), "is a device"),
            (of(&[(b"folder", EntryType::Directory)]), "is a folder"),
            (of(&[(b"long", EntryType::GNULongName), (b"model.onnx", file)]), "is an extension"),
            (of(&[(b"pax", EntryType::XHeader), (b"model.onnx", file)]), "is an extension"),
            (of(&[(b"sparse", EntryType::GNUSparse)]), "is an extension"),
            (of(&[(b"twice", file), (b"twice", file)]), "'twice' is there twice"),
            (of(&many), "more than 96 entries"),
            (claims.into_inner().expect("in memory"), "more than"),
            (endless.into_inner().expect("in memory"), "not a tar"),
            (whole[..512].to_vec(), "not a tar"),
            (whole[..100].to_vec(), "not a tar"),
            (checksum, "not a tar"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes.as_slice()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{expected:?} is not in: {error}");
        }
        assert_eq!(read(whole.as_slice()).expect("a plain file").len(), 1);
        assert!(read(b"".as_slice()).expect("an empty archive").is_empty());
    }
}
