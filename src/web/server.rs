//! Listening, serving connections, and stopping.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ramand_core::failure::{Failure, Kind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{Impatient, Slow};
use super::routes;
use super::settings::ServerSettings;
use super::shared::stopped;
use super::sources::Sources;

/// Bytes of a request's head: twice what the longest cookie-laden browser sends, and all a request has here.
const REQUEST_HEAD_MAX: usize = 16 * 1024;
/// Header lines of a request.
const REQUEST_HEADERS_MAX: usize = 64;
/// Before the next try when no connection can be accepted: out of file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// For the answers under way when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is taken, not this machine's, or not allowed.
    #[error("failed to listen on {address} for the web page")]
    Listen {
        /// From the configuration.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
}

impl Failure for WebError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// Bound, not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: ServerSettings,
    sources: Sources,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When it is taken or not to be had.
    pub async fn bind(settings: ServerSettings, sources: Sources) -> Result<Self, WebError> {
        let failed = |source| WebError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "the web page is open to the network, without any login");
        }
        Ok(Self { listener, address, settings, sources })
    }

    /// Where it listens: the port chosen, when the settings left it open.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves, then lets the answers under way finish, for a second at most.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let router = routes::router(self.sources.clone(), &self.settings, stopped.clone());
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => match places.clone().try_acquire_owned() {
                        Ok(place) => {
                            let connection = self.connection(stream, router.clone(), stopped.clone());
                            connections.spawn(async move {
                                let _place = place;
                                connection.await;
                            });
                        }
                        Err(_) => {
                            self.sources.metrics.web_refused.inc();
                        }
                    },
                    Err(error) => {
                        tracing::warn!(error = %error, "no connection to the web page can be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        stopping.send_replace(true);
        drain(connections).await;
    }

    fn connection(
        &self,
        stream: TcpStream,
        router: Router,
        mut stopping: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let open = OpenConnection::count(&self.sources);
        let slow = Slow::default();
        let io = TokioIo::new(Impatient::new(stream, self.settings.take_within, slow.clone()));
        let service = TowerToHyperService::new(router.layer(Extension(slow.clone())));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.head_within)
            .max_buf_size(REQUEST_HEAD_MAX)
            .max_headers(REQUEST_HEADERS_MAX)
            .serve_connection(io, service);
        async move {
            let mut connection = std::pin::pin!(connection);
            let outcome = tokio::select! {
                outcome = &mut connection => outcome,
                () = stopped(&mut stopping) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(error = %error, "a connection to the web page ended early");
            }
            if slow.is_set() {
                open.0.metrics.web_dropped.inc();
                tracing::debug!("a client of the web page was too slow and is dropped");
            }
        }
    }
}

/// Lets the connections finish, which know that the server stops, and cuts those that do not.
async fn drain(mut connections: JoinSet<()>) {
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, drained).await.is_err() {
        tracing::debug!("connections to the web page are cut");
    }
}

/// Counts a connection for as long as it lives.
struct OpenConnection(Sources);

impl OpenConnection {
    fn count(sources: &Sources) -> Self {
        sources.metrics.web_connections.inc();
        Self(sources.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.metrics.web_connections.dec();
    }
}
