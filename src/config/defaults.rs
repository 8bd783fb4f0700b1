//! The defaults in code. A test holds them equal to the reference file.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;

use super::{
    Baud, Broker, Checksum, InstrumentGate, Journal, LaserSetting, Log, LogFormat, Mqtt, Place, Spectrometer, Updates,
    Web,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Place {
    fn default() -> Self {
        Self { site: "plant".into(), line: "line-1".into(), device: "oil-1".into() }
    }
}

impl Default for Spectrometer {
    fn default() -> Self {
        Self {
            port: "/dev/serial/by-id/usb-SET-THIS-PORT".into(),
            profile: "qepro".into(),
            baud: Baud::Probe,
            baud_raise_to: None,
            serial_number: None,
            laser_nm: 785.0,
            laser: LaserSetting::Profile,
            laser_warm_up: Duration::from_secs(2),
            integration: Duration::from_millis(100),
            scans: 1,
            period: Duration::from_secs(1),
            dark_every: Duration::from_secs(10 * 60),
            checksum: Checksum::Md5,
            capture_file: None,
        }
    }
}

impl Default for InstrumentGate {
    fn default() -> Self {
        Self { signal_counts_min: 200.0, signal_to_noise_min: 10.0, saturated_pixels_max: 0 }
    }
}

impl Default for Updates {
    fn default() -> Self {
        Self { store: "/var/lib/ramand/models".into(), keys: "/etc/ramand/keys".into() }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self { path: "/var/lib/ramand/journal.sqlite".into(), capacity: ByteSize::gib(2), keep: 90 * DAY, first_seq: 1 }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            enabled: true,
            host: "localhost".into(),
            port: 1883,
            client_id: "ramand-oil-1".into(),
            keep_alive: Duration::from_secs(30),
            window: 32,
            username: None,
            password_file: None,
            ca_file: None,
            client_certificate_file: None,
            client_key_file: None,
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self { enabled: false, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)) }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), hosts: Vec::new() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}
