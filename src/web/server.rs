//! Listening, and the limits on who may occupy the server for how long.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ramand_core::failure::{Failure, Kind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::Impatient;
use super::{Sources, routes};

/// Bytes of a request's head: twice what the longest cookie-laden browser sends, and all a request has here.
const REQUEST_HEAD_MAX: usize = 16 * 1024;
/// Header lines of a request.
const REQUEST_HEADERS_MAX: usize = 64;
/// Before the next try when no connection can be accepted: out of file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// For the answers under way when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Set when a client takes less than it asked for; its connection counts as dropped then.
#[derive(Debug, Clone, Default)]
pub(super) struct Slow(Arc<AtomicBool>);

impl Slow {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct Settings {
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

impl Default for Settings {
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
    settings: Settings,
    sources: Sources,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    /// When it is taken or not to be had.
    pub async fn bind(settings: Settings, sources: Sources) -> Result<Self, WebError> {
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
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, drained).await.is_err() {
            tracing::debug!("connections to the web page are cut");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        router: Router,
        mut stopped: watch::Receiver<bool>,
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
                () = self::stopped(&mut stopped) => {
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

/// Resolves when the server stops, or is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
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
