//! The live page, history and metrics over HTTP: read-only.
//!
//! The daemon feeds [`Live`] and [`Metrics`] and answers [`History`] and [`Health`]; a [`Server`] shows them. docs/web.md
//! lists the endpoints.

mod assets;
mod connection;
mod events;
mod guard;
mod live;
mod metrics;
mod refusal;
mod routes;
mod server;
mod settings;
mod shared;
mod sources;

pub use self::live::{Live, LiveUpdate, ModelMaps};
pub use self::metrics::{Metrics, Peer, PeerState};
pub use self::server::{Server, WebError};
pub use self::settings::ServerSettings;
pub use self::sources::{Health, History, Sources};

#[cfg(test)]
mod tests;
