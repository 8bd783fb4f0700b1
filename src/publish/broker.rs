//! A broker inside the program, for places that have none: rumqttd, on loopback unless told otherwise.
//!
//! It holds everything in memory: an acknowledgement of it says that subscribers who are there get the record, not that
//! it is on a disk. It has no way to stop and lives as long as the process.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ramand_core::failure::{Failure, Kind};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

use super::connection::PAYLOAD_BYTES_MAX;

/// Clients at most: a control room, a historian, and a few curious ones.
const CONNECTIONS_MAX: usize = 64;

/// Memory for the records of one topic: two segments of this, the older one dropped when the newer is full. A subscriber
/// that falls further behind than that misses records, without a gap record.
const SEGMENT_BYTES_MAX: usize = 512 << 10;

/// How long the broker may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(5);

/// How often it is asked whether it listens.
const LISTEN_POLL: Duration = Duration::from_millis(2);

/// Another process may take a free port between asking for it and listening on it; hardly so many times in a row.
const PORT_ATTEMPTS_MAX: usize = 8;

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address is taken or not ours.
    #[error("failed to listen on {address} for MQTT")]
    Listen {
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The broker's thread did not start or ended at once.
    #[error("the embedded broker does not run on {address}")]
    NotRunning { address: SocketAddr },
}

impl Failure for BrokerError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// Starts the broker and answers where it listens; port 0 is any free one.
///
/// # Errors
/// When the address cannot be listened on.
pub fn start(address: SocketAddr) -> Result<SocketAddr, BrokerError> {
    for _ in 1..PORT_ATTEMPTS_MAX {
        // The broker cannot be given a socket and does not tell which one it took: the port is tried first, and let go.
        let probed = TcpListener::bind(address)
            .and_then(|listener| listener.local_addr())
            .map_err(|source| BrokerError::Listen { address, source })?;
        match run(probed) {
            Err(BrokerError::NotRunning { .. }) if address.port() == 0 => {}
            outcome => return outcome.map(|()| probed),
        }
    }
    Err(BrokerError::NotRunning { address })
}

fn run(address: SocketAddr) -> Result<(), BrokerError> {
    let mut broker = Broker::new(config(address));
    let started = Instant::now();
    let broker = thread::Builder::new()
        .name("mqtt-broker".to_owned())
        .spawn(move || drop(broker.start()))
        .map_err(|source| BrokerError::Listen { address, source })?;
    // It returns when it cannot listen, and never when it can.
    while !broker.is_finished() && started.elapsed() < LISTEN_MAX {
        if TcpStream::connect_timeout(&reachable(address), LISTEN_MAX).is_ok() && !broker.is_finished() {
            return Ok(());
        }
        thread::sleep(LISTEN_POLL);
    }
    Err(BrokerError::NotRunning { address })
}

/// Where a client on this machine reaches a server that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

fn config(listen: SocketAddr) -> Config {
    let server = ServerSettings {
        name: "mqtt-broker-v4".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5000,
            max_payload_size: PAYLOAD_BYTES_MAX,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    Config {
        router: RouterConfig {
            max_connections: CONNECTIONS_MAX,
            max_outgoing_packet_count: 200,
            max_segment_size: SEGMENT_BYTES_MAX,
            max_segment_count: 2,
            ..RouterConfig::default()
        },
        v4: Some(HashMap::from([("1".to_owned(), server)])),
        ..Config::default()
    }
}
