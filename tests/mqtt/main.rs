//! Delivery against a real broker: Mosquitto on loopback, killed, refusing, encrypted; and the embedded one.
//!
//! What arrives is read from Mosquitto's own log, which names every publish it receives with its size: record n carries
//! [`RECORD_BYTES`] + n bytes. A broker that is killed forgets what it had not passed on; its log does not.

#[path = "../support/missing.rs"]
mod missing;
mod mosquitto;
#[path = "../support/stretched.rs"]
mod stretched;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use missing::missing;
use mosquitto::{Mosquitto, mosquitto};
use ramand::journal::{Journal, JournalSettings};
#[cfg(feature = "broker")]
use ramand::publish::broker;
use ramand::publish::{
    BrokerAddress, ClientCertificate, Credentials, Delivery, Latest, Link, Publisher, PublisherSettings, Security,
    Topics, wire,
};
use ramand_core::forwarder::Pace;
use ramand_core::record::{Audience, Clock, Entry, Part, PartKind, Seq};

/// Far longer than anything here takes: a test that waits for it has failed.
fn patience() -> Duration {
    stretched(Duration::from_secs(30))
}

/// What needs no waiting at all.
const AT_ONCE: Duration = Duration::from_millis(7_500);

const RECORD_BYTES: usize = 2000;

const PACE: Pace = Pace {
    window: 16,
    retry_min: Duration::from_millis(100),
    retry_max: Duration::from_millis(800),
    acknowledge_max: Duration::from_secs(10),
    jitter_seed: 1,
};

use stretched::stretched;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience(), event).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

fn settings(port: u16) -> PublisherSettings {
    PublisherSettings {
        broker: BrokerAddress { host: "localhost".into(), port, security: Security::Plain, credentials: None },
        client_id: "ramand-QEP1".into(),
        topics: Topics::new("mill", "line-1", "QEP1").expect("plain names"),
        keep_alive: Duration::from_secs(5),
        version: "0.1.0".into(),
        pace: PACE,
    }
}

fn journal(folder: &Path) -> Arc<Journal> {
    let settings = JournalSettings {
        bytes_max: 1 << 30,
        age_max: Duration::from_secs(1 << 20),
        first_seq: Seq::new(1),
        encode_gap: wire::gap,
        gap_audience: Audience::Subscribers,
    };
    Arc::new(Journal::open(&folder.join("journal.sqlite"), settings).expect("opens"))
}

fn append(journal: &Journal, records: u64) -> Seq {
    let mut last = Seq::new(1);
    for _ in 0..records {
        let build = |seq: Seq| Entry {
            id: seq.to_string(),
            time: UNIX_EPOCH,
            clock: Clock::Synchronised,
            parts: vec![Part::owed(PartKind::Result, vec![b'x'; RECORD_BYTES + seq.number() as usize])],
        };
        last = journal.append(build).expect("room");
    }
    last
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn until(publisher: &Publisher, what: &str, condition: impl FnMut(&Delivery) -> bool) -> Delivery {
    let mut delivery = publisher.delivery();
    within(what, delivery.wait_for(condition)).await.expect("the publisher runs").clone()
}

fn is_connected(delivery: &Delivery) -> bool {
    matches!(delivery.link, Link::Connected { .. })
}

fn check_every_record_arrives_although_the_broker_is_killed(options: &str) {
    const BEFORE: u64 = 150;
    const AFTER: u64 = 50;
    let Some(program) = mosquitto() else { return };
    runtime().block_on(async {
        let mut broker = Mosquitto::start(program, folder(), options).await;
        let place = folder();
        let journal = journal(place.path());
        append(&journal, BEFORE);
        let publisher = Publisher::start(settings(broker.port), journal.clone()).expect("starts");

        let mut arrived = Vec::new();
        for killed_at in [BEFORE / 5, BEFORE / 2] {
            broker.records_until(killed_at, &mut arrived).await;
            broker.kill_and_restart(&mut arrived).await;
        }
        let last = append(&journal, AFTER);
        publisher.notify_appended();
        broker.records_until(last.number(), &mut arrived).await;
        publisher.stop(patience()).await;

        let first_arrivals: Vec<u64> = {
            let mut seen = BTreeSet::new();
            arrived.into_iter().filter(|&number| seen.insert(number)).collect()
        };
        assert_eq!(first_arrivals, (1..=BEFORE + AFTER).collect::<Vec<_>>());
        assert_eq!(journal.owed(None, 1).expect("readable"), [], "everything is marked as delivered");
    });
}

#[test]
fn every_record_arrives_although_a_broker_without_memory_is_killed() {
    check_every_record_arrives_although_the_broker_is_killed("allow_anonymous true\npersistence false");
}

#[test]
fn every_record_arrives_although_a_broker_with_memory_is_killed() {
    check_every_record_arrives_although_the_broker_is_killed("allow_anonymous true\npersistence true");
}

#[test]
fn records_wait_for_a_broker_that_is_not_there() {
    let Some(program) = mosquitto() else { return };
    runtime().block_on(async {
        let mut broker = Mosquitto::start(program, folder(), "allow_anonymous true").await;
        broker.process.kill();
        let place = folder();
        let journal = journal(place.path());
        append(&journal, 5);
        let publisher = Publisher::start(settings(broker.port), journal.clone()).expect("starts");
        let down = until(&publisher, "a reason", |delivery| matches!(delivery.link, Link::Disconnected { .. })).await;
        assert!(matches!(&down.link, Link::Disconnected { why, .. } if why.contains("refused")), "{down:?}");

        broker.process = Mosquitto::run(&broker.program, broker.folder.path()).await;
        let up = until(&publisher, "five acknowledgements", |delivery| delivery.acknowledged == 5).await;
        assert!(is_connected(&up), "{up:?}");
        publisher.stop(patience()).await;
        assert_eq!(journal.owed(None, 1).expect("readable"), []);
    });
}

#[test]
fn stopping_without_a_broker_takes_no_time_and_loses_nothing() {
    runtime().block_on(async {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port").port();
        let place = folder();
        let journal = journal(place.path());
        append(&journal, 3);
        let publisher = Publisher::start(settings(port), journal.clone()).expect("starts");
        until(&publisher, "a reason", |delivery| matches!(delivery.link, Link::Disconnected { .. })).await;
        let begun = Instant::now();
        publisher.stop(patience()).await;
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert_eq!(journal.owed(None, 10).expect("readable").len(), 3);
    });
}

#[test]
fn refused_credentials_are_said_and_retried_with_patience() {
    const REFUSALS: usize = 4;
    let Some(program) = mosquitto() else { return };
    runtime().block_on(async {
        let folder = folder();
        let (users, password) = (folder.path().join("users"), folder.path().join("password"));
        let status = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&users).args(["line-1", "right"]).status();
        assert!(status.expect("mosquitto_passwd comes with Mosquitto").success());
        std::fs::write(&password, "wrong\n").expect("written");
        let options = format!("allow_anonymous false\npassword_file {}", users.display());
        let mut broker = Mosquitto::start(program, folder, &options).await;
        let place = self::folder();
        let mut settings = settings(broker.port);
        settings.broker.credentials = Some(Credentials { user: "line-1".into(), password_file: password.clone() });
        let publisher = Publisher::start(settings, journal(place.path())).expect("starts");

        let begun = Instant::now();
        let refused = |delivery: &Delivery| {
            matches!(&delivery.link, Link::Disconnected { why, .. } if why.contains("refuses the credentials"))
        };
        until(&publisher, "a refusal", refused).await;
        for _ in 0..REFUSALS {
            broker.process.wait_for("Sending CONNACK to").await;
        }
        // Pauses of 100, 200 and 400 ms at least lie between four attempts.
        assert!(begun.elapsed() >= 7 * PACE.retry_min, "{:?}", begun.elapsed());

        std::fs::write(&password, " right\n").expect("written");
        until(&publisher, "the connection", is_connected).await;
        publisher.stop(patience()).await;
    });
}

/// An authority, and certificates it vouches for, made by openssl.
fn make_certificates(folder: &Path) {
    let script = r#"
        set -e
        export OPENSSL_CONF=/dev/null
        authority() {
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
                -addext basicConstraints=critical,CA:TRUE -keyout "$1.key" -out "$1.pem"
        }
        vouched() {
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
            openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$1.pem" -extfile "$2"
        }
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > server.ext
        printf 'extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n' > client.ext
        authority ca
        authority stranger
        vouched server server.ext
        vouched client client.ext
    "#;
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn both_sides_prove_who_they_are_over_tls() {
    let Some(program) = mosquitto() else { return };
    runtime().block_on(async {
        let folder = folder();
        make_certificates(folder.path());
        let file = |name: &str| folder.path().join(name);
        let (ca, stranger) = (file("ca.pem"), file("stranger.pem"));
        let client = ClientCertificate { certificate: file("client.pem"), key: file("client.key") };
        let options = format!(
            "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
            ca.display(),
            file("server.pem").display(),
            file("server.key").display()
        );
        let mut broker = Mosquitto::start(program, folder, &options).await;
        let place = self::folder();
        let journal = journal(place.path());
        let with = |ca: &PathBuf, client: Option<&ClientCertificate>| {
            let mut settings = settings(broker.port);
            settings.broker.security = Security::Tls { ca: ca.clone(), client: client.cloned() };
            Publisher::start(settings, journal.clone()).expect("the files are there")
        };

        for (ca, client) in [(&stranger, Some(&client)), (&ca, None)] {
            let publisher = with(ca, client);
            let down = |delivery: &Delivery| matches!(delivery.link, Link::Disconnected { .. });
            let delivery = until(&publisher, "a refusal", down).await;
            assert_eq!(delivery.acknowledged, 0);
            publisher.stop(patience()).await;
        }
        let last = append(&journal, 20);
        let publisher = with(&ca, Some(&client));
        let mut arrived = Vec::new();
        broker.records_until(last.number(), &mut arrived).await;
        assert_eq!(arrived, (1..=20).collect::<Vec<_>>());
        publisher.stop(patience()).await;
    });
}

#[test]
fn a_missing_file_is_said_before_anything_starts() {
    runtime().block_on(async {
        let place = folder();
        let mut settings = settings(1);
        settings.broker.security = Security::Tls { ca: "/no/such/ca.pem".into(), client: None };
        let error = Publisher::start(settings, journal(place.path())).expect_err("no file");
        assert_eq!(error.to_string(), "failed to read /no/such/ca.pem");
    });
}

#[test]
fn the_broker_keeps_status_and_last_and_says_when_we_are_lost() {
    let Some(program) = mosquitto() else { return };
    if Command::new("mosquitto_sub").arg("--help").stdout(Stdio::null()).status().is_err() {
        missing("program", "there is no mosquitto_sub: apt-get install mosquitto-clients");
        return;
    }
    let broker = runtime().block_on(Mosquitto::start(program, folder(), "allow_anonymous true"));
    let place = folder();
    let journal = journal(place.path());
    let root = "ramand/v1/mill/line-1/QEP1";

    let doomed = runtime();
    doomed.block_on(async {
        let publisher = Publisher::start(settings(broker.port), journal.clone()).expect("starts");
        publisher.set_latest(Latest::Result, b"first".to_vec());
        publisher.set_latest(Latest::Result, b"newest".to_vec());
        publisher.set_latest(Latest::Health, b"fine".to_vec());
        until(&publisher, "the connection", is_connected).await;
        broker.subscribe(&format!("{root}/last")).wait_for("/last newest").await;
        broker.subscribe(&format!("{root}/health")).wait_for("/health fine").await;
        broker.subscribe(&format!("{root}/status")).wait_for(r#""state":"online""#).await;
        // One who comes later gets it from the broker.
        broker.subscribe(&format!("{root}/last")).wait_for(&format!("1 {root}/last newest")).await;
        std::mem::forget(publisher);
    });
    let mut watcher = broker.subscribe(&format!("{root}/status"));
    runtime().block_on(watcher.wait_for(r#""state":"online""#));
    // The connection ends without a word, as it does when the process is killed.
    drop(doomed);
    runtime().block_on(watcher.wait_for(r#""state":"lost""#));

    runtime().block_on(async {
        let publisher = Publisher::start(settings(broker.port), journal.clone()).expect("starts");
        until(&publisher, "the connection", is_connected).await;
        watcher.wait_for(r#""state":"online""#).await;
        let mut delivery = publisher.delivery();
        publisher.stop(patience()).await;
        assert_eq!(delivery.borrow_and_update().link, Link::Stopped);
        watcher.wait_for(r#""state":"offline""#).await;
        let mut later = broker.subscribe(&format!("{root}/status"));
        later.wait_for(&format!(r#"1 {root}/status {{"v":1,"state":"offline""#)).await;
    });
}

#[cfg(feature = "broker")]
#[test]
fn the_embedded_broker_takes_any_free_port_and_delivers() {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    const RECORDS: u64 = 300;
    runtime().block_on(async {
        let address = broker::start("127.0.0.1:0".parse().expect("an address")).expect("listens");
        assert_ne!(address.port(), 0);
        let taken = broker::start(address).expect_err("one listener per port");
        assert!(matches!(taken, broker::BrokerError::Listen { .. }), "{taken}");

        let mut options = MqttOptions::new("subscriber", ("127.0.0.1", address.port()));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
        client.try_subscribe("ramand/#", QoS::AtLeastOnce).expect("queued");
        let subscribed =
            async { while !matches!(events.poll().await.expect("connected"), Event::Incoming(Packet::SubAck(_))) {} };
        within("the subscription", subscribed).await;

        let place = folder();
        let journal = journal(place.path());
        append(&journal, RECORDS);
        let publisher = Publisher::start(settings(address.port()), journal.clone()).expect("starts");
        let mut numbers = Vec::new();
        within("all records", async {
            while numbers.len() < RECORDS as usize {
                if let Event::Incoming(Packet::Publish(publish)) = events.poll().await.expect("connected")
                    && publish.topic.ends_with(b"/result")
                {
                    numbers.push((publish.payload.len() - RECORD_BYTES) as u64);
                }
            }
        })
        .await;
        assert_eq!(numbers, (1..=RECORDS).collect::<Vec<_>>());
        until(&publisher, "the last acknowledgement", |delivery| delivery.acknowledged == RECORDS).await;
        publisher.stop(patience()).await;
        assert_eq!(journal.owed(None, 1).expect("readable"), []);
    });
}
