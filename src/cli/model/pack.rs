//! `ramand model pack`: a bundle as one signed file.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use ramand_core::signature::SigningKey;

use crate::cli::error::CommandError;
use crate::update::Package;

/// A private key in PEM has 119 bytes.
const KEY_BYTES_MAX: usize = 16 << 10;

/// Sign a bundle and put it into one file, for `ramand model install`
///
/// The same bundle and key always give the same bytes. Keys are made by `openssl genpkey -algorithm ed25519 -out KEY.pem`;
/// what stations need of them is the public half, `openssl pkey -in KEY.pem -pubout -out PUBLIC.pem`.
#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// A bundle's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The signer's private key, PEM
    #[arg(long, value_name = "KEY.pem")]
    key: PathBuf,
    /// The archive; one of that name is replaced
    #[arg(long, value_name = "BUNDLE.tar")]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the folder is no bundle, the key is none, or the archive cannot be written.
pub(super) fn run(args: &PackArgs) -> Result<(), CommandError> {
    let unreadable =
        |error: std::io::Error| CommandError::operator(format!("failed to read {}: {error}", args.key.display()));
    let pem = std::fs::read(&args.key).map_err(unreadable)?;
    if pem.len() > KEY_BYTES_MAX {
        return Err(CommandError::operator(format!("{} is too long for a key", args.key.display())));
    }
    let key = SigningKey::from_pem(&pem)
        .map_err(|error| CommandError::from(error).context(args.key.display().to_string()))?;
    let (package, bytes) = Package::pack(&args.folder, &key)?;
    write(&args.out, &bytes)
        .map_err(|error| CommandError::operator(format!("failed to write {}: {error}", args.out.display())))?;
    let manifest = &package.manifest;
    println!("{} {}, sha256 {}", manifest.name, manifest.version, package.sha256);
    println!("signed by key {}, {} files, {} bytes", package.key, package.files.len(), bytes.len());
    Ok(())
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A temporary file is private unless told otherwise; the mask of the user still applies.
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
