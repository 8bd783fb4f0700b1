//! Commands that this build was made without: they say so instead of being unknown.

use std::ffi::OsString;

use clap::Args;

use super::error::CommandError;

/// Not in this build
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true, disable_version_flag = true)]
pub(super) struct LeftOutArgs {
    /// Whatever the command would take
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// Says which feature the command needs. It is for whoever installs the program to mend.
pub(super) fn refused(command: &str, feature: &str) -> CommandError {
    CommandError::operator(format!(
        "this build of ramand has no `{command}`: it was built without the feature `{feature}`"
    ))
}
