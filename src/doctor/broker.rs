//! The broker: whether it is there, and takes us as who we say we are.

use std::time::Duration;

use ramand_core::failure::Kind;

use super::{Diagnosis, Root, handed_over};
use crate::config::Config;
use crate::daemon;
use crate::publish;

/// For a name to be resolved, a connection to be made and the broker to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn examine(config: &Config, root: &Root) -> Vec<Diagnosis> {
    if config.broker.enabled {
        return vec![Diagnosis::noted(
            "broker",
            format!("the embedded one, at {}, once the daemon runs", config.broker.listen),
        )];
    }
    if !config.mqtt.enabled {
        return vec![Diagnosis::noted("broker", "nothing is published (mqtt.enabled)")];
    }
    let address = daemon::broker_address(config);
    let place = format!("{}:{}", address.host, address.port);
    let mqtt = &config.mqtt;
    let files = [&mqtt.password_file, &mqtt.ca_file, &mqtt.client_certificate_file, &mqtt.client_key_file];
    if let Some(file) = files.into_iter().flatten().find(|file| handed_over(file, root).is_some()) {
        let says = format!("{place}: not asked: {} is there only while the service runs", file.display());
        return vec![Diagnosis::noted("broker", says)];
    }
    // A name of its own: a second client of the daemon's name would throw the daemon out.
    let client_id = format!("{}-doctor-{}", config.mqtt.client_id, std::process::id());
    vec![match publish::reach(&address, &client_id, PATIENCE) {
        Ok(()) => Diagnosis::good("broker", format!("{place} takes the connection")),
        Err(error) => {
            let kind = ramand_core::failure::Failure::kind(&error);
            let hint = if kind == Kind::Operator { "" } else { "; results are kept until it does" };
            Diagnosis::mend("broker", kind, format!("{place}: {}{hint}", ramand_core::failure::chain(&error)))
        }
    }]
}
