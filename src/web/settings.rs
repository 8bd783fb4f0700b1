//! How the page is served, and the limits on who may occupy the server for how long.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Address and port (0: any free one). Anything but loopback shows the page to the network, without any login.
    pub listen: SocketAddr,
    /// Names, besides loopback's own, that clients may call this server by: those of a reverse proxy.
    pub hosts: Vec<String>,
    /// The age at which the page calls a result stale.
    pub stale_after: Duration,
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// Of which streams of live updates: fewer, so that the metrics and the health always get through.
    pub watchers_max: usize,
    /// For a client to send a request's head, and between two requests.
    pub head_within: Duration,
    /// For a client to take some bytes of the answer.
    pub take_within: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
            hosts: Vec::new(),
            stale_after: Duration::from_secs(60),
            connections_max: 64,
            watchers_max: 32,
            head_within: Duration::from_secs(15),
            take_within: Duration::from_secs(15),
        }
    }
}
