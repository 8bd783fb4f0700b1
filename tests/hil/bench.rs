//! The bench as a running thing: settings for the driver, the simulator where there is one, and the faults it is given.

use std::path::PathBuf;
use std::sync::Mutex;

use ramand::acquire::{AcquireError, AcquisitionSettings, Driver};
use ramand::supervise::{Stop, StopSignal};
use ramand_sim::faults::Fault;
use ramand_sim::oils::Substance;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::scenario::Scenario;
use ramand_sim::{Pacing, Simulator, StageSource};

use crate::rig::Rig;

/// A fault that comes and goes with one check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlantedFault {
    pub(crate) at: At,
    pub(crate) fault: &'static str,
    /// What mends it.
    pub(crate) undo: &'static str,
}

/// When a planted fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before the check of that name.
    Before(&'static str),
    /// While the plug is out.
    Unplugged,
}

/// A bench and everything on it.
pub(crate) struct InstrumentBench {
    pub(crate) rig: Rig,
    pub(crate) port: PathBuf,
    pub(crate) simulator: Option<Simulator>,
    /// Ctrl-C, or a test that plays it.
    pub(crate) stop: StopSignal,
    pub(crate) planted: Option<PlantedFault>,
    /// The longest exposure that keeps the brightest pixel in range, once it is known.
    pub(crate) exposure_max: Mutex<Option<std::time::Duration>>,
    /// For captures, journals and configurations.
    pub(crate) folder: tempfile::TempDir,
}

impl InstrumentBench {
    /// Starts the simulator where the rig has one.
    pub(crate) fn new(rig: Rig, stop: StopSignal) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut port = rig.spectrometer.port.clone();
        let mut simulator = None;
        if let Some(simulated) = &rig.simulator {
            port = folder.path().join("spectrometer");
            let profile = InstrumentFamily::named(&rig.spectrometer.profile).ok_or("no such profile")?;
            let sample = rig.sample.as_ref().and_then(|sample| Substance::named(&sample.reference));
            let faults = simulated.faults.iter().map(|fault| fault.parse::<Fault>()).collect::<Result<_, _>>()?;
            simulator = Some(Simulator::start(ramand_sim::SimulatorSettings {
                baud: simulated.baud,
                seed: simulated.seed,
                pacing: if simulated.paced { Pacing::Line } else { Pacing::Immediate },
                source: StageSource::Scenario(Scenario::always(sample.into_iter().map(|what| (what, 1.0)).collect())),
                faults,
                ..ramand_sim::SimulatorSettings::new(profile, &port)
            })?);
        }
        Ok(Self { rig, port, simulator, stop, planted: None, exposure_max: Mutex::new(None), folder })
    }

    /// For the driver.
    pub(crate) fn settings(&self) -> AcquisitionSettings {
        self.rig.settings(&self.port)
    }

    /// For whoever asks for the laser and switches it off, on every bench.
    pub(crate) fn settings_for_off(&self) -> AcquisitionSettings {
        self.rig.settings_for_off(&self.port)
    }

    /// The request to stop.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.token()
    }

    /// The instrument, laser off.
    pub(crate) fn open(&self) -> Result<Driver, AcquireError> {
        Driver::open(self.settings(), &self.stop())
    }

    pub(crate) fn before(&self, check: &'static str) {
        self.plant(At::Before(check));
    }

    pub(crate) fn plant(&self, at: At) {
        if let Some(planted) = self.planted.filter(|planted| planted.at == at) {
            self.inject(planted.fault);
        }
    }

    pub(crate) fn after(&self, check: &str) {
        let undo = match self.planted {
            Some(PlantedFault { at: At::Before(name), undo, .. }) if name == check => undo,
            Some(PlantedFault { at: At::Unplugged, undo, .. }) if check == "unplug" => undo,
            _ => return,
        };
        self.inject(undo);
    }

    fn inject(&self, fault: &str) {
        let Some(simulator) = &self.simulator else { return };
        match fault {
            "come-back" => simulator.come_back(),
            fault => simulator.inject(fault.parse().expect("the table's faults are faults")),
        }
    }
}
