//! `ramand model`: what a bundle or an ONNX file holds, whether a bundle is what it claims, gradients for any network, and
//! which version of a bundle runs.

mod attach;
#[cfg(feature = "lab")]
mod bundle;
mod candidate;
mod card;
mod inspect;
mod install;
mod list;
mod pack;
mod report;
mod rollback;
mod verify;

use clap::{Args, Subcommand};

use super::error::CommandError;

/// Look into model bundles and ONNX files, give networks their gradient, and replace the models of a line
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    Attach(attach::AttachArgs),
    #[cfg(feature = "lab")]
    Bundle(Box<bundle::BundleArgs>),
    #[cfg(not(feature = "lab"))]
    Bundle(super::left_out::LeftOutArgs),
    Card(card::CardArgs),
    Inspect(inspect::InspectArgs),
    Install(install::InstallArgs),
    List(list::ListArgs),
    Pack(pack::PackArgs),
    Rollback(rollback::RollbackArgs),
    Verify(verify::VerifyArgs),
}

pub(super) fn run(args: &ModelArgs) -> Result<(), CommandError> {
    match &args.command {
        ModelCommand::Attach(args) => attach::run(args),
        #[cfg(feature = "lab")]
        ModelCommand::Bundle(args) => bundle::run(args),
        #[cfg(not(feature = "lab"))]
        ModelCommand::Bundle(_) => Err(super::left_out::refused("model bundle", "lab")),
        ModelCommand::Card(args) => card::run(args),
        ModelCommand::Inspect(args) => inspect::run(args),
        ModelCommand::Install(args) => install::run(args),
        ModelCommand::List(args) => list::run(args),
        ModelCommand::Pack(args) => pack::run(args),
        ModelCommand::Rollback(args) => rollback::run(args),
        ModelCommand::Verify(args) => verify::run(args),
    }
}
