//! The server as its clients meet it: over a socket, friendly and hostile.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ramand_core::outcome::{Decision, Finding, Inspection, ModelIdentity, Timings, Verdict};
use ramand_core::record::Seq;
use ramand_core::spectrum::{
    Acquisition, Celsius, Counts, Instrument, IntegrationTime, Laser, LineStatistics, Origin, RawSpectrum, ShiftAxis,
    Wavelength, WavelengthCalibration,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

/// Far longer than any answer here takes; reached only when something hangs.
const NEVER: Duration = Duration::from_secs(30);

struct Journal(Mutex<Vec<(Option<u64>, usize)>>);

impl History for Journal {
    fn page(&self, before: Option<u64>, limit: usize) -> Result<Vec<Value>, Box<dyn std::error::Error + Send + Sync>> {
        self.0.lock().expect("no panic").push((before, limit));
        match before {
            Some(0) => Err("the disk is gone".into()),
            Some(1) => panic!("a bug in the journal"),
            _ => Ok((0..3).map(|i| json!({ "seq": 9 - i })).take(limit).collect()),
        }
    }
}

struct Problems(Mutex<Vec<String>>);

impl Health for Problems {
    fn problems(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

struct Station {
    port: u16,
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    journal: Arc<Journal>,
    problems: Arc<Problems>,
    stop: tokio::sync::oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn station(settings: ServerSettings) -> Station {
    let (live, metrics) = (Arc::new(Live::new()), Arc::new(Metrics::new()));
    let (journal, problems) = (Arc::new(Journal(Mutex::default())), Arc::new(Problems(Mutex::default())));
    let sources =
        Sources { live: live.clone(), metrics: metrics.clone(), history: journal.clone(), health: problems.clone() };
    let listen = ([127, 0, 0, 1], 0).into();
    let server = Server::bind(ServerSettings { listen, ..settings }, sources).await.expect("bound");
    let port = server.address().port();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(server.serve(async { drop(stopped.await) }));
    Station { port, live, metrics, journal, problems, stop, server }
}

impl Station {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.expect("connected")
    }

    /// Sends `request` and reads until the server closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        tokio::time::timeout(NEVER, stream.read_to_end(&mut answer)).await.expect("answered in time").expect("read");
        String::from_utf8(answer).expect("text")
    }

    async fn get(&self, path: &str) -> String {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
    }
}

fn update(seq: u64) -> LiveUpdate {
    padded(seq, 0)
}

/// With as many bytes more.
fn padded(seq: u64, bytes: usize) -> LiveUpdate {
    let result = match bytes {
        0 => json!({ "seq": seq }),
        bytes => json!({ "seq": seq, "padding": "x".repeat(bytes) }),
    };
    LiveUpdate { seq: Seq::new(seq), result: result.to_string().into_bytes().into(), models: Vec::new() }
}

async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(text) {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.expect("read");
            assert_ne!(length, 0, "closed before {text:?}: {seen}");
            seen.push_str(std::str::from_utf8(&buffer[..length]).expect("ASCII here"));
        }
    };
    tokio::time::timeout(NEVER, reading).await.unwrap_or_else(|_| panic!("{text:?} must come"));
    seen
}

#[tokio::test]
async fn every_endpoint_answers_and_every_answer_is_hardened() {
    let station = station(ServerSettings::default()).await;
    assert!(station.get("/api/v1/last").await.starts_with("HTTP/1.1 404 "));
    station.live.publish(update(42));
    let host = "Host: localhost\r\n";
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    let cases = [
        ("GET / HTTP/1.1", host, "200 OK", "content-type: text/html"),
        ("GET /page.js HTTP/1.1", host, "200 OK", "content-type: text/javascript"),
        ("GET /vendor/uplot.js HTTP/1.1", host, "200 OK", "content-type: text/javascript"),
        ("GET /vendor/../Cargo.toml HTTP/1.1", host, "404 Not Found", "there is nothing here"),
        ("GET /%2e%2e/Cargo.toml HTTP/1.1", host, "404 Not Found", "there is nothing here"),
        ("GET /vendor/%2e%2e%2fpage%2findex.html HTTP/1.1", host, "404 Not Found", "there is nothing here"),
        ("GET /api/v1/last HTTP/1.1", host, "200 OK", r#"{"result":{"seq":42},"models":[]}"#),
        (
            "GET /api/v1/history HTTP/1.1",
            host,
            "200 OK",
            r#"{"before":null,"results":[{"seq":9},{"seq":8},{"seq":7}]}"#,
        ),
        ("GET /api/v1/history?limit=2&before=10 HTTP/1.1", host, "200 OK", r#""before":8"#),
        ("GET /api/v1/history?limit=0 HTTP/1.1", host, "400 Bad Request", "limit must be in 1..=500"),
        ("GET /api/v1/history?limit=501 HTTP/1.1", host, "400 Bad Request", "limit must be in 1..=500"),
        ("GET /api/v1/history?limit=-1 HTTP/1.1", host, "400 Bad Request", "error"),
        ("GET /api/v1/history?page=1 HTTP/1.1", host, "400 Bad Request", "unknown field `page`"),
        ("GET /api/v1/history?before=0 HTTP/1.1", host, "500 Internal", "see the log"),
        ("GET /api/v1/history?before=1 HTTP/1.1", host, "500 Internal", "see the log"),
        ("GET /healthz HTTP/1.1", host, "200 OK", r#"{"problems":[],"status":"ok"}"#),
        ("GET /metrics HTTP/1.1", host, "200 OK", "ramand_build_info{version="),
        ("GET /nothing HTTP/1.1", host, "404 Not Found", "there is nothing here"),
        ("POST /api/v1/last HTTP/1.1", host, "405 Method", ""),
        ("GET / HTTP/1.1", "Host: evil.example\r\n", "421 Misdirected", "another name"),
        ("GET / HTTP/1.1", "Host: localhost\r\nHost: evil.example\r\n", "421 Misdirected", "another name"),
        ("GET http://evil.example/ HTTP/1.1", host, "421 Misdirected", "another name"),
        ("GET / HTTP/1.1", "", "421 Misdirected", "another name"),
        ("GET / HTTP/1.1", "Host: localhost\r\nContent-Length: 5\r\n", "413 Payload", "no body"),
        ("GET / HTTP/1.1", "Host: localhost\r\nTransfer-Encoding: chunked\r\n", "413 Payload", "no body"),
    ];
    for (line, headers, status, part) in cases {
        let answer = station.exchange(&format!("{line}\r\n{headers}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line} {headers}: {answer}");
        assert!(answer.contains(part), "{line}: {answer}");
        for header in
            ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "cache-control:"]
        {
            assert!(answer.contains(header), "{line}: {header} is missing in {answer}");
        }
        assert!(!answer.contains("access-control-allow"), "{line}: other sites may not read this");
    }
    let answer = station.exchange(&format!("GET / HTTP/1.1\r\n{host}{long}Connection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(station.journal.0.lock().expect("no panic")[..2], [(None, 50), (Some(10), 2)]);
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let station = station(ServerSettings::default()).await;
    station.problems.0.lock().expect("no panic").push("the spectrometer does not answer".to_owned());
    let answer = station.get("/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with(r#"{"problems":["the spectrometer does not answer"],"status":"failing"}"#), "{answer}");
}

#[tokio::test]
async fn a_file_the_browser_has_is_not_sent_again() {
    let station = station(ServerSettings::default()).await;
    let first = station.get("/page.js").await;
    let etag = first.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an etag");
    let request =
        format!("GET /page.js HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {etag}\r\nConnection: close\r\n\r\n");
    assert!(station.exchange(&request).await.starts_with("HTTP/1.1 304"));
}

#[tokio::test]
async fn a_watcher_sees_the_last_result_then_every_new_one_until_the_server_stops() {
    let station = station(ServerSettings { stale_after: Duration::from_secs(7), ..ServerSettings::default() }).await;
    station.live.publish(update(1));
    let mut stream = station.connect().await;
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let first = read_until(&mut stream, "event: beat").await;
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains(r#""stale_after_ms":7000"#), "{first}");
    assert!(first.contains("event: result\ndata: {\"result\":{\"seq\":1},\"models\":[]}\nid: 1\n\n"), "{first}");
    station.live.publish(update(2));
    read_until(&mut stream, "id: 2\n").await;

    station.stop.send(()).expect("the server runs");
    let mut rest = Vec::new();
    tokio::time::timeout(NEVER, stream.read_to_end(&mut rest)).await.expect("the stream ends").expect("read");
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends orderly: {}", String::from_utf8_lossy(&rest));
    tokio::time::timeout(NEVER, station.server).await.expect("the server ends").expect("no panic");
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_dropped() {
    // Longer than filling its queue takes, on a slow processor too: otherwise the write that stalls ends the connection first.
    let station = station(ServerSettings { take_within: Duration::from_secs(1), ..ServerSettings::default() }).await;
    let mut stream = station.connect().await;
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    read_until(&mut stream, "event: hello").await;
    let large = padded(3, 300_000);
    let publishing = async {
        while station.metrics.web_connections.get() > 0 {
            station.live.publish(large.clone());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(NEVER, publishing).await.expect("the connection must be given up");
    assert_eq!(station.metrics.web_dropped.get(), 1);
    assert!(station.get("/healthz").await.starts_with("HTTP/1.1 200"), "others are served");
}

#[tokio::test]
async fn a_watcher_that_takes_nothing_of_one_event_is_dropped_too() {
    let station =
        station(ServerSettings { take_within: Duration::from_millis(200), ..ServerSettings::default() }).await;
    let mut stream = station.connect().await;
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    read_until(&mut stream, "event: beat").await;
    // More than a kernel buffers, so that the write stalls while nothing waits behind it.
    station.live.publish(padded(3, 32_000_000));
    let given_up = async {
        while station.metrics.web_connections.get() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(NEVER, given_up).await.expect("the connection must be given up");
    assert_eq!(station.metrics.web_dropped.get(), 1);
}

#[tokio::test]
async fn who_leaves_is_not_slow() {
    let station = station(ServerSettings::default()).await;
    let mut stream = station.connect().await;
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    read_until(&mut stream, "event: beat").await;
    drop(stream);
    let gone = async {
        while station.metrics.web_connections.get() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(NEVER, gone).await.expect("the connection must be noticed as closed");
    assert_eq!(station.metrics.web_dropped.get(), 0);
}

#[tokio::test]
async fn places_are_limited_and_none_is_held_by_who_says_nothing() {
    let settings =
        ServerSettings { connections_max: 2, head_within: Duration::from_millis(200), ..ServerSettings::default() };
    let station = station(settings).await;
    let mut silent = [station.connect().await, station.connect().await];
    let connected = async {
        while station.metrics.web_connections.get() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(NEVER, connected).await.expect("both are accepted");
    let mut third = station.connect().await;
    let mut nothing = Vec::new();
    // Closing with or without a reset is refusal alike.
    drop(tokio::time::timeout(NEVER, third.read_to_end(&mut nothing)).await.expect("closed at once"));
    assert!(nothing.is_empty());
    assert_eq!(station.metrics.web_refused.get(), 1);

    for stream in &mut silent {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").await.expect("sent");
        let mut answer = Vec::new();
        drop(tokio::time::timeout(NEVER, stream.read_to_end(&mut answer)).await.expect("given up"));
    }
    assert!(station.get("/healthz").await.starts_with("HTTP/1.1 200"), "the places are free again");
}

#[tokio::test]
async fn watchers_leave_room_for_others() {
    let station = station(ServerSettings { watchers_max: 1, ..ServerSettings::default() }).await;
    let mut watcher = station.connect().await;
    watcher.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    read_until(&mut watcher, "event: hello").await;
    let second = station.get("/api/v1/events").await;
    assert!(second.starts_with("HTTP/1.1 503") && second.contains("retry-after: 10"), "{second}");
    assert!(station.get("/metrics").await.contains("ramand_web_connections 2"));
}

fn inspection() -> Inspection {
    let instrument = Instrument {
        model: "QE Pro".into(),
        serial: "QEP01234".into(),
        firmware: None,
        pixels: 2,
        active: 0..2,
        calibration: WavelengthCalibration { coefficients: vec![800.0, 1.0], laser: Wavelength::from_nm(785.0) },
        nonlinearity: None,
        saturation: Counts::new(200_000.0),
    };
    let acquisition = Acquisition {
        instrument: Arc::new(instrument),
        taken: SystemTime::UNIX_EPOCH,
        integration: IntegrationTime::from_micros(100_000),
        scans: 1,
        laser: Laser::On,
        saturated_pixels: 0,
        dark_noise: None,
        detector_temperature: Some(Celsius::new(-10.5)),
        took: std::time::Duration::ZERO,
        device_exception: None,
        line: LineStatistics { retries: 2, stale_frames: 1, damaged_frames: 0 },
    };
    let axis = Arc::new(ShiftAxis::new(vec![800.0, 801.0]).expect("increasing"));
    let spectrum = RawSpectrum::new(axis, vec![1.0, 2.0], None, Origin::Measured(acquisition)).expect("fits");
    let model = ModelIdentity {
        name: "oil-type".into(),
        version: "1.0.0".into(),
        sha256: "00".into(),
        claim: "a claim".into(),
    };
    let verdict = Verdict { decision: Decision::Reject, reasons: Vec::new() };
    let finding = Finding { model: Arc::new(model), conclusion: None, verdict };
    let timings = Timings {
        acquire: Duration::from_millis(120),
        preprocess: Duration::from_micros(300),
        infer: Duration::from_micros(90),
        decide: Duration::from_micros(5),
    };
    Inspection { spectrum: Arc::new(spectrum), findings: vec![finding], timings }
}

#[test]
fn metrics_read_as_documented() {
    let metrics = Metrics::new();
    metrics.record(&inspection(), SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
    metrics.record(&inspection(), SystemTime::UNIX_EPOCH + Duration::from_millis(2_500));
    metrics.queue_depth("journal", 3);
    metrics.journal_owed(7);
    metrics.connection(Peer::Spectrometer, PeerState::Up);
    metrics.connection(Peer::Broker, PeerState::Down);
    let text = metrics.text().expect("encoded");
    let expected = [
        r#"ramand_spectra_total 2"#,
        r#"ramand_results_total{model="oil-type",decision="reject"} 2"#,
        r#"ramand_stage_duration_seconds_sum{stage="acquire"} 0.24"#,
        r#"ramand_stage_duration_seconds_bucket{le="0.0001",stage="infer"} 2"#,
        r#"ramand_stage_duration_seconds_bucket{le="0.00003",stage="infer"} 0"#,
        r#"ramand_queue_depth{queue="journal"} 3"#,
        r#"ramand_journal_owed 7"#,
        r#"ramand_connected{peer="spectrometer"} 1"#,
        r#"ramand_connected{peer="broker"} 0"#,
        r#"ramand_detector_temperature_celsius -10.5"#,
        r#"ramand_last_result_timestamp_seconds 2.5"#,
        r#"ramand_line_errors_total{error="retry"} 4"#,
        r#"ramand_line_errors_total{error="stale_frame"} 2"#,
        r#"ramand_line_errors_total{error="damaged_frame"} 0"#,
        r#"ramand_web_connections 0"#,
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
    }
    let documented = include_str!("../../docs/web.md");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(documented.contains(&format!("`{name}")), "docs/web.md does not mention {name}");
    }
}

#[test]
fn a_model_that_was_not_shown_the_spectrum_has_no_maps() {
    let inspection = inspection();
    let maps = ModelMaps::new("pure olive oil", &inspection.findings[0], None);
    let value = serde_json::to_value(&maps).expect("JSON");
    let expected = json!({
        "name": "oil-type", "claim": "a claim", "reference": "pure olive oil",
        "axis_cm": [], "prepared": [], "map": [], "difference": [],
    });
    assert_eq!(value, expected);
}
