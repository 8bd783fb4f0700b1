//! `ramand model`: what a bundle or an ONNX file holds, whether a bundle is what it claims, gradients for any network, and
//! which version of a bundle runs.

mod attach;
mod bundle;
mod candidate;
mod inspect;
mod install;
mod list;
mod pack;
mod report;
mod rollback;
mod verify;

use std::fs;
use std::io::Read;
use std::path::Path;

use clap::{Args, Subcommand};

use super::CommandError;
use crate::infer::ONNX_BYTES_MAX;

/// Look into model bundles and ONNX files, give networks their gradient, and replace the models of a line
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    Attach(attach::AttachArgs),
    Bundle(Box<bundle::BundleArgs>),
    Inspect(inspect::InspectArgs),
    Install(install::InstallArgs),
    List(list::ListArgs),
    Pack(pack::PackArgs),
    Rollback(rollback::RollbackArgs),
    Verify(verify::VerifyArgs),
}

/// Runs the command.
pub(super) fn run(args: &ModelArgs) -> Result<(), CommandError> {
    match &args.command {
        ModelCommand::Attach(args) => attach::run(args),
        ModelCommand::Bundle(args) => bundle::run(args),
        ModelCommand::Inspect(args) => inspect::run(args),
        ModelCommand::Install(args) => install::run(args),
        ModelCommand::List(args) => list::run(args),
        ModelCommand::Pack(args) => pack::run(args),
        ModelCommand::Rollback(args) => rollback::run(args),
        ModelCommand::Verify(args) => verify::run(args),
    }
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
