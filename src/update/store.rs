//! Versions side by side, and links that say which one runs.
//!
//! ```text
//! models/audit.jsonl            the trail (`audit`)
//! models/.lock                  held by whoever changes the store
//! models/.incoming/             a version that is being written
//! models/oil-type/1.0.0/        a version; it never changes
//! models/oil-type/1.1.0/
//! models/oil-type/.damaged-1.0.0/   what an installation of the same version replaced
//! models/oil-type/current  -> 1.1.0
//! models/oil-type/previous -> 1.0.0
//! ```
//! A version appears whole, by a rename of its synced folder, and `current` changes by a rename of a link: whenever the
//! power fails, `current` leads to the old version or to the new one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf, absolute};

use ramand_core::failure;
use ramand_model::Bundle;
use ramand_model::manifest::MANIFEST_BYTES_MAX;

use super::keyring::read_limited;
use super::package::{MANIFEST, Package, SIGNATURE};
use super::{UpdateError, audit, sha256};
use crate::supervise::ProcessLock;

/// The link to the version that runs.
pub(super) const CURRENT: &str = "current";
/// The link to the version that ran before it.
pub(super) const PREVIOUS: &str = "previous";
/// The link that is renamed to one of them.
const NEXT: &str = ".next";
/// Where a version is written.
const INCOMING: &str = ".incoming";
/// Before the version of one whose files were found damaged, beside the good ones.
const DAMAGED: &str = ".damaged-";
/// Whose holder changes the store.
const LOCK: &str = ".lock";
/// The daemon's user reads what another one installed.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
/// Folders of the store that are looked at: a store has a handful of models with a handful of versions.
const LISTED_MAX: usize = 1_000;

/// A step that has been taken and is on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreStep {
    /// The files of the new version are written.
    Written,
    /// The new version is one of the versions.
    Admitted,
    /// `previous` leads to the version that still runs.
    Remembered,
    /// `current` leads to the new version.
    Switched,
    /// `previous` is gone after a way back.
    Forgotten,
}

impl std::fmt::Display for StoreStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Written => "the files are written",
            Self::Admitted => "the version is in the store",
            Self::Remembered => "the way back is remembered",
            Self::Switched => "the store leads to the version",
            Self::Forgotten => "the version before is forgotten",
        })
    }
}

/// The store, open for one change.
pub struct Store {
    root: PathBuf,
    /// Told of every step.
    told: fn(StoreStep),
    /// Held until the end: one changing process per store.
    _lock: ProcessLock,
}

/// A version in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its model.
    pub name: String,
    pub version: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether `current` leads to it.
    pub current: bool,
    /// Whether `previous` leads to it.
    pub previous: bool,
}

impl Store {
    /// Opens the store at `root`, or makes it. `told` hears of every step.
    ///
    /// # Errors
    /// When the folder is somebody else's, cannot be written, or another process changes it.
    pub fn open(root: &Path, told: fn(StoreStep)) -> Result<Self, UpdateError> {
        check_owner(root)?;
        make_folder(root)?;
        let path = root.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW);
        let lock = options.open(&path).map_err(write_failed(&path))?;
        let lock = ProcessLock::take(lock).map_err(|error| match error {
            fs::TryLockError::WouldBlock => UpdateError::Busy { root: root.to_owned() },
            fs::TryLockError::Error(source) => write_failed(&path)(source),
        })?;
        Ok(Self { root: root.to_owned(), told, _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a version, there or not.
    pub fn folder(&self, name: &str, version: &str) -> PathBuf {
        self.root.join(name).join(version)
    }

    /// The version that runs.
    pub fn current(&self, name: &str) -> Option<String> {
        link(&self.root.join(name).join(CURRENT))
    }

    /// The version that ran before it: none where both links lead to the same, which an interrupted switch leaves behind.
    pub fn previous(&self, name: &str) -> Option<String> {
        link(&self.root.join(name).join(PREVIOUS)).filter(|previous| Some(previous) != self.current(name).as_ref())
    }

    /// Writes the files of a checked package where nothing runs them, and answers the folder.
    ///
    /// # Errors
    /// When a name is the store's own, the version is there with other content, or writing fails.
    pub fn stage(&self, package: &Package) -> Result<PathBuf, UpdateError> {
        let (name, version) = (&package.manifest.name, &package.manifest.version);
        for (word, taken, what) in
            [(name, [audit::FILE].as_slice(), "name"), (version, [CURRENT, PREVIOUS].as_slice(), "version")]
        {
            if taken.contains(&word.as_str()) {
                return Err(UpdateError::Reserved { name: word.clone(), what });
            }
        }
        let installed = self.folder(name, version).join(MANIFEST);
        if installed.exists() {
            let found = sha256(&read_limited(&installed, MANIFEST_BYTES_MAX)?);
            if found != package.sha256 {
                let (name, version, new) = (name.clone(), version.clone(), package.sha256.clone());
                return Err(UpdateError::VersionTaken { name, version, found, new });
            }
        }
        self.discard()?;
        let folder = self.root.join(INCOMING);
        make_folder(&folder)?;
        for (file, content) in &package.files {
            write_file(&folder.join(file), content)?;
        }
        sync(&folder)?;
        (self.told)(StoreStep::Written);
        Ok(folder)
    }

    /// Removes what was staged.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self) -> Result<(), UpdateError> {
        remove(&self.root.join(INCOMING))
    }

    /// Makes what was staged a version of its model. Where the version is there already, only its signature is renewed; where
    /// its files are damaged, it is set aside for what was staged.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn admit(&self, package: &Package) -> Result<(), UpdateError> {
        let (name, version) = (&package.manifest.name, &package.manifest.version);
        let (of_model, folder) = (self.root.join(name), self.folder(name, version));
        let mut there = folder.join(MANIFEST).exists();
        if let Some(damage) = there.then(|| Bundle::open(&folder).err()).flatten() {
            // Interrupted here, `current` may lead nowhere: no worse than to what does not start either.
            let aside = of_model.join(format!("{DAMAGED}{version}"));
            remove(&aside)?;
            fs::rename(&folder, &aside).map_err(write_failed(&aside))?;
            tracing::error!(why = failure::chain(&damage), aside = %aside.display(), "the version was damaged in the store");
            there = false;
        }
        if there {
            let (from, to) = (self.root.join(INCOMING).join(SIGNATURE), folder.join(SIGNATURE));
            fs::rename(&from, &to).map_err(write_failed(&to))?;
            sync(&folder)?;
            self.discard()?;
        } else {
            make_folder(&of_model)?;
            fs::rename(self.root.join(INCOMING), &folder).map_err(write_failed(&folder))?;
        }
        sync(&of_model)?;
        sync(&self.root)?;
        (self.told)(StoreStep::Admitted);
        Ok(())
    }

    /// Makes `version` the current one, and the current one the previous one.
    ///
    /// # Errors
    /// When a link cannot be written: `current` leads to the version before or to the new one.
    pub fn switch(&self, name: &str, version: &str) -> Result<(), UpdateError> {
        // First the way back: interrupted here, both links lead to the version that still runs.
        if let Some(current) = self.current(name).filter(|current| current != version) {
            self.point(name, PREVIOUS, &current)?;
            (self.told)(StoreStep::Remembered);
        }
        self.point(name, CURRENT, version)?;
        (self.told)(StoreStep::Switched);
        Ok(())
    }

    /// The version a way back leads to: `to`, or the previous one.
    ///
    /// # Errors
    /// When there is none.
    pub fn way_back(&self, name: &str, to: Option<&str>) -> Result<String, UpdateError> {
        let versions: Vec<String> =
            versions(&self.root)?.into_iter().filter(|found| found.name == name).map(|found| found.version).collect();
        let known = || if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
        let version = match to {
            Some(version) => version.to_owned(),
            None => {
                let none = || UpdateError::NoPrevious { name: name.to_owned(), known: known() };
                self.previous(name).ok_or_else(none)?
            }
        };
        if versions.contains(&version) {
            return Ok(version);
        }
        Err(UpdateError::NoVersion { name: name.to_owned(), version, known: known() })
    }

    /// Makes `version` the current one and forgets the previous one: going back twice does not lead forward again.
    ///
    /// # Errors
    /// As [`Store::switch`].
    pub fn roll_back(&self, name: &str, version: &str) -> Result<(), UpdateError> {
        self.point(name, CURRENT, version)?;
        (self.told)(StoreStep::Switched);
        let previous = self.root.join(name).join(PREVIOUS);
        match fs::remove_file(&previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write_failed(&previous)(error)),
            _ => sync(&self.root.join(name))?,
        }
        (self.told)(StoreStep::Forgotten);
        Ok(())
    }

    /// Replaces a link in one step.
    fn point(&self, name: &str, which: &str, version: &str) -> Result<(), UpdateError> {
        let folder = self.root.join(name);
        let (next, link) = (folder.join(NEXT), folder.join(which));
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write_failed(&next)(error)),
            _ => {}
        }
        symlink(version, &next).map_err(write_failed(&next))?;
        fs::rename(&next, &link).map_err(write_failed(&link))?;
        sync(&folder)
    }
}

/// Every version in the store at `root`, by name and version; none where there is no store.
///
/// # Errors
/// When a folder cannot be read.
pub fn versions(root: &Path) -> Result<Vec<Version>, UpdateError> {
    let mut found = Vec::new();
    for name in folders(root)? {
        let of_model = root.join(&name);
        let link = |which: &str| link(&of_model.join(which));
        let (current, previous) = (link(CURRENT), link(PREVIOUS));
        for version in folders(&of_model)? {
            let is = |link: &Option<String>| link.as_ref() == Some(&version);
            let (current, previous) = (is(&current), is(&previous) && !is(&current));
            let folder = of_model.join(&version);
            found.push(Version { name: name.clone(), version, folder, current, previous });
        }
    }
    Ok(found)
}

/// The names of the real folders in one, without hidden ones, sorted.
fn folders(path: &Path) -> Result<Vec<String>, UpdateError> {
    let failed = |source| UpdateError::Read { path: path.to_owned(), source };
    let listing = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in listing.take(LISTED_MAX) {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string();
        if let Some(name) = name.ok().filter(|name| !name.starts_with('.'))
            && entry.file_type().map_err(failed)?.is_dir()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The version a link leads to; none where there is no link, or it leads out of its folder.
fn link(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?.into_os_string().into_string().ok()?;
    (!target.contains('/') && !target.starts_with('.')).then_some(target)
}

/// Root follows no links of others: in a folder of another user only that user changes the store.
fn check_owner(root: &Path) -> Result<(), UpdateError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| UpdateError::Read { path, source }
    };
    let root = absolute(root).map_err(failed(root))?;
    // The folder of this process belongs to its effective user.
    let own = Path::new("/proc/self");
    let user = fs::metadata(own).map_err(failed(own))?.uid();
    let existing = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let owner = fs::metadata(existing).map_err(failed(existing))?.uid();
    if user == 0 && owner != 0 {
        return Err(UpdateError::NotTheOwner { path: existing.to_owned(), owner });
    }
    Ok(())
}

/// A folder with what is in it, there or not.
fn remove(folder: &Path) -> Result<(), UpdateError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_failed(folder)(error)),
        _ => Ok(()),
    }
}

/// A folder and those above it, readable by everybody whatever the mask is; an existing one stays as it is.
fn make_folder(path: &Path) -> Result<(), UpdateError> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(write_failed(path))?;
    fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(write_failed(path))?;
    path.parent().map_or(Ok(()), sync)
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), UpdateError> {
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(FILE_MODE).open(path)?;
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(write_failed(path))
}

/// Names in a folder are on the medium when this returns.
fn sync(folder: &Path) -> Result<(), UpdateError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write_failed(folder))
}

fn write_failed(path: &Path) -> impl Fn(io::Error) -> UpdateError + use<> {
    let path = path.to_owned();
    move |source| UpdateError::Write { path: path.clone(), source }
}
