//! The options of `ramand train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ramand_core::spectrum::ShiftAxis;
use ramand_lab::train::{CONFIDENCE, Family, Reference, STEPS};
use ramand_model::manifest::AbscissaRecord;

use crate::cli::description::DescriptionArgs;
use crate::cli::inputs::{ReferenceMapName, TaskName, parse_axis, parse_reference, parse_share};

/// More folds take longer than anybody waits.
pub(super) const FOLDS_MAX: u16 = 1000;

/// Train a model on labelled spectra and write it as a bundle
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(in crate::cli) struct TrainArgs {
    /// CSV file: id, label columns, then one column per Raman shift in cm-1; or a folder of JCAMP-DX and SPC files, or an
    /// .npy array of a row per spectrum, both with --labels
    #[arg(value_name = "SPECTRA")]
    pub(super) spectra: PathBuf,
    /// CSV file of labels for a folder or an array: file name or id, then label columns
    #[arg(long, value_name = "TABLE.csv")]
    pub(super) labels: Option<PathBuf>,
    /// Shifts of an array's columns
    #[arg(long, value_name = "AXIS.npy")]
    pub(super) shifts: Option<PathBuf>,
    /// What the spectra count in where their files do not say it
    #[arg(long, value_enum, default_value_t = AbscissaName::PerCm)]
    pub(super) abscissa: AbscissaName,
    /// What the target is: a quantity or a class
    #[arg(long, value_enum)]
    pub(super) task: TaskName,
    /// Label column to predict
    #[arg(long, value_name = "COLUMN")]
    pub(super) target: String,
    /// Label column that tells independent samples apart: rows with the same text are replicates of one sample. Without it, every
    /// row counts as a sample, and rows that look like replicates are refused
    #[arg(long, value_name = "COLUMN")]
    pub(super) group: Option<String>,
    /// Every row is an independent sample, however like another one it is
    #[arg(long, conflicts_with = "group")]
    pub(super) independent: bool,
    /// Label column of animals, batches or days: the samples of one are held out together, and are no replicates of each other
    #[arg(long, value_name = "COLUMN")]
    pub(super) block: Option<String>,
    /// Spectra to leave out, by identifier; @FILE names a file with an identifier a line. The manifest records them
    #[arg(long, value_name = "ID,...|@FILE", value_delimiter = ',')]
    pub(super) leave_out: Vec<String>,
    /// The model's axis: first and last Raman shift in cm-1 and number of points, as in 800:1800:251
    #[arg(long, value_name = "A:B:N", value_parser = parse_axis)]
    pub(super) axis: ShiftAxis,
    /// Folder to write the bundle to; it must not exist
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Fit nothing: attach, gate and calibrate this network, trained elsewhere
    #[arg(long, value_name = "FILE.onnx")]
    pub(super) init: Option<PathBuf>,
    /// With --init: the classes, in the order of the network's outputs
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', requires = "init")]
    pub(super) classes: Vec<String>,
    /// With --init: a value, a node or a weight of the layer to explain; auto is the last residual stage after its activation
    #[arg(long, value_name = "auto|NAME", requires = "init")]
    pub(super) layer: Option<String>,
    /// With --init: the output to explain, of a probability the score before it [default: the first]
    #[arg(long, value_name = "INDEX|NAME", requires = "init")]
    pub(super) output: Option<String>,
    /// Every random choice follows from this number
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// TOML file with [[pipeline]] and [[channel]] as in a bundle's manifest; given more than once, the best is chosen on
    /// held-out training samples [default: dark, resample, snv]
    #[arg(long, value_name = "FILE.toml")]
    pub(super) pipeline: Vec<PathBuf>,
    /// Input channels: the pipeline's own, or the spectrum without a polynomial background and its first derivative
    #[arg(long, value_enum, default_value_t = ChannelsName::Identity)]
    pub(super) channels: ChannelsName,
    /// What the model may be made of, one or several: the best is chosen on held-out training samples, the simplest of equals
    #[arg(long, value_enum, value_delimiter = ',', default_value = "auto")]
    pub(super) family: Vec<FamilyName>,
    /// Networks, started differently, whose mean is the model
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub(super) seeds: u16,
    /// Steps of gradient descent for each network: more for thousands of spectra, where 400 leave it behind what they hold
    #[arg(long, value_name = "N", default_value_t = STEPS, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub(super) steps: u32,
    /// TOML file with [[band]] entries: name, from, to
    #[arg(long, value_name = "FILE.toml")]
    pub(super) bands: Option<PathBuf>,
    /// Which spectra the difference map compares with: all, or those with a label, as in sunflower_pct=0
    #[arg(long, value_name = "all|COLUMN=VALUE", default_value = "all", value_parser = parse_reference)]
    pub(super) reference: Reference,
    /// What of theirs the difference map subtracts
    #[arg(long, value_enum, default_value_t = ReferenceMapName::MeanSpectrum)]
    pub(super) reference_map: ReferenceMapName,
    /// Unit of the quantity; a regression needs one
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) unit: String,
    #[command(flatten)]
    pub(super) description: DescriptionArgs,
    /// Parts the samples, or blocks, are split into for cross-validation; block leaves one block out at a time [default: 10, or one
    /// for each block where there are fewer]
    #[arg(long, value_name = "N|block", value_parser = parse_folds)]
    pub(super) folds: Option<Folds>,
    /// How often to cross-validate, each time split anew
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) repeats: u16,
    /// How often to do all again with labels permuted among the samples, as a control
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(super) permutations: u16,
    /// Nominal coverage of intervals and prediction sets, above 0 and below 1
    #[arg(long, value_name = "SHARE", default_value_t = CONFIDENCE, value_parser = parse_share)]
    pub(super) confidence: f64,
    /// Fits at a time; the result does not depend on it [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,
    /// Print the figures as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `--folds`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folds {
    /// So many.
    Parts(u16),
    /// One for each block.
    EachBlock,
}

fn parse_folds(text: &str) -> Result<Folds, String> {
    let parts = text.parse().ok().filter(|parts| (2..=FOLDS_MAX).contains(parts)).map(Folds::Parts);
    let each_block = (text == "block").then_some(Folds::EachBlock);
    parts.or(each_block).ok_or_else(|| format!("expected a number from 2 to {FOLDS_MAX}, or block"))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum AbscissaName {
    /// Raman shift or wavenumber in cm-1
    PerCm,
    /// Wavelength in nm: shifts from --laser-nm, or wavenumbers without a laser
    Nm,
}

impl From<AbscissaName> for AbscissaRecord {
    fn from(name: AbscissaName) -> Self {
        match name {
            AbscissaName::PerCm => Self::PerCm,
            AbscissaName::Nm => Self::Nm,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ChannelsName {
    /// What the pipeline says
    Identity,
    /// Background removed, and first derivative: for raw spectra with strong fluorescence
    Two,
    /// What is better on held-out training samples
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FamilyName {
    /// Any of the following
    Auto,
    /// Partial least squares
    Pls,
    /// Kernel ridge regression with a Gaussian kernel
    KernelRidge,
    /// A weighted mean of the two
    #[value(name = "pls+kernel-ridge")]
    PlsAndKernelRidge,
    /// PLS, and a network that learns what PLS leaves over
    #[value(name = "pls+network")]
    PlsAndNetwork,
    /// A network alone
    Network,
}

impl FamilyName {
    /// The families, the simplest first, each once.
    pub(super) fn families(names: &[Self]) -> Vec<Family> {
        let named = |name: &Self| match name {
            Self::Auto => Family::ALL.to_vec(),
            Self::Pls => vec![Family::Pls],
            Self::KernelRidge => vec![Family::KernelRidge],
            Self::PlsAndKernelRidge => vec![Family::PlsAndKernelRidge],
            Self::PlsAndNetwork => vec![Family::PlsAndNetwork],
            Self::Network => vec![Family::Network],
        };
        let mut families: Vec<Family> = names.iter().flat_map(named).collect();
        families.sort_unstable();
        families.dedup();
        families
    }
}
