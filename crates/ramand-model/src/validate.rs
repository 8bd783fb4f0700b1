//! From the text of a manifest to one whose values can be used, each for itself and against the others.

use std::collections::BTreeSet;
use std::path::Path;

use ramand_core::decide::{COMPONENTS_MAX, VARIATES_MAX};
use ramand_core::preprocess::{CHANNELS_MAX, POINTS_MAX, STEPS_MAX};
use ramand_core::spectrum::ShiftAxis;
use serde::Deserialize;

use super::manifest::{
    BANDS_MAX, FILES_MAX, FORMAT, Manifest, ManifestError, NetworkRecord, OUTPUTS_MAX, OutputRecord, TARGETS_MAX, Task,
};

impl Manifest {
    /// Reads and validates the text of a manifest; `path` is only for messages.
    ///
    /// # Errors
    /// When the text is no manifest of [`FORMAT`], or its values contradict each other.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ManifestError> {
        /// Any format's manifest, as far as its version.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let syntax = |source| ManifestError::Syntax { path: path.to_owned(), source: Box::new(source) };
        let Versioned { format } = toml::from_str(text).map_err(syntax)?;
        if format != FORMAT {
            return Err(ManifestError::Format { path: path.to_owned(), found: format });
        }
        let manifest: Self = toml::from_str(text).map_err(syntax)?;
        manifest.validate(path)?;
        Ok(manifest)
    }

    /// Checks every value for itself and against the others; `path` is only for messages.
    ///
    /// # Errors
    /// Names the first field that does not fit.
    pub fn validate(&self, path: &Path) -> Result<(), ManifestError> {
        self.first_problem().map_err(|(field, problem)| ManifestError::Field { path: path.to_owned(), field, problem })
    }

    fn first_problem(&self) -> Result<(), Problem> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = |name: &str| (1..=64).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.');
        require(is_name(&self.name), "name", "1 to 64 letters, digits, '-', '_' or '.', not starting with '.'")?;
        require(is_name(&self.version), "version", "1 to 64 letters, digits, '-', '_' or '.'")?;
        require(self.laser_nm == 0.0 || (200.0..=2000.0).contains(&self.laser_nm), "laser_nm", "0, or 200 to 2000 nm")?;
        self.check_output()?;
        require((2..=POINTS_MAX).contains(&self.axis.points), "axis.points", format!("2 to {POINTS_MAX} points"))?;
        ShiftAxis::try_from(&self.axis).map_err(|error| ("axis".to_owned(), error.to_string()))?;
        require((1..=STEPS_MAX).contains(&self.pipeline.len()), "pipeline", format!("1 to {STEPS_MAX} steps"))?;
        require(self.channels.len() <= CHANNELS_MAX, "channel", format!("at most {CHANNELS_MAX} channels"))?;
        let channel_steps = self.channels.iter().map(|channel| channel.steps.len()).max().unwrap_or(0);
        require(channel_steps <= STEPS_MAX, "channel.steps", format!("at most {STEPS_MAX} steps"))?;
        self.check_network()?;
        require_finite(&self.reference.output, self.outputs(), "reference.output", "outputs")?;
        if let Some(gate) = &self.gate {
            require(
                (1..=COMPONENTS_MAX).contains(&gate.components),
                "gate.components",
                format!("1 to {COMPONENTS_MAX} components"),
            )?;
            require_finite(&gate.eigenvalues, gate.components, "gate.eigenvalues", "components")?;
            require(gate.eigenvalues.iter().all(|&value| value > 0.0), "gate.eigenvalues", "variances above 0")?;
            require(gate.t2_limit.is_finite() && gate.t2_limit > 0.0, "gate.t2_limit", "a number above 0")?;
            require(gate.q_limit.is_finite() && gate.q_limit > 0.0, "gate.q_limit", "a number above 0")?;
            let retrain = "none: this version tells classes apart by [gate.variates]; train the bundle again";
            require(gate.kinds.is_none(), "gate.kinds", retrain)?;
            require(gate.variates.is_none() || gate.scores.is_some(), "gate.variates", "gate.scores beside it")?;
            if let Some(variates) = &gate.variates {
                let few = (1..=VARIATES_MAX).contains(&variates.count);
                require(few, "gate.variates.count", format!("1 to {VARIATES_MAX} variates"))?;
                let classification = self.task == Task::Classification;
                require(classification, "gate.variates", "none of a regression")?;
                require_finite(&variates.limits, self.outputs(), "gate.variates.limits", "labels")?;
                let positive = variates.limits.iter().all(|&limit| limit > 0.0);
                require(positive, "gate.variates.limits", "numbers above 0")?;
            }
            let significance = gate.scores.as_ref().and_then(|scores| scores.significance).unwrap_or(0.5);
            let share = significance > 0.0 && significance < 1.0;
            require(share, "gate.scores.significance", "a number between 0 and 1")?;
        }
        if let Some(conformal) = &self.conformal {
            let share = conformal.confidence > 0.0 && conformal.confidence < 1.0;
            require(share, "conformal.confidence", "a number between 0 and 1")?;
            match self.task {
                Task::Regression => {
                    require(conformal.limits.is_none(), "conformal.limits", "none of a regression")?;
                    require(conformal.likeliest.is_none(), "conformal.likeliest", "none of a regression")?;
                }
                Task::Classification => {
                    require(conformal.half_width.is_none(), "conformal.half_width", "none of a classification")?;
                }
            }
            let given = conformal.half_width.is_some() || conformal.limits.is_some();
            require(given != conformal.without.is_some(), "conformal.without", "a reason where there are no limits")?;
        }
        if let Some([least, largest]) = self.training.range {
            require(self.task == Task::Regression, "training.range", "none of a classification")?;
            let ordered = least.is_finite() && largest.is_finite() && least < largest;
            require(ordered, "training.range", "two finite numbers, the smaller first")?;
        }
        require(self.bands.len() <= BANDS_MAX, "band", format!("at most {BANDS_MAX} bands"))?;
        for (i, band) in self.bands.iter().enumerate() {
            let ordered = band.from.is_finite() && band.to.is_finite() && band.from <= band.to;
            require(ordered, format!("band[{i}]"), "two finite shifts, from not above to")?;
        }
        self.check_files()
    }

    fn check_output(&self) -> Result<(), Problem> {
        let OutputRecord { unit, labels, temperature } = &self.output;
        match self.task {
            Task::Regression => {
                require(unit.is_some(), "output.unit", "a regression has a unit")?;
                require(labels.is_none(), "output.labels", "a regression has none")?;
                require(temperature.is_none(), "output.temperature", "a regression has none")
            }
            Task::Classification => {
                require(unit.is_none(), "output.unit", "a classification has none")?;
                let several = labels.as_ref().is_some_and(|labels| (2..=OUTPUTS_MAX).contains(&labels.len()));
                require(several, "output.labels", format!("a classification has 2 to {OUTPUTS_MAX} labels"))?;
                let distinct = labels.iter().flatten().collect::<BTreeSet<_>>().len() == self.outputs();
                require(distinct, "output.labels", "each label once")?;
                let warm = temperature.is_some_and(|t| t.is_finite() && t > 0.0);
                require(warm, "output.temperature", "a classification has one, above 0")
            }
        }
    }

    fn check_network(&self) -> Result<(), Problem> {
        let NetworkRecord { targets, offset, input, output, .. } = &self.network;
        require_finite(offset, self.outputs(), "network.offset", "outputs")?;
        require((1..=TARGETS_MAX).contains(&targets.len()), "network.target", format!("1 to {TARGETS_MAX} targets"))?;
        let reported = self.network.completeness_error.is_none_or(|error| error.is_finite() && error >= 0.0);
        require(reported, "network.completeness_error", "a finite number, not below 0")?;
        let mut values = BTreeSet::from([input.as_str(), output.as_str()]);
        require(values.len() == 2, "network.output", "another name than network.input")?;
        for (i, target) in targets.iter().enumerate() {
            let field = |key: &str| format!("network.target[{i}].{key}");
            require(values.insert(&target.activation), field("activation"), "a name of its own")?;
            require(values.insert(&target.gradient), field("gradient"), "a name of its own")?;
            let points = self.axis.points as f64;
            require(target.first_cell.abs() <= points, field("first_cell"), "a position on the axis, in points")?;
            require(target.stride > 0.0 && target.stride <= points, field("stride"), "points, above 0")?;
            require(target.receptive_field >= 1, field("receptive_field"), "1 point at least")?;
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), Problem> {
        require(self.files.len() <= FILES_MAX, "files", format!("at most {FILES_MAX} files"))?;
        let targets = self.network.targets.iter().map(|target| &target.reference);
        let gate = self.gate.iter().flat_map(|gate| {
            let scores = gate.scores.as_ref().map(|of| &of.file);
            let of = gate.variates.as_ref();
            [Some(&gate.file), scores, of.map(|of| &of.file), of.map(|of| &of.kinds)].into_iter().flatten()
        });
        let conformal = self.conformal.as_ref().map(|conformal| &conformal.file);
        let named = targets.chain([&self.network.file]).chain(gate).chain(conformal);
        let mut files = BTreeSet::from(["manifest.toml"]);
        for file in named.chain(self.files.keys()) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let inside = (1..=128).contains(&file.len()) && file.chars().all(plain) && !file.starts_with('.');
            require(inside, file, "a file name of letters, digits, '-', '_' and '.', without a folder")?;
            require(files.insert(file), file, "a file is named once")?;
        }
        for (file, sha256) in self.hashes() {
            let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            let hash = sha256.len() == 64 && sha256.chars().all(hexadecimal);
            require(hash, format!("sha256 of {file}"), "64 hexadecimal digits, lower case")?;
        }
        Ok(())
    }
}

/// A field and what it should be.
type Problem = (String, String);

fn require(holds: bool, field: impl Into<String>, expected: impl Into<String>) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err((field.into(), format!("expected {}", expected.into()))) }
}

fn require_finite(values: &[f64], count: usize, field: &str, per: &str) -> Result<(), Problem> {
    let fits = values.len() == count && values.iter().all(|value| value.is_finite());
    require(fits, field, format!("{count} finite numbers, one for each of the {per}"))
}
