//! A model that is to run on this line, held against the configuration, the journal and the model it replaces.

use std::path::{Path, absolute};
use std::sync::Arc;
use std::time::Instant;

use ramand_core::decide::{Rules, Ungated};
use ramand_core::record::{PartKind, PartKinds};
use ramand_core::signature::KeyId;
use ramand_model::inspect::{InspectError, Inspector};
use ramand_model::{Model, verify};
use serde::Serialize;

use crate::cli::error::CommandError;
use crate::config::{self, Config};
use crate::daemon;
use crate::journal::{HistoryQuery, JournalReader, Window};
use crate::publish::wire::decode_spectrum;
use crate::update::audit::ModelRecord;
use crate::update::shadow::Comparison;
use crate::update::suitability;

/// Spectra read at a time: a few megabytes.
const PAGE: usize = 128;

/// Whether another kind of output is what somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputChange {
    Refused,
    Allowed,
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CandidateLine {
    check: String,
    /// `ok`, or `note`: what could not be checked, or somebody should know.
    state: &'static str,
    detail: String,
}

/// What was checked so far; told at once, or at the end as JSON.
#[derive(Debug)]
pub(super) struct CandidateReport {
    pub(super) lines: Vec<CandidateLine>,
    pub(super) json: bool,
}

impl CandidateReport {
    pub(super) fn ok(&mut self, check: &str, detail: impl Into<String>) {
        self.tell(check, "ok", detail.into());
    }

    /// What could not be checked, or somebody should know.
    pub(super) fn note(&mut self, check: &str, detail: impl Into<String>) {
        self.tell(check, "note", detail.into());
    }

    fn tell(&mut self, check: &str, state: &'static str, detail: String) {
        if !self.json {
            println!("{state:<7} {check}: {detail}");
        }
        self.lines.push(CandidateLine { check: check.to_owned(), state, detail });
    }
}

/// The place in the configuration that a model is for.
#[derive(Debug)]
pub(super) struct Seat {
    /// Its `[[model]]`; `None` where the configuration has none for it.
    place: Option<config::ModelEntry>,
    /// What runs there; `None` where nothing does yet.
    pub(super) old: Option<Arc<Model>>,
    /// Whether the place follows the store.
    pub(super) follows: bool,
}

impl Seat {
    /// The `[[model]]` whose path is the store's `current` of that name, or else the one whose bundle has the name.
    pub(super) fn of(name: &str, config: &Config) -> Self {
        let trust = daemon::trust(config);
        let link = config.updates.store.join(name).join("current");
        let same = |path: &Path| absolute(path).ok().zip(absolute(&link).ok()).is_some_and(|(path, link)| path == link);
        // What cannot be opened is not what runs: a first install finds a link that leads nowhere yet.
        let open = |path: &Path| trust.open(path).ok().map(Arc::new);
        if let Some(place) = config.models.iter().find(|place| same(&place.path)) {
            return Self { old: open(&place.path), place: Some(place.clone()), follows: true };
        }
        let named = config.models.iter().find_map(|place| {
            let model = open(&place.path).filter(|model| model.identity().name == name)?;
            Some((place.clone(), model))
        });
        match named {
            Some((place, model)) => Self { place: Some(place), old: Some(model), follows: false },
            None => Self { place: None, old: open(&link), follows: false },
        }
    }

    /// Says what the configuration will make of the store's `current`.
    pub(super) fn tell(&self, name: &str, config: &Config, report: &mut CandidateReport) {
        let link = config.updates.store.join(name).join("current");
        match &self.place {
            Some(place) if self.follows => {
                report.ok("configuration", format!("a [[model]] follows {}", place.path.display()));
            }
            Some(place) => report.note(
                "configuration",
                format!("[[model]] runs {}; to follow the store: path = {link:?}, and restart", place.path.display()),
            ),
            None => {
                report.note("configuration", format!("no [[model]] runs it; to run it: path = {link:?}, and restart"))
            }
        }
    }
}

/// Name, version and hash, for the trail.
pub(super) fn record(model: &Model) -> ModelRecord {
    let identity = model.identity();
    ModelRecord { name: identity.name.clone(), version: identity.version.clone(), sha256: identity.sha256.clone() }
}

/// The journal's reader; `None`, with a note, where there is none.
pub(super) fn journal(config: &Config, report: &mut CandidateReport) -> Option<JournalReader> {
    match JournalReader::open(&config.journal.path) {
        Ok(reader) => Some(reader),
        Err(error) => {
            report.note("journal", ramand_core::failure::chain(&error));
            None
        }
    }
}

/// Opens a bundle and says how long that takes.
///
/// # Errors
/// When it may not run, or cannot.
pub(super) fn open(
    folder: &Path,
    config: &Config,
    report: &mut CandidateReport,
) -> Result<(Arc<Model>, Option<KeyId>), CommandError> {
    let started = Instant::now();
    let (model, key) = daemon::trust(config).open_signed(folder)?;
    report.ok("warm-up", format!("opened and run once within {} ms", started.elapsed().as_millis()));
    Ok((Arc::new(model), key))
}

/// A model that may run, and where it is to run.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) model: Arc<Model>,
    /// Of its bundle.
    pub(super) folder: &'a Path,
    pub(super) seat: &'a Seat,
    pub(super) config: &'a Config,
}

impl Candidate<'_> {
    /// Everything a model must be to run on this line.
    ///
    /// # Errors
    /// At the first thing it is not.
    pub(super) fn check(
        &self,
        outputs: OutputChange,
        journal: Option<&JournalReader>,
        report: &mut CandidateReport,
    ) -> Result<(), CommandError> {
        let manifest = self.model.manifest();
        if let Some(old) = &self.seat.old {
            match suitability::same_output(old.manifest(), manifest) {
                Ok(()) => report.ok("output", format!("the same as that of {}", old.identity().version)),
                Err(difference) if outputs == OutputChange::Allowed => report.note("output", difference.to_string()),
                Err(difference) => return Err(difference.into()),
            }
        } else {
            report.note("output", "nothing runs there to compare with");
        }
        suitability::same_laser(self.config.spectrometer.laser_nm, manifest)?;
        let newest = journal.map(|journal| newest(journal, 1)).transpose()?.unwrap_or_default();
        match newest.first() {
            Some((_, spectrum)) => {
                suitability::covered(spectrum.axis(), manifest)?;
                report.ok("axis", format!("{} to {} cm-1 are measured", manifest.axis.first, manifest.axis.last));
            }
            None => report.note("axis", "not checked: the journal has no spectrum to compare with"),
        }
        if let Some(place) = &self.seat.place {
            let rules = daemon::rules(place);
            let limits = rules.limits.len();
            self.alone(&self.model, rules)?;
            report.ok("limits", format!("{limits} of the configuration can be applied"));
        }
        for check in verify::verify(self.folder) {
            match check.outcome {
                Ok(detail) => report.ok(&check.name, detail),
                Err(detail) => return Err(CommandError::operator(format!("{}: {detail}", check.name))),
            }
        }
        Ok(())
    }

    /// What the old and the new model say to the newest `count` spectra of the journal.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) fn shadow(&self, journal: &JournalReader, count: usize) -> Result<Comparison, CommandError> {
        // Where the configuration demands nothing yet, what a bundle lacks is only remarked.
        let undemanding = || Rules { ungated: Ungated::Remarked, ..Rules::default() };
        let rules = self.seat.place.as_ref().map_or_else(undemanding, daemon::rules);
        // Where the task changes, the configuration's limits are the new model's already, and the old one is shown without any.
        let old = self.seat.old.as_ref();
        let old = old.map(|old| self.alone(old, rules.clone()).or_else(|_| self.alone(old, undemanding())));
        let (mut old, mut new) = (old.transpose()?, self.alone(&self.model, rules)?);
        let mut comparison = Comparison::default();
        for (seq, spectrum) in newest(journal, count)? {
            let mut show = |inspector: &mut Inspector| {
                let inspection = inspector.inspect(spectrum.clone());
                let took = inspection.timings.preprocess + inspection.timings.infer;
                (inspection.findings.into_iter().next().expect("one model, one finding"), took)
            };
            let said = old.as_mut().map(&mut show);
            let answer = show(&mut new);
            comparison.see(seq, said.as_ref().map(|(finding, took)| (finding, *took)), (&answer.0, answer.1));
        }
        Ok(comparison)
    }

    /// An inspector with that model only.
    fn alone(&self, model: &Arc<Model>, rules: Rules) -> Result<Inspector, InspectError> {
        Inspector::new(vec![(model.clone(), rules)], daemon::instrument_limits(self.config))
    }
}

type Numbered = (u64, Arc<ramand_core::spectrum::RawSpectrum>);

/// The newest `count` spectra, oldest first.
fn newest(journal: &JournalReader, count: usize) -> Result<Vec<Numbered>, CommandError> {
    let kinds = PartKinds::default().with(PartKind::Spectrum);
    let mut spectra = Vec::new();
    let mut window = Window::Newest;
    while spectra.len() < count {
        let limit = PAGE.min(count - spectra.len());
        let page = journal.history(&HistoryQuery { window, limit, kinds })?;
        let Some(first) = page.first() else { break };
        window = Window::Before(first.seq);
        for record in page.iter().rev() {
            for part in &record.parts {
                let spectrum = decode_spectrum(&part.payload)
                    .map_err(|error| CommandError::from(error).context(format!("record {}", record.seq)))?;
                spectra.push((record.seq.number(), Arc::new(spectrum)));
            }
        }
    }
    spectra.reverse();
    Ok(spectra)
}
