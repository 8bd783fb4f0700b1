//! From the configuration to the settings of each part.

use std::net::SocketAddr;
use std::sync::Arc;

use ocean_binary_protocol::{Checksum, LaserControl, Profile};
use ramand_core::decide::{Guard, InstrumentLimits, LaserProof, Limit, Rules, Ungated};
use ramand_core::forwarder::Pace;
use ramand_core::record::{Audience, Seq};
use ramand_core::spectrum::{IntegrationTime, Wavelength};
use ramand_model::inspect::Inspector;

use super::DaemonError;
use crate::acquire;
use crate::config::{self, Config};
use crate::journal::JournalSettings;
use crate::publish::{BrokerAddress, ClientCertificate, Credentials, PublisherSettings, Security, Topics, wire};
use crate::update::Trust;
use crate::web::ServerSettings;

/// The models of the configuration with their limits, ready to inspect.
///
/// # Errors
/// When a bundle cannot be opened or may not run, or a limit does not fit its model.
pub fn inspector(config: &Config) -> Result<Inspector, DaemonError> {
    let trust = trust(config);
    let mut models = Vec::new();
    for model in &config.models {
        let failed = |source| DaemonError::Update { path: model.path.clone(), source: Box::new(source) };
        models.push((Arc::new(trust.open(&model.path).map_err(failed)?), rules(model)));
    }
    Ok(Inspector::new(models, instrument_limits(config))?)
}

/// What the line demands of one model.
pub fn rules(model: &config::ModelEntry) -> Rules {
    let ungated = if model.allow_ungated { Ungated::Remarked } else { Ungated::Invalid };
    let limits = [
        model.above.map(Limit::Above),
        model.below.map(Limit::Below),
        model.allowed.clone().map(Limit::Classes),
        model.probability_min.map(Limit::ProbabilityMin),
    ];
    let guard = match model.guard {
        config::Guard::None => Guard::None,
        config::Guard::Interval => Guard::Interval,
    };
    let limits = limits.into_iter().flatten().collect();
    Rules { limits, ungated, significance: model.significance, guard }
}

/// What the line demands of the measurement.
pub fn instrument_limits(config: &Config) -> InstrumentLimits {
    let gate = &config.instrument_gate;
    InstrumentLimits {
        saturated_pixels_max: gate.saturated_pixels_max,
        signal_counts_min: gate.signal_counts_min,
        signal_to_noise_min: gate.signal_to_noise_min,
        laser: LaserProof::Confirmed,
    }
}

/// What may run.
pub fn trust(config: &Config) -> Trust {
    Trust::new(&config.updates.store, &config.updates.keys)
}

/// The instrument and its line.
///
/// # Errors
/// When there is no such profile.
pub fn instrument(config: &Config) -> Result<acquire::AcquisitionSettings, DaemonError> {
    let spectrometer = &config.spectrometer;
    let profile = Profile::by_name(&spectrometer.profile)
        .ok_or_else(|| DaemonError::Profile { profile: spectrometer.profile.clone() })?;
    let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let defaults = acquire::AcquisitionSettings::new(&spectrometer.port);
    let settings = acquire::AcquisitionSettings {
        baud: match (spectrometer.baud, spectrometer.baud_raise_to) {
            (_, Some(rate)) => acquire::BaudRate::Negotiate(rate),
            (config::Baud::Probe, None) => acquire::BaudRate::Probe,
            (config::Baud::Fixed(rate), None) => acquire::BaudRate::Fixed(rate),
        },
        model: acquire::SpectrometerModel::Profile(profile),
        serial_number: spectrometer.serial_number.clone(),
        laser: Wavelength::from_nm(spectrometer.laser_nm),
        laser_switch: match spectrometer.laser {
            config::LaserSetting::Profile => acquire::LaserSwitching::ByProfile,
            config::LaserSetting::LampLine => acquire::LaserSwitching::By(LaserControl::LampLine),
        },
        laser_warmup: spectrometer.laser_warm_up,
        integration: IntegrationTime::from_micros(micros(spectrometer.integration)),
        scans: spectrometer.scans,
        dark_refresh: acquire::DarkRefresh { age_max: spectrometer.dark_every, ..defaults.dark_refresh },
        period: spectrometer.period,
        checksum: match spectrometer.checksum {
            config::Checksum::Md5 => Checksum::Md5,
            config::Checksum::None => Checksum::None,
        },
        ..defaults
    };
    acquire::check_limits(&settings, profile)?;
    Ok(settings)
}

/// The store.
pub(super) fn journal(config: &Config) -> JournalSettings {
    JournalSettings {
        bytes_max: config.journal.capacity.as_u64(),
        age_max: config.journal.keep,
        first_seq: Seq::new(config.journal.first_seq),
        encode_gap: wire::gap,
        gap_audience: if publishes(config) { Audience::Subscribers } else { Audience::JournalOnly },
    }
}

/// The MQTT client; `None` where nothing is published. An embedded broker is published to, wherever it listens.
pub(super) fn publisher(config: &Config, topics: Topics, own: Option<SocketAddr>) -> Option<PublisherSettings> {
    let mqtt = &config.mqtt;
    let broker = match own {
        Some(address) => BrokerAddress {
            host: address.ip().to_string(),
            port: address.port(),
            security: Security::Plain,
            credentials: None,
        },
        None => broker_address(config),
    };
    publishes(config).then(|| PublisherSettings {
        broker,
        client_id: mqtt.client_id.clone(),
        topics,
        keep_alive: mqtt.keep_alive,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pace: Pace { window: usize::from(mqtt.window), jitter_seed: u64::from(std::process::id()), ..Pace::default() },
    })
}

/// The plant's broker, and who we are to it.
pub fn broker_address(config: &Config) -> BrokerAddress {
    let mqtt = &config.mqtt;
    let client = mqtt.client_certificate_file.clone().zip(mqtt.client_key_file.clone());
    BrokerAddress {
        host: mqtt.host.clone(),
        port: mqtt.port,
        security: mqtt.ca_file.clone().map_or(Security::Plain, |ca| {
            let client = client.map(|(certificate, key)| ClientCertificate { certificate, key });
            Security::Tls { ca, client }
        }),
        credentials: mqtt
            .username
            .clone()
            .zip(mqtt.password_file.clone())
            .map(|(user, password_file)| Credentials { user, password_file }),
    }
}

/// Whether anybody is told.
fn publishes(config: &Config) -> bool {
    config.mqtt.enabled || config.broker.enabled
}

/// The live page.
pub(super) fn web(config: &Config) -> Option<ServerSettings> {
    // A result is late when three periods have passed without one, and never earlier than the page's own default.
    let defaults = ServerSettings::default();
    config.web.enabled.then(|| ServerSettings {
        listen: config.web.listen,
        hosts: config.web.hosts.clone(),
        stale_after: defaults.stale_after.max(config.spectrometer.period.saturating_mul(3)),
        ..defaults
    })
}
