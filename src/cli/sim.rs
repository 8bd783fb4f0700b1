//! `ramand sim`: a simulated spectrometer on a pseudo-terminal, or a data set from the same physics.

use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use crate::sim::dataset::Recipe;

/// Simulate a Raman spectrometer on a pseudo-terminal, or write a training set made by its physics.
#[derive(Debug, Args)]
pub(super) struct SimArgs {
    /// Write a labelled, simulated training set to this CSV file instead of serving a device
    #[arg(long, value_name = "OUT.csv", requires = "recipe")]
    dataset: Option<PathBuf>,
    /// What the training set holds: oil-type, olive-adulteration, or a TOML file like models/recipes/oil-type.toml
    #[arg(long, requires = "dataset")]
    recipe: Option<String>,
    /// Independent samples in the training set, instead of the recipe's number
    #[arg(long, requires = "dataset")]
    samples: Option<usize>,
    /// Exposures of each sample, instead of the recipe's number
    #[arg(long, requires = "dataset")]
    replicates: Option<usize>,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// When the recipe or the output file cannot be used.
pub(super) fn run(args: &SimArgs) -> Result<(), CommandError> {
    let (Some(path), Some(recipe)) = (&args.dataset, &args.recipe) else {
        return Err(CommandError::operator("--dataset and --recipe say what to simulate"));
    };
    let mut recipe = Recipe::load(recipe)?;
    recipe.samples = args.samples.unwrap_or(recipe.samples);
    recipe.replicates = args.replicates.unwrap_or(recipe.replicates);
    Ok(recipe.write(path, args.seed)?)
}
