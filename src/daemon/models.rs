//! Models that change while the line runs: noticed between two spectra, opened beside the line, taken when they are ready.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use ramand_core::failure;
use ramand_core::outcome::ModelIdentity;
use ramand_model::Model;
use ramand_model::inspect::Inspector;

use super::settings;
use crate::config::Config;
use crate::update::{Trust, UpdateError};

/// What became of a model that was replaced in the store.
#[derive(Debug)]
pub(super) enum ModelChange {
    /// From the next spectrum on, the new one judges.
    Switched {
        /// Which of the models.
        index: usize,
        /// The one before.
        old: Arc<ModelIdentity>,
        /// The one now.
        new: Arc<Model>,
        /// Whether no path leads to a refused model any more.
        settled: bool,
    },
    /// The new one may not run, or cannot: the old one goes on.
    Refused {
        /// The path in the configuration.
        path: PathBuf,
        /// Which model goes on.
        kept: Arc<ModelIdentity>,
        why: String,
    },
    /// The path of a refused model leads to the running one again, and no other leads to a refused one.
    Settled {
        /// The running one.
        kept: Arc<ModelIdentity>,
    },
}

/// The paths of the configuration, and where they led when they were last looked at.
#[derive(Debug)]
pub(super) struct Watch {
    trust: Trust,
    paths: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Option<PathEnd>,
    loading: Option<JoinHandle<Result<Model, UpdateError>>>,
    refused: bool,
}

/// Where a path leads, in two calls of the system: the link itself, which is another file after every switch, and the
/// folder at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PathEnd {
    link: (u64, u64, i64, i64),
    folder: (u64, u64),
}

impl PathEnd {
    /// `None` where the path leads nowhere.
    fn of(path: &Path) -> Option<Self> {
        let link = path.symlink_metadata().ok()?;
        let folder = path.metadata().ok()?;
        // A folder changes its times when a file is renewed in it, and is still the same model.
        let changed = if link.is_symlink() { (link.ctime(), link.ctime_nsec()) } else { (0, 0) };
        Some(Self { link: (link.dev(), link.ino(), changed.0, changed.1), folder: (folder.dev(), folder.ino()) })
    }
}

impl Watch {
    /// To be made before the models are opened: a switch in between is then noticed, and opens one of them twice.
    pub(super) fn new(config: &Config) -> Self {
        let watched =
            |path: &PathBuf| Watched { path: path.clone(), seen: PathEnd::of(path), loading: None, refused: false };
        Self { trust: settings::trust(config), paths: config.models.iter().map(|model| watched(&model.path)).collect() }
    }

    /// Whatever alarm of a refused model an earlier run left: the models that have just been opened run.
    pub(super) fn started(&self, inspector: &Inspector) -> Option<ModelChange> {
        let mut watched = self.paths.iter().zip(inspector.models());
        let (_, model) = watched.find(|(watched, _)| self.trust.in_store(&watched.path))?;
        Some(ModelChange::Settled { kept: model.identity().clone() })
    }

    /// Looks where the paths lead now, and puts models that are ready on their seats. Takes microseconds unless there is
    /// one. The models of `inspector` are those of the configuration, in order.
    pub(super) fn look(&mut self, inspector: &mut Inspector) -> Vec<ModelChange> {
        let mut changes = Vec::new();
        for index in 0..self.paths.len() {
            if let Some(opened) = self.paths[index].opened(&self.trust) {
                changes.extend(self.take(index, opened, inspector));
            }
        }
        changes
    }

    fn take(&mut self, index: usize, opened: Result<Model, String>, inspector: &mut Inspector) -> Option<ModelChange> {
        let running = inspector.models().nth(index).map(|model| model.identity().clone())?;
        let replaced = opened.and_then(|model| {
            // The same model again: the way back from a refused one, or a switch to itself.
            if model.identity().sha256 == running.sha256 {
                return Ok(None);
            }
            let new = Arc::new(model);
            inspector.replace(index, new.clone()).map_err(|error| failure::chain(&error))?;
            Ok(Some(new))
        });
        let watched = &mut self.paths[index];
        let was_refused = std::mem::replace(&mut watched.refused, replaced.is_err());
        let path = watched.path.clone();
        let settled = self.paths.iter().all(|watched| !watched.refused);
        match replaced {
            Ok(Some(new)) => Some(ModelChange::Switched { index, old: running, new, settled }),
            Err(why) => Some(ModelChange::Refused { path, kept: running, why }),
            Ok(None) => (was_refused && settled).then_some(ModelChange::Settled { kept: running }),
        }
    }
}

impl Watched {
    /// The model at the path's new end, once it is open; `None` while nothing has changed, or it is still being opened.
    fn opened(&mut self, trust: &Trust) -> Option<Result<Model, String>> {
        if let Some(loading) = self.loading.take_if(|loading| loading.is_finished()) {
            let opened = loading.join().unwrap_or_else(|_| Err(UpdateError::Interrupted { path: self.path.clone() }));
            return Some(opened.map_err(|error| failure::chain(&error)));
        }
        if self.loading.is_some() {
            return None;
        }
        // A path that leads nowhere is a store in the middle of being moved: the model in memory goes on.
        let place = PathEnd::of(&self.path).filter(|place| self.seen != Some(*place))?;
        self.seen = Some(place);
        let (trust, path) = (trust.clone(), self.path.clone());
        match Builder::new().name("open model".into()).spawn(move || trust.open(&path)) {
            Ok(loading) => self.loading = Some(loading),
            Err(error) => return Some(Err(format!("no thread to open it in: {error}"))),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use ramand_core::decide::{Limit, Rules};
    use ramand_core::spectrum::Origin;

    use super::super::stages::{self, News};
    use super::*;
    use crate::bundles::{limits, spectrum};
    use crate::config::ModelEntry;
    use crate::supervise::Supervisor;
    use crate::update::tests::Station;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn watched(station: &Station) -> (Watch, Inspector) {
        let mut config = Config { models: vec![ModelEntry::at(&station.link())], ..Config::default() };
        config.updates.store = station.store();
        config.updates.keys = station.keys();
        let watch = Watch::new(&config);
        let rules = Rules { limits: vec![Limit::Above(1e9)], ..Rules::default() };
        let model = Arc::new(station.trust().open(&station.link()).expect("it may run and runs"));
        (watch, Inspector::new(vec![(model, rules)], limits()).expect("it fits"))
    }

    /// What the next change is; spectra are inspected all the while.
    fn next(watch: &mut Watch, inspector: &mut Inspector) -> ModelChange {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(change) = watch.look(inspector).pop() {
                return change;
            }
            let inspection = inspector.inspect(spectrum(700.0, 1100.0, 970.0));
            assert!(inspection.findings[0].conclusion.is_some(), "a model is always there");
            assert!(Instant::now() < until, "no change within {PATIENCE:?}");
        }
    }

    fn version(inspector: &Inspector) -> String {
        inspector.models().next().expect("one model").identity().version.clone()
    }

    #[test]
    fn a_model_that_is_switched_in_the_store_is_taken_and_a_wrong_one_is_not() {
        let station = Station::new();
        station.install("1.0.0");
        let (mut watch, mut inspector) = watched(&station);
        assert!(matches!(watch.started(&inspector), Some(ModelChange::Settled { .. })), "an old alarm ends");
        assert!(watch.look(&mut inspector).is_empty(), "nothing has changed");

        station.install("1.1.0");
        let ModelChange::Switched { index: 0, old, new, settled: true } = next(&mut watch, &mut inspector) else {
            panic!("switched")
        };
        assert_eq!((old.version.as_str(), new.identity().version.as_str()), ("1.0.0", "1.1.0"));
        assert_eq!(version(&inspector), "1.1.0");

        // Damaged on the medium after it was installed: the one in memory goes on.
        station.install("1.2.0");
        fs::write(station.store().join("random/1.2.0/manifest.sig"), [0; 64]).expect("written");
        let ModelChange::Refused { kept, why, .. } = next(&mut watch, &mut inspector) else { panic!("refused") };
        assert!(kept.version == "1.1.0" && why.contains("none of the keys"), "{why}");
        assert_eq!(version(&inspector), "1.1.0");
        assert!(watch.look(&mut inspector).is_empty(), "said once");

        station.roll_back();
        let ModelChange::Settled { kept } = next(&mut watch, &mut inspector) else { panic!("settled") };
        assert_eq!(kept.version, "1.1.0");
        assert!(watch.started(&inspector).is_some());
    }

    #[test]
    fn everything_measured_is_inspected_once_and_in_order_while_models_change() {
        let station = Station::new();
        station.install("1.0.0");
        let (watch, inspector) = watched(&station);
        let (spectra, measured) = crossbeam_channel::bounded(4);
        let (news, told) = crossbeam_channel::bounded(16);
        let inspect = move |part| stages::inspect(inspector, watch, &measured, &news, &part);
        Supervisor::new().spawn_thread("inspect", Duration::MAX, inspect).expect("a thread");
        let enough = Arc::new(AtomicBool::new(false));
        let stop = enough.clone();
        let measuring = std::thread::spawn(move || {
            // The band wanders, so that every spectrum has a name of its own.
            let name = |number: u32| 900.0 + f64::from(number) / 1024.0;
            let produced = (0..).take_while(|_| !stop.load(Ordering::Relaxed)).map(|number| {
                let spectrum = Arc::into_inner(spectrum(700.0, 1100.0, name(number))).expect("the only one");
                spectra.send(spectrum).expect("somebody inspects");
                name(number).to_string()
            });
            produced.collect::<Vec<_>>()
        });
        station.install("1.1.0");
        let (mut kept, mut switches) = (Vec::new(), Vec::new());
        while let Ok(item) = told.recv_timeout(PATIENCE) {
            match item {
                News::Inspected(inspected) => {
                    let Origin::Recorded { id } = inspected.inspection.spectrum.origin() else { panic!("recorded") };
                    kept.push((id.clone(), inspected.inspection.findings[0].model.version.clone()));
                }
                News::Model(ModelChange::Switched { old, new, .. }) => {
                    switches.push((kept.len(), old.version.clone(), new.identity().version.clone()));
                    if switches.len() == 1 { station.roll_back() } else { enough.store(true, Ordering::Relaxed) }
                }
                News::Model(_) => {}
            }
        }
        let produced = measuring.join().expect("it measured");
        assert_eq!(kept.iter().map(|(id, _)| id).collect::<Vec<_>>(), produced.iter().collect::<Vec<_>>());
        let [(first, ..), (second, ..)] = switches[..] else { panic!("there and back: {switches:?}") };
        for (index, (id, version)) in kept.iter().enumerate() {
            let expected = if (first..second).contains(&index) { "1.1.0" } else { "1.0.0" };
            assert_eq!(version, expected, "spectrum {id}");
        }
    }

    #[test]
    fn a_model_the_limits_do_not_fit_is_refused_and_the_seat_keeps_its_own() {
        let station = Station::new();
        station.install("1.0.0");
        let (mut watch, mut inspector) = watched(&station);
        station.install_classes("2.0.0");
        let ModelChange::Refused { why, .. } = next(&mut watch, &mut inspector) else { panic!("refused") };
        assert!(why.contains("upper limit"), "{why}");
        assert_eq!(version(&inspector), "1.0.0");
    }
}
