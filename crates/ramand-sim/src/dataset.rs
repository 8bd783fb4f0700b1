//! Labelled spectra for training, made by the same instruments that answer on the simulated line.
//!
//! A recipe (TOML) says what the samples are; each replicate is one exposure on one of several units of the family: light
//! minus dark counts, corrected by the unit's nonlinearity polynomial, interpolated from the pixels onto 201..=1999 cm⁻¹
//! in steps of 2. Columns: `id`, `sample`, `instrument`, the label, of blends the `adulterant`'s name, then the shifts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ramand_core::failure::{Failure, Kind};
use ramand_core::spectrum::ShiftAxis;
use ramand_recording::{RecordedSpectrum, Recording};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Deserialize;

use super::bands::blurred_library;
use super::instrument::DatasetInstrument;
use super::interpolate::linear;
use super::oils::{Oil, Specimen};
use super::profile::InstrumentFamily;

/// Spectra in one file: far above any calibration set, and a gigabyte of text.
const SPECTRA_MAX: usize = 100_000;

/// Instruments in one set: each costs a few megabytes and milliseconds.
const INSTRUMENTS_MAX: usize = 1_000;

/// First shift, last shift and step of the grid, cm⁻¹: about a pixel's width, and odd, so that a model's axis of even shifts
/// takes the mean of whole neighbours, as many as it finds on a detector. A grid that made the training set less noisy than
/// the line would set the gates too tight.
const GRID_PER_CM: [u32; 3] = [201, 1999, 2];

/// The column that names a blend's other oil.
const ADULTERANT: &str = "adulterant";

/// What it says of the pure base.
const NO_ADULTERANT: &str = "none";

/// The recipes that come with the program, by name.
const BUILT_IN: [(&str, &str); 3] = [
    ("oil-type", include_str!("../../../models/recipes/oil-type.toml")),
    ("olive-adulteration", include_str!("../../../models/recipes/olive-adulteration.toml")),
    ("olive-sunflower", include_str!("../../../models/recipes/olive-sunflower.toml")),
];

/// Why no data set was written.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Neither a built-in recipe nor a readable file.
    #[error("failed to read the recipe '{recipe}' (built in: oil-type, olive-adulteration, olive-sunflower)")]
    Read {
        /// Name or path asked for.
        recipe: String,
        /// Why the file could not be read.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, or not a recipe.
    #[error("failed to understand the recipe '{recipe}'")]
    Parse {
        /// The recipe's name or path, as it was asked for.
        recipe: String,
        /// Which line, and what is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// A value no data set can be made from.
    #[error("recipe '{recipe}': {what}")]
    Invalid {
        /// The recipe's name or path, as it was asked for.
        recipe: String,
        /// Which key, and what it must be.
        what: String,
    },
    /// The file cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the operating system says about it.
        #[source]
        source: std::io::Error,
    },
}

impl Failure for DatasetError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// What a recipe file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeFile {
    label: String,
    samples: usize,
    replicates: usize,
    instruments: usize,
    profile: String,
    exposure_ms: [f64; 2],
    background: Option<f64>,
    classes: Option<ClassesFile>,
    blend: Option<BlendFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassesFile {
    oils: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlendFile {
    base: String,
    adulterants: Vec<String>,
    pure_share: f64,
    adulterant_share: f64,
    dense_share: f64,
    dense_below_pct: f64,
}

/// What a labelled set is made of. Sizes may be changed before it is made.
#[derive(Debug)]
pub struct Recipe {
    /// Independent samples.
    pub samples: usize,
    /// Exposures of each sample.
    pub replicates: usize,
    name: String,
    label: String,
    instruments: usize,
    profile: InstrumentFamily,
    exposure_ms: [f64; 2],
    background: Option<f64>,
    content: DatasetContent,
}

#[derive(Debug)]
enum DatasetContent {
    Classes(Vec<&'static Oil>),
    Blend { base: &'static Oil, adulterants: Vec<&'static Oil>, share: Shares },
}

/// How blends are distributed.
#[derive(Debug)]
struct Shares {
    pure: f64,
    adulterant: f64,
    dense: f64,
    dense_below_pct: f64,
}

impl Recipe {
    /// A built-in recipe by name, otherwise the file at that path.
    ///
    /// # Errors
    /// When there is no such recipe, or a value in it makes no sense.
    pub fn load(recipe: &str) -> Result<Self, DatasetError> {
        let text = match BUILT_IN.iter().find(|(name, _)| *name == recipe) {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(recipe)
                .map_err(|source| DatasetError::Read { recipe: recipe.to_owned(), source })?,
        };
        Self::parse(recipe, &text)
    }

    fn parse(recipe: &str, text: &str) -> Result<Self, DatasetError> {
        let file: RecipeFile =
            toml::from_str(text).map_err(|source| DatasetError::Parse { recipe: recipe.to_owned(), source })?;
        let invalid = |what: String| DatasetError::Invalid { recipe: recipe.to_owned(), what };
        let oil = |name: &String| {
            let known = || Oil::all().iter().map(|oil| oil.name).collect::<Vec<_>>().join(", ");
            Oil::named(name).ok_or_else(|| invalid(format!("there is no oil '{name}'; there are: {}", known())))
        };
        let content = match (file.classes, file.blend) {
            (Some(classes), None) => {
                let oils = classes.oils.iter().map(oil).collect::<Result<Vec<_>, _>>()?;
                if oils.is_empty() {
                    return Err(invalid("[classes] oils must name at least one oil".to_owned()));
                }
                DatasetContent::Classes(oils)
            }
            (None, Some(blend)) => {
                let shares = [blend.pure_share, blend.adulterant_share, blend.dense_share];
                if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 {
                    return Err(invalid("the shares of [blend] must lie in 0..=1 and sum to 1 at most".to_owned()));
                }
                if !(0.0..100.0).contains(&blend.dense_below_pct) {
                    return Err(invalid("[blend] dense_below_pct must lie in 0..100".to_owned()));
                }
                let share = Shares {
                    pure: blend.pure_share,
                    adulterant: blend.adulterant_share,
                    dense: blend.dense_share,
                    dense_below_pct: blend.dense_below_pct,
                };
                let adulterants = blend.adulterants.iter().map(oil).collect::<Result<Vec<_>, _>>()?;
                if adulterants.is_empty() {
                    return Err(invalid("[blend] adulterants must name at least one oil".to_owned()));
                }
                DatasetContent::Blend { base: oil(&blend.base)?, adulterants, share }
            }
            _ => return Err(invalid("exactly one of [classes] and [blend] must be there".to_owned())),
        };
        if !(1..=INSTRUMENTS_MAX).contains(&file.instruments) {
            return Err(invalid(format!("instruments must lie in 1..={INSTRUMENTS_MAX}")));
        }
        let [shortest, longest] = file.exposure_ms;
        if !(shortest > 0.0 && shortest <= longest && longest.is_finite()) {
            return Err(invalid("exposure_ms must be two positive numbers, the smaller first".to_owned()));
        }
        if file.background.is_some_and(|level| !(level > 0.0 && level.is_finite())) {
            return Err(invalid("background must be a positive number".to_owned()));
        }
        let profile = InstrumentFamily::named(&file.profile)
            .ok_or_else(|| invalid(format!("there is no profile '{}'; there are: qepro, sts", file.profile)))?;
        Ok(Self {
            samples: file.samples,
            replicates: file.replicates,
            name: recipe.to_owned(),
            label: file.label,
            instruments: file.instruments,
            profile,
            exposure_ms: file.exposure_ms,
            background: file.background,
            content,
        })
    }

    /// Makes the set and writes it. The same recipe and seed give the same bytes.
    ///
    /// # Errors
    /// When the set would be empty or larger than [`SPECTRA_MAX`], or cannot be written.
    pub fn write(&self, path: &Path, seed: u64) -> Result<(), DatasetError> {
        let spectra = self.samples.saturating_mul(self.replicates);
        if !(1..=SPECTRA_MAX).contains(&spectra) {
            let what = format!("{} samples x {} replicates is not in 1..={SPECTRA_MAX}", self.samples, self.replicates);
            return Err(DatasetError::Invalid { recipe: self.name.clone(), what });
        }
        let failed = |source| DatasetError::Write { path: path.to_owned(), source };
        let file = std::fs::File::create(path).map_err(failed)?;
        self.write_to(std::io::BufWriter::new(file), seed).map_err(failed)
    }

    /// What the set is about, without anything that is not: each kind of oil, or the ends of the blends (0 and 100 %), of the
    /// table's mean composition, through the family's slit, without background, noise or the errors of a unit. Relative to
    /// the CH2 band, on the set's own grid; the label says which is which.
    pub fn noise_free(&self) -> Recording {
        let [first, last, step] = GRID_PER_CM;
        let grid: Vec<f64> = (first..=last).step_by(step as usize).map(f64::from).collect();
        let seen = blurred_library(self.profile.model().resolution_per_cm);
        let oils: Vec<(&Oil, String)> = match &self.content {
            DatasetContent::Classes(oils) => oils.iter().map(|oil| (*oil, oil.name.to_owned())).collect(),
            DatasetContent::Blend { base, adulterants, .. } => {
                let ends = adulterants.iter().map(|oil| (*oil, "100".to_owned()));
                std::iter::once((*base, "0".to_owned())).chain(ends).collect()
            }
        };
        let axis = Arc::new(ShiftAxis::new(grid.clone()).expect("the grid increases"));
        let spectrum = |(index, (oil, label)): (usize, (&Oil, String))| {
            let amounts = Specimen::typical(oil).constituents;
            let at = |&shift: &f64| {
                let parts = seen.iter().zip(amounts);
                parts.map(|(spectrum, amount)| amount * linear(spectrum, shift)).sum::<f64>() as f32
            };
            RecordedSpectrum {
                id: oil.name.to_owned(),
                labels: [(self.label.clone(), label)].into(),
                axis: axis.clone(),
                intensities: grid.iter().map(at).collect(),
                line: index as u64 + 1,
            }
        };
        let spectra = oils.into_iter().enumerate().map(spectrum).collect();
        Recording { path: self.name.clone().into(), files: Vec::new(), spectra }
    }

    fn write_to(&self, mut out: impl Write, seed: u64) -> std::io::Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let bench: Vec<DatasetInstrument> =
            (0..self.instruments).map(|_| DatasetInstrument::new(self.profile, rng.random())).collect();
        let [first, last, step] = GRID_PER_CM;
        let grid: Vec<f64> = (first..=last).step_by(step as usize).map(f64::from).collect();

        write!(out, "id,sample,instrument,{}", self.label)?;
        if matches!(self.content, DatasetContent::Blend { .. }) {
            write!(out, ",{ADULTERANT}")?;
        }
        for shift in &grid {
            write!(out, ",{shift}")?;
        }
        writeln!(out)?;
        for number in 0..self.samples {
            // One stream a sample: asking for more replicates leaves the compositions as they are.
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number as u64 + 1);
            let (mut sample, labels) = self.content.draw(number, &mut rng);
            if let Some(level) = self.background {
                sample = sample.on_background(level, &mut rng);
            }
            for replicate in 0..self.replicates {
                let instrument = &bench[rng.random_range(0..bench.len())];
                let counts = instrument.measure(&sample, self.exposure_ms, &grid, &mut rng);
                write!(out, "s{number:04}-{replicate},s{number:04},{},{labels}", instrument.unit.serial)?;
                for value in counts {
                    write!(out, ",{value:.1}")?;
                }
                writeln!(out)?;
            }
        }
        out.flush()
    }
}

impl DatasetContent {
    /// Sample number `number` and its labels, separated by commas.
    fn draw(&self, number: usize, rng: &mut impl Rng) -> (Specimen, String) {
        match self {
            Self::Classes(oils) => {
                let oil = oils[number % oils.len()];
                (Specimen::draw(oil, rng), oil.name.to_owned())
            }
            Self::Blend { base, adulterants, share } => {
                let adulterant_pct = share.draw(rng);
                let oil = adulterants[number % adulterants.len()];
                let (base, adulterant) = (Specimen::draw(base, rng), Specimen::draw(oil, rng));
                let sample = Specimen::blend(&[(&base, 100.0 - adulterant_pct), (&adulterant, adulterant_pct)]);
                let name = if adulterant_pct == 0.0 { NO_ADULTERANT } else { oil.name };
                (sample, format!("{adulterant_pct:.3},{name}"))
            }
        }
    }
}

impl Shares {
    fn draw(&self, rng: &mut impl Rng) -> f64 {
        let dice: f64 = rng.random();
        let even: f64 = rng.random();
        if dice < self.pure {
            0.0
        } else if dice < self.pure + self.adulterant {
            100.0
        } else if dice < self.pure + self.adulterant + self.dense {
            even * self.dense_below_pct
        } else {
            self.dense_below_pct + even * (100.0 - self.dense_below_pct)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(recipe: &str, samples: usize, seed: u64) -> String {
        let mut recipe = Recipe::load(recipe).expect("built in");
        recipe.samples = samples;
        let mut bytes = Vec::new();
        recipe.write_to(&mut bytes, seed).expect("memory takes everything");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_seed_decides_every_byte() {
        for (recipe, _) in BUILT_IN {
            let first = written(recipe, 9, 7);
            assert_eq!(first, written(recipe, 9, 7), "{recipe}");
            assert_ne!(first, written(recipe, 9, 8), "{recipe}");
        }
    }

    #[test]
    fn what_is_written_reads_as_a_recording() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("oils.csv");
        let mut recipe = Recipe::load("oil-type").expect("built in");
        recipe.samples = 16;
        recipe.write(&path, 1).expect("written");
        let recording = ramand_recording::Recording::read(&path).expect("readable");
        assert_eq!(recording.spectra.len(), 16 * recipe.replicates);
        let axis = &recording.spectra[0].axis;
        assert_eq!((axis.first().per_cm(), axis.last().per_cm()), (201.0, 1999.0));
        let oils = recording.label_column("oil").expect("the label is there");
        let balanced = oils.iter().filter(|&&oil| oil == "olive").count() * 8;
        assert_eq!(balanced, oils.len());
        assert!(recording.label_column("sample").is_ok() && recording.label_column("instrument").is_ok());
    }

    #[test]
    fn blends_are_dense_below_twenty_per_cent_and_hold_pure_oils() {
        let text = written("olive-adulteration", 400, 3);
        let labels: Vec<f64> = text
            .lines()
            .skip(1)
            .step_by(3)
            .map(|line| line.split(',').nth(3).expect("label").parse().expect("number"))
            .collect();
        let count = |holds: &dyn Fn(f64) -> bool| labels.iter().filter(|&&label| holds(label)).count();
        assert_eq!(labels.len(), 400);
        assert!(count(&|label| label == 0.0) > 40 && count(&|label| label == 100.0) > 4);
        assert!(count(&|label| label > 0.0 && label < 20.0) > count(&|label| label > 20.0 && label < 100.0));
    }

    #[test]
    fn what_a_set_is_about_shows_where_its_oils_differ() {
        let ends = Recipe::load("olive-sunflower").expect("built in").noise_free();
        let labels = ends.label_column("sunflower_pct").expect("the label is there");
        assert_eq!(labels, ["0", "100"]);
        let at = |row: usize, shift_per_cm: usize| ends.spectra[row].intensities[(shift_per_cm - 201) / 2];
        // Linoleic acid has two double bonds a chain: more C=C and =C-H, about the same C=O.
        assert!(at(1, 1657) > 1.5 * at(0, 1657) && at(1, 1267) > 1.3 * at(0, 1267));
        assert!((at(1, 1747) / at(0, 1747) - 1.0).abs() < 0.2);
        assert_eq!(Recipe::load("oil-type").expect("built in").noise_free().spectra.len(), 8);
    }

    #[test]
    fn a_background_of_the_recipe_is_the_same_for_every_oil() {
        // Between bands, over the height of the CH2 band above it: means over each kind.
        let level = |recipe: &str| -> Vec<f64> {
            let text = written(recipe, 64, 5);
            let mut sums = std::collections::BTreeMap::new();
            for line in text.lines().skip(1) {
                let cells: Vec<&str> = line.split(',').collect();
                let at = |shift: usize| cells[4 + (shift - 201) / 2].parse::<f64>().expect("a number");
                let sum: &mut (f64, f64) = sums.entry(cells[3].to_owned()).or_default();
                *sum = (sum.0 + at(1601) / (at(1441) - at(1601)), sum.1 + 1.0);
            }
            sums.into_values().map(|(sum, count)| sum / count).collect()
        };
        let spread = |levels: Vec<f64>| {
            let (low, high) = levels.iter().fold((f64::MAX, 0.0_f64), |(low, high), &v| (low.min(v), high.max(v)));
            high / low
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("equal.toml");
        std::fs::write(&path, format!("background = 0.9\n{}", BUILT_IN[0].1)).expect("written");
        let (own, equal) = (spread(level("oil-type")), spread(level(path.to_str().expect("UTF-8"))));
        assert!(own > 2.0 && equal < 1.8, "{own} and {equal}");
    }

    #[test]
    fn every_adulterant_has_its_turn_and_the_pure_oil_has_none() {
        let text = written("olive-adulteration", 80, 3);
        let labels: Vec<(&str, &str)> = text
            .lines()
            .skip(1)
            .step_by(3)
            .map(|line| {
                let mut columns = line.split(',').skip(3);
                (columns.next().expect("share"), columns.next().expect("adulterant"))
            })
            .collect();
        for oil in ["sunflower", "rapeseed", "soybean", "palm"] {
            let with = labels.iter().filter(|(_, adulterant)| *adulterant == oil).count();
            assert!((10..=20).contains(&with), "{oil}: {with} of {}", labels.len());
        }
        assert!(labels.iter().all(|(share, adulterant)| (*share == "0.000") == (*adulterant == "none")));
    }

    #[test]
    fn a_recipe_that_makes_no_sense_says_which_key() {
        let good = BUILT_IN[1].1;
        let cases = [
            (good.replace("\"olive\"", "\"walrus\""), "there is no oil 'walrus'"),
            (good.replace("\"qepro\"", "\"abacus\""), "there is no profile 'abacus'"),
            (good.replace("[\"sunflower\", \"rapeseed\", \"soybean\", \"palm\"]", "[]"), "[blend] adulterants"),
            (good.replace("0.20", "0.9"), "the shares of [blend]"),
            (good.replace("[100, 400]", "[400, 100]"), "exposure_ms"),
            (good.replace("instruments = 24", "instruments = 0"), "instruments must lie in"),
            (format!("background = 0.0\n{good}"), "background must be a positive number"),
            (format!("{good}\n[classes]\noils = [\"palm\"]"), "exactly one of"),
            (good.replace("samples =", "sample ="), "failed to understand the recipe"),
        ];
        for (text, expected) in cases {
            let message = Recipe::parse("r.toml", &text).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(Recipe::load("no-such.toml").is_err());
    }
}
