//! One MQTT connection: what it takes to make it, and the task that keeps it going until it ends.
//!
//! Every connection has a client of its own. A client that reconnects by itself would repeat or drop what was in flight
//! by its own rules; here the forwarder owes it all again, whatever the broker remembers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, PublishNotice,
    QoS, Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PublishError;

/// The largest payload: what the journal keeps at most, with room for topic and header.
pub const PAYLOAD_BYTES_MAX: usize = (16 << 20) + 4096;

/// A broker sends acknowledgements and pings; this client subscribes to nothing.
const INCOMING_BYTES_MAX: usize = 64 << 10;

/// The largest certificate, key or password file: hundreds of certificates fit.
const SECRET_FILE_BYTES_MAX: u64 = 1 << 20;

/// How the broker is reached.
#[derive(Debug, Clone)]
pub struct BrokerAddress {
    /// Name or address; with TLS, the name in the broker's certificate.
    pub host: String,
    /// 1883 as a rule, 8883 with TLS.
    pub port: u16,
    /// How it is made sure who is at the other end.
    pub security: Security,
    /// Who we are.
    pub credentials: Option<Credentials>,
}

/// Encryption, and who proves what to whom.
#[derive(Debug, Clone)]
pub enum Security {
    /// None: for loopback and networks of one's own.
    Plain,
    /// TLS 1.2 or 1.3.
    Tls {
        /// PEM file with the authorities that may vouch for the broker.
        ca: PathBuf,
        /// What we show the broker.
        client: Option<ClientCertificate>,
    },
}

/// PEM files of a client.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Certificate and those between it and the authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Name and password. The password stays in its file, is read for every connection, and never logged.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub user: String,
    /// Holds the password; white space around it is not part of it.
    pub password_file: PathBuf,
}

impl BrokerAddress {
    /// All that a connection needs, files read.
    pub(super) fn options(
        &self,
        client_id: &str,
        keep_alive: Duration,
        inflight_max: usize,
        will: Option<LastWill>,
    ) -> Result<MqttOptions, PublishError> {
        let mut options = MqttOptions::new(client_id, (self.host.as_str(), self.port));
        options
            .set_clean_session(true)
            .set_keep_alive(u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX))
            .set_max_packet_size(INCOMING_BYTES_MAX, PAYLOAD_BYTES_MAX)
            .set_inflight(u16::try_from(inflight_max).unwrap_or(u16::MAX).max(1));
        if let Some(will) = will {
            options.set_last_will(will);
        }
        if let Security::Tls { ca, client } = &self.security {
            let client = client
                .as_ref()
                .map(|client| Ok::<_, PublishError>((secret(&client.certificate)?, secret(&client.key)?)))
                .transpose()?;
            options.set_transport(Transport::tls(secret(ca)?, client, None));
        }
        if let Some(Credentials { user, password_file }) = &self.credentials {
            options.set_credentials(user, secret(password_file)?.trim_ascii().to_vec());
        }
        Ok(options)
    }
}

/// Makes one connection and ends it, without publishing anything. `client_id` must be nobody else's.
///
/// # Errors
/// When a file cannot be read, or there is no connection within `patience`.
pub fn reach(address: &BrokerAddress, client_id: &str, patience: Duration) -> Result<(), PublishError> {
    let unreachable = |why: String| PublishError::Unreachable { why };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
    let options = address.options(client_id, patience * 2, 1, None)?;
    runtime.block_on(async {
        let mut connection = Connection::open(options, 1);
        match tokio::time::timeout(patience, connection.events.recv()).await {
            Ok(Some(ConnectionEvent::Up)) => {
                connection.close(patience).await;
                Ok(())
            }
            Ok(Some(ConnectionEvent::Down(why))) => Err(unreachable(why)),
            Ok(None) => Err(unreachable("the connection ended".to_owned())),
            Err(_) => Err(unreachable(format!("no answer within {} s", patience.as_secs()))),
        }
    })
}

fn secret(path: &Path) -> Result<Vec<u8>, PublishError> {
    let failed = |source| PublishError::Secret { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > SECRET_FILE_BYTES_MAX {
        return Err(PublishError::SecretTooLarge { path: path.to_owned(), bytes });
    }
    std::fs::read(path).map_err(failed)
}

/// What becomes of a connection.
#[derive(Debug)]
pub(super) enum ConnectionEvent {
    /// The broker accepted it.
    Up,
    /// It is lost, was refused or could not be made: why.
    Down(String),
}

/// A connection being made or up. Dropping it ends it without a word, and the broker publishes the will.
#[derive(Debug)]
pub(super) struct Connection {
    client: AsyncClient,
    pub(super) events: mpsc::Receiver<ConnectionEvent>,
    task: JoinHandle<()>,
}

impl Connection {
    /// `requests_max` publishes fit the queue to the connection's task.
    pub(super) fn open(options: MqttOptions, requests_max: usize) -> Self {
        let (client, event_loop) = AsyncClient::builder(options).capacity(requests_max).build();
        // Up and down: no third event can come.
        let (sender, events) = mpsc::channel(2);
        Self { client, events, task: tokio::spawn(drive(event_loop, sender)) }
    }

    /// Queues a publish. `None` when the queue is full or the connection's task is gone.
    pub(super) fn publish(&self, topic: String, retained: Retained, payload: Vec<u8>) -> Option<PublishNotice> {
        let retain = retained == Retained::Yes;
        self.client.try_publish_tracked(topic, QoS::AtLeastOnce, retain, payload).ok()
    }

    /// Says goodbye: the broker forgets the will.
    pub(super) async fn close(mut self, patience: Duration) {
        if self.client.try_disconnect_with_timeout(patience).is_ok() {
            // The task ends by itself when the goodbye is out; otherwise dropping `self` ends it.
            let _ = tokio::time::timeout(patience, &mut self.task).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the broker keeps the newest payload for those who subscribe later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Yes,
    No,
}

async fn drive(mut event_loop: EventLoop, events: mpsc::Sender<ConnectionEvent>) {
    let reason = loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if events.send(ConnectionEvent::Up).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => break explain(&error),
        }
    };
    // Nobody listens any more when the connection was closed on purpose.
    let _ = events.send(ConnectionEvent::Down(reason)).await;
}

/// In the operator's words.
fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => "the broker refuses the credentials: check user, password file and the broker's access rules".to_owned(),
        ConnectionError::ConnectionRefused(code) => format!("the broker refuses the connection: {code:?}"),
        ConnectionError::NetworkTimeout => "the broker does not answer".to_owned(),
        ConnectionError::Io(error) => format!("the connection failed: {error}"),
        ConnectionError::Tls(error) => format!("the encrypted connection failed: {error}"),
        other => format!("the connection ended: {other}"),
    }
}
