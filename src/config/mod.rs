//! The configuration file: one commented TOML, whose embedded default is the reference.

mod defaults;
mod model;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use ramand_core::failure::{Failure, Kind};
use serde::Deserialize;

pub use self::model::{Guard, ModelEntry, Updates};

/// The reference: every key with its default, and what it means.
pub const REFERENCE: &str = include_str!("../../ramand.toml");

/// A configuration file is a few kilobytes; anything larger is not one.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The longest time between two spectra, or of anything that makes one.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// MQTT counts whole seconds, 0 is never, and a dead link should be noticed after minutes, not at once.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);

/// 16 bits of seconds.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(65_535);

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration {}", path.display())]
    Read {
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Too long to be a configuration.
    #[error("{} is longer than {FILE_BYTES_MAX} bytes: not a configuration", path.display())]
    TooLong { path: PathBuf },
    /// Not TOML, an unknown key, or a value of the wrong type: the cause names line and column.
    #[error("the configuration {} cannot be understood", path.display())]
    Syntax {
        path: PathBuf,
        /// Line, column, and what was expected there.
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be used.
    #[error("{}: {key}: {why}", path.display())]
    Value {
        path: PathBuf,
        /// Dotted name of the key.
        key: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
}

impl Failure for ConfigError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where results go.
    pub place: Place,
    /// The instrument and its line.
    pub spectrometer: Spectrometer,
    /// Limits of the measurement itself.
    pub instrument_gate: InstrumentGate,
    /// The models, in the order of the result.
    #[serde(rename = "model")]
    pub models: Vec<ModelEntry>,
    /// Where models that are replaced without the package live.
    pub updates: Updates,
    /// The store on disk.
    pub journal: Journal,
    /// The plant's broker.
    pub mqtt: Mqtt,
    pub broker: Broker,
    /// The live page.
    pub web: Web,
    /// What is logged, and how.
    pub log: Log,
}

/// `[place]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// Level 1 of the topic.
    pub site: String,
    /// Level 2.
    pub line: String,
    /// Level 3.
    pub device: String,
}

/// `[spectrometer]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spectrometer {
    /// Path of the serial device.
    pub port: PathBuf,
    /// `qepro` or `sts`.
    pub profile: String,
    /// A rate, or `probe`.
    pub baud: Baud,
    /// Negotiate this rate with the device once it answers.
    pub baud_raise_to: Option<u32>,
    /// The only instrument accepted.
    pub serial_number: Option<String>,
    /// Measured laser wavelength, nm.
    pub laser_nm: f64,
    /// How the laser is switched.
    pub laser: LaserSetting,
    /// From on to stable.
    #[serde(with = "humantime_serde")]
    pub laser_warm_up: Duration,
    /// Exposure of one scan.
    #[serde(with = "humantime_serde")]
    pub integration: Duration,
    /// Scans averaged in the instrument.
    pub scans: u16,
    /// From one spectrum to the next.
    #[serde(with = "humantime_serde")]
    pub period: Duration,
    /// Age at which a dark frame expires.
    #[serde(with = "humantime_serde")]
    pub dark_every: Duration,
    /// What the device is asked to send.
    pub checksum: Checksum,
    /// Where the conversation on the line is recorded.
    pub capture_file: Option<PathBuf>,
}

/// Rate of the serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum Baud {
    /// Try the usual rates.
    Probe,
    /// Bits per second.
    Fixed(u32),
}

impl TryFrom<toml::Value> for Baud {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) if text == "probe" => Ok(Self::Probe),
            toml::Value::Integer(rate) if (300..=4_000_000).contains(&rate) => {
                u32::try_from(rate).map(Self::Fixed).map_err(|error| error.to_string())
            }
            other => Err(format!("baud is \"probe\" or a rate from 300 to 4000000, not {other}")),
        }
    }
}

/// How the laser is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaserSetting {
    /// As the profile says.
    Profile,
    /// By the lamp enable line, whatever the profile says.
    LampLine,
}

/// Checksum of the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// MD5 of header and payload.
    Md5,
    /// None.
    None,
}

/// `[instrument_gate]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstrumentGate {
    /// 95th percentile of light − dark, counts.
    pub signal_counts_min: f32,
    /// Signal over noise.
    pub signal_to_noise_min: f32,
    /// Pixels allowed at saturation.
    pub saturated_pixels_max: usize,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    pub path: PathBuf,
    /// How large it may grow.
    pub capacity: ByteSize,
    /// How long delivered records stay.
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
    /// Where the numbers start in a new file.
    pub first_seq: u64,
}

/// `[mqtt]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Publish at all.
    pub enabled: bool,
    /// Name or address of the broker.
    pub host: String,
    pub port: u16,
    /// Unique on the broker.
    pub client_id: String,
    /// Longest silence on the connection.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// Publishes in flight: sent and not acknowledged yet.
    pub window: u16,
    /// Name of the account on the broker.
    pub username: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// Certificate authority: switches TLS on.
    pub ca_file: Option<PathBuf>,
    /// Client certificate.
    pub client_certificate_file: Option<PathBuf>,
    /// Its key.
    pub client_key_file: Option<PathBuf>,
}

/// `[broker]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Run one.
    pub enabled: bool,
    /// Address and port; port 0 is any free one.
    pub listen: SocketAddr,
}

/// `[web]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Serve the page.
    pub enabled: bool,
    /// Address and port; port 0 is any free one.
    pub listen: SocketAddr,
    /// Names of a reverse proxy that clients may call the page by.
    pub hosts: Vec<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A `tracing` filter.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text on a terminal, journald under systemd, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
    /// Fields of the system journal.
    Journald,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, has an unknown key or an unusable value; all are the operator's.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
            return Err(ConfigError::TooLong { path: path.to_owned() });
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(failed)?)
    }

    /// As [`Config::read`], of a text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        config.check().map_err(|(key, why)| ConfigError::Value { path: path.to_owned(), key, why })?;
        Ok(config)
    }

    /// What the types cannot say. Paths are checked where they are opened.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { spectrometer, instrument_gate, journal, mqtt, .. } = self;
        let refuse = |key, why: &str| Err((key, why.to_owned()));
        if !(200.0..=2000.0).contains(&spectrometer.laser_nm) {
            return refuse("spectrometer.laser_nm", "a laser wavelength is between 200 and 2000 nm");
        }
        if spectrometer.scans == 0 {
            return refuse("spectrometer.scans", "at least 1 scan makes a spectrum");
        }
        if spectrometer.integration.is_zero() {
            return refuse("spectrometer.integration", "an exposure takes time: \"100 ms\", say");
        }
        let limits = [instrument_gate.signal_counts_min, instrument_gate.signal_to_noise_min];
        if limits.iter().any(|limit| !limit.is_finite() || *limit < 0.0) {
            return refuse("instrument_gate", "limits are finite and not negative");
        }
        if journal.capacity < ByteSize::mib(1) {
            return refuse("journal.capacity", "less than 1 MiB holds too few spectra to bridge any outage");
        }
        if self.broker.enabled && !cfg!(feature = "broker") {
            return refuse(
                "broker.enabled",
                "this build of ramand has no broker: it was built without the feature `broker`",
            );
        }
        if mqtt.window == 0 {
            return refuse("mqtt.window", "at least 1 publish must be allowed in flight");
        }
        if mqtt.client_certificate_file.is_some() != mqtt.client_key_file.is_some() {
            return refuse("mqtt.client_certificate_file", "a client certificate and its key go together");
        }
        if mqtt.client_certificate_file.is_some() && mqtt.ca_file.is_none() {
            return refuse("mqtt.ca_file", "a client certificate is shown over TLS only: name the broker's authority");
        }
        if !(KEEP_ALIVE_MIN..=KEEP_ALIVE_MAX).contains(&mqtt.keep_alive) {
            return refuse("mqtt.keep_alive", "a keep-alive is between 5 s and 18 h");
        }
        let paces =
            [spectrometer.integration, spectrometer.period, spectrometer.laser_warm_up, spectrometer.dark_every];
        if paces.iter().any(|pace| *pace > DAY) {
            return refuse("spectrometer", "no exposure, pause, warm-up or dark frame's life is longer than a day");
        }
        if spectrometer.baud_raise_to.is_some() && spectrometer.baud != Baud::Probe {
            return refuse(
                "spectrometer.baud_raise_to",
                "a rate is negotiated once somebody answers: baud = \"probe\"",
            );
        }
        if mqtt.password_file.is_some() != mqtt.username.is_some() {
            return refuse("mqtt.password_file", "mqtt.username and mqtt.password_file go together");
        }
        for model in &self.models {
            let share = |limit: Option<f32>| limit.is_none_or(|limit| (0.0..=1.0).contains(&limit));
            if !share(model.probability_min) {
                return refuse("model.probability_min", "a probability is between 0 and 1");
            }
            if model.significance.is_some_and(|share| !(0.0..1.0).contains(&share)) {
                return refuse("model.significance", "a share of good spectra is between 0 and 1: 0.01, say");
            }
            if [model.above, model.below].into_iter().flatten().any(|limit| !limit.is_finite()) {
                return refuse("model.above", "a limit is a finite number");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("ramand.toml"), text)
    }

    #[test]
    fn the_reference_is_the_default() {
        assert_eq!(parse(REFERENCE).expect("valid"), Config::default());
        assert_eq!(parse("").expect("valid"), Config::default());
    }

    #[test]
    fn every_commented_key_of_the_reference_exists() {
        let uncommented: String = REFERENCE
            .lines()
            .map(|line| {
                line.strip_prefix('#').filter(|rest| rest.contains('=') || rest.starts_with("[[")).unwrap_or(line)
            })
            .filter(|line| !line.starts_with(' ') && !line.starts_with("allowed"))
            .map(|line| format!("{line}\n"))
            .collect();
        let config = parse(&uncommented).expect("valid");
        assert_eq!(config.models.len(), 2);
        assert_eq!(config.models[1].above, Some(25.0));
        assert_eq!(config.spectrometer.serial_number.as_deref(), Some("QEP01234"));
        assert!(config.mqtt.ca_file.is_some());
    }

    #[test]
    fn faults_name_line_and_key() {
        let cases = [
            ("[spectrometer]\nprot = \"x\"\n", ["line 2", "prot"]),
            ("[spectrometer]\nintegration = 100\n", ["line 2", "integration"]),
            ("[spectrometer]\nperiod = \"10\"\n", ["line 2", "period"]),
            ("[spectrometer]\nbaud = 12\n", ["line 2", "300"]),
            ("[mqtt]\nport = 70000\n", ["line 2", "port"]),
            ("[journal]\ncapacity = \"12 parsecs\"\n", ["line 2", "capacity"]),
            ("[spectrometer]\nlaser_nm = 7850.0\n", ["spectrometer.laser_nm", "2000 nm"]),
            ("[[model]]\npath = \"m\"\nprobability_min = 80\n", ["model.probability_min", "between 0 and 1"]),
            ("[[model]]\npath = \"m\"\nsignificance = 1.0\n", ["model.significance", "between 0 and 1"]),
            ("[[model]]\npath = \"m\"\nguard = \"always\"\n", ["line 3", "guard"]),
            ("[mqtt]\nkeep_alive = \"500 ms\"\n", ["mqtt.keep_alive", "5 s"]),
            ("[mqtt]\nclient_certificate_file = \"a\"\nclient_key_file = \"b\"\n", ["mqtt.ca_file", "TLS"]),
            ("[spectrometer]\nperiod = \"400 days\"\n", ["spectrometer", "longer than a day"]),
            ("[mqtt]\npassword_file = \"p\"\n", ["mqtt.password_file", "mqtt.username"]),
        ];
        for (text, expected) in cases {
            let message = ramand_core::failure::chain(&parse(text).expect_err(text));
            for part in expected {
                assert!(message.contains(part), "{text}: {message}");
            }
        }
    }
}
