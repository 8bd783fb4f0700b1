//! One bench as a TOML file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ocean_binary_protocol::{LaserControl, Profile};
use ramand::acquire::{AcquisitionSettings, BaudRate, LaserSwitching, SpectrometerModel};
use ramand_core::axis_check::ReferenceMaterial;
use ramand_core::spectrum::Wavelength;
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rig {
    /// In the report.
    pub(crate) name: String,
    pub(crate) spectrometer: RigSpectrometer,
    pub(crate) laser: RigLaser,
    /// What lies on the stage; without it the axis is not checked.
    pub(crate) sample: Option<RigSample>,
    pub(crate) limits: RigLimits,
    pub(crate) unplug: Unplug,
    pub(crate) soak: Soak,
    /// Instead of an instrument.
    pub(crate) simulator: Option<Simulated>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RigSpectrometer {
    /// Best by its name below /dev/serial/by-id. Where there is a simulator, it makes its own.
    #[serde(default)]
    pub(crate) port: PathBuf,
    pub(crate) profile: String,
    /// Absent: the usual rates are tried.
    pub(crate) baud: Option<u32>,
    pub(crate) serial_number: String,
    pub(crate) laser_nm: f64,
    #[serde(with = "humantime_serde")]
    pub(crate) exposure_min: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) exposure_max: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RigLaser {
    /// Whether this bench may switch it on: enclosure closed, interlock wired.
    pub(crate) allowed: bool,
    #[serde(default)]
    pub(crate) lamp_line: bool,
    #[serde(with = "humantime_serde")]
    pub(crate) warm_up: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RigSample {
    pub(crate) reference: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RigLimits {
    /// An exchange may take its exposure, 1.25 times its bytes' time on the line, and this.
    #[serde(with = "humantime_serde")]
    pub(crate) line_allowance: Duration,
    pub(crate) read_noise_counts_max: f64,
    pub(crate) dark_counts_per_s_max: f64,
    /// A pixel whose dark current is this much above the others' is hot.
    pub(crate) hot_pixel_counts_per_s: f64,
    pub(crate) hot_pixels_max: usize,
    /// From the photon transfer: least and most.
    pub(crate) electrons_per_count: [f64; 2],
    pub(crate) nonlinearity_pct_max: f64,
    pub(crate) axis_rms_per_cm_max: f64,
    pub(crate) axis_missing_max: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Unplug {
    /// Not on this bench.
    None,
    /// Somebody stands beside it.
    Prompt,
    /// Commands that cut and restore the supply, as uhubctl's.
    Command { off: Vec<String>, on: Vec<String> },
    /// The simulator hangs up and comes back.
    Simulated,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Soak {
    /// Zero leaves it out.
    #[serde(with = "humantime_serde")]
    pub(crate) lasts: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) period: Duration,
    /// The bench's broker, without credentials; absent: the daemon's own.
    pub(crate) broker: Option<RigBroker>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RigBroker {
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Simulated {
    pub(crate) seed: u64,
    pub(crate) baud: u32,
    /// Whether bytes take their time on the line.
    pub(crate) paced: bool,
    /// From the start.
    #[serde(default)]
    pub(crate) faults: Vec<String>,
}

impl Rig {
    /// Reads a file; the error names file, line and key.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::error::Error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let rig: Self = toml::from_str(&text).map_err(|error| told(&error))?;
        rig.profile().and(rig.material()).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(rig)
    }

    fn profile(&self) -> Result<&'static Profile, String> {
        let name = &self.spectrometer.profile;
        Profile::by_name(name).ok_or_else(|| format!("spectrometer.profile: there is no profile '{name}'"))
    }

    /// What lies on the stage.
    pub(crate) fn material(&self) -> Result<Option<ReferenceMaterial>, String> {
        let Some(sample) = &self.sample else { return Ok(None) };
        let material = ReferenceMaterial::named(&sample.reference);
        material.map(Some).ok_or_else(|| format!("sample.reference: there is no material '{}'", sample.reference))
    }

    /// For the driver, where it may only ask for the laser and switch it off, which needs nobody's leave.
    pub(crate) fn settings_for_off(&self, port: &Path) -> AcquisitionSettings {
        let laser_switch =
            if self.laser.lamp_line { LaserSwitching::By(LaserControl::LampLine) } else { LaserSwitching::ByProfile };
        AcquisitionSettings { laser_switch, ..self.settings(port) }
    }

    /// For the driver. Where the laser is not allowed, nothing can switch it.
    pub(crate) fn settings(&self, port: &Path) -> AcquisitionSettings {
        let RigSpectrometer { baud, serial_number, laser_nm, exposure_min, .. } = &self.spectrometer;
        AcquisitionSettings {
            baud: baud.map_or(BaudRate::Probe, BaudRate::Fixed),
            model: SpectrometerModel::Profile(self.profile().expect("checked when the file was read")),
            serial_number: Some(serial_number.clone()),
            laser: Wavelength::from_nm(*laser_nm),
            laser_switch: match (self.laser.allowed, self.laser.lamp_line) {
                (false, _) => LaserSwitching::Elsewhere,
                (true, true) => LaserSwitching::By(LaserControl::LampLine),
                (true, false) => LaserSwitching::ByProfile,
            },
            laser_warmup: self.laser.warm_up,
            integration: crate::checks::integration(*exposure_min),
            ..AcquisitionSettings::new(port)
        }
    }
}
