//! The live page in a real browser against the real server: `web/test/page.test.mjs` looks, this side plays the station
//! and does what the browser side asks for over a line protocol.

#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/root.rs"]
mod root;

mod sample;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use missing::missing;
use ramand::web::{Health, History, Live, Metrics, Server, ServerSettings, Sources};
use root::root;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// For all of the browser's tests together, on a busy machine.
const BROWSER_WITHIN: Duration = Duration::from_secs(240);
/// Old enough for the page to call it stale; short, because the test waits for it.
const STALE_AFTER: Duration = Duration::from_secs(4);

#[derive(Default)]
struct Station {
    live: Arc<Live>,
    past: Mutex<Vec<serde_json::Value>>,
    problems: Mutex<Vec<String>>,
}

impl Station {
    fn publish(&self, make: impl FnOnce(u64) -> sample::Sample) {
        let mut past = self.past.lock().expect("no panic");
        let update = make(past.len() as u64 + 1);
        past.push(update.result.clone());
        self.live.publish(update.into());
    }

    /// What the browser side may ask for.
    fn obey(&self, order: &str) {
        match order.split_once(' ').unwrap_or((order, "")) {
            ("olive", percent) => self.publish(|seq| sample::olive(seq, percent.parse().expect("a number"))),
            ("too-dark", _) => self.publish(sample::too_dark),
            ("frozen", name) => self.publish(|seq| sample::frozen(seq, name)),
            ("hostile", _) => self.publish(sample::hostile),
            ("problem", "") => self.problems.lock().expect("no panic").clear(),
            ("problem", text) => self.problems.lock().expect("no panic").push(text.to_owned()),
            _ => panic!("no such order: {order}"),
        }
    }
}

impl History for Station {
    fn page(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<serde_json::Value>, Box<dyn std::error::Error + Send + Sync>> {
        let past = self.past.lock().expect("no panic");
        let older = past.iter().rev().filter(|result| before.is_none_or(|seq| result["seq"].as_u64() < Some(seq)));
        Ok(older.take(limit).cloned().collect())
    }
}

impl Health for Station {
    fn problems(&self) -> Vec<String> {
        self.problems.lock().expect("no panic").clone()
    }
}

/// Serves the page, and starts it again when told to `restart` after a `stop`.
struct Served {
    port: u16,
    running: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
}

impl Served {
    async fn start(&mut self, station: &Arc<Station>) {
        let listen = ([127, 0, 0, 1], self.port).into();
        let settings = ServerSettings { listen, stale_after: STALE_AFTER, ..ServerSettings::default() };
        let sources = Sources {
            live: station.live.clone(),
            metrics: Arc::new(Metrics::new()),
            history: station.clone(),
            health: station.clone(),
        };
        let server = Server::bind(settings, sources).await.expect("bound");
        self.port = server.address().port();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async { drop(stopped.await) }));
        self.running = Some((stop, serving));
    }

    async fn stop(&mut self) {
        let (stop, serving) = self.running.take().expect("it runs");
        stop.send(()).expect("it runs");
        serving.await.expect("no panic");
    }
}

async fn take_orders(control: TcpStream, station: Arc<Station>, served: &mut Served) {
    let (read, mut write) = control.into_split();
    let mut orders = BufReader::new(read).lines();
    while let Ok(Some(order)) = orders.next_line().await {
        match order.as_str() {
            "stop" => served.stop().await,
            "start" => served.start(&station).await,
            order => station.obey(order),
        }
        write.write_all(b"done\n").await.expect("the browser side listens");
    }
}

#[tokio::test]
async fn the_page_works_in_a_browser() {
    let web = root().join("web");
    let browser = std::env::var("RAMAND_TEST_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    for (needed, how) in [
        (Path::new(&browser).to_owned(), "apt-get install chromium, or set RAMAND_TEST_CHROMIUM"),
        (web.join("node_modules/playwright-core"), "npm ci --prefix web"),
    ] {
        if !needed.exists() {
            missing("program", &format!("there is no {}: {how}", needed.display()));
            return;
        }
    }
    let station = Arc::new(Station::default());
    // A morning's results: pure oil, now and then an adulterated one, one spectrum spoilt.
    for i in 0..40_u32 {
        match i {
            17 => station.publish(sample::too_dark),
            _ => {
                station.publish(|seq| sample::olive(seq, if i % 11 == 6 { 7.2 } else { 0.3 + 0.1 * f64::from(i % 5) }))
            }
        }
    }
    let mut served = Served { port: 0, running: None };
    served.start(&station).await;
    let control = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = control.local_addr().expect("bound").port();
    // Node 18, Debian 12's, has no limit of its own for a run of tests.
    let mut browsing = Command::new("timeout")
        .args(["200", "node", "--test", "test/"])
        .current_dir(&web)
        .env("RAMAND_TEST_CHROMIUM", &browser)
        .env("RAMAND_PAGE", format!("http://127.0.0.1:{}/", served.port))
        .env("RAMAND_CONTROL", port.to_string())
        .stdin(Stdio::null())
        .spawn()
        .expect("node starts");
    let browsing = tokio::task::spawn_blocking(move || browsing.wait());
    let obeying = async {
        loop {
            let (connection, _) = control.accept().await.expect("accepted");
            take_orders(connection, station.clone(), &mut served).await;
        }
    };
    let ended = async {
        tokio::select! {
            ended = browsing => ended.expect("no panic").expect("waited for"),
            () = obeying => unreachable!("orders are taken until the browser ends"),
        }
    };
    let status = tokio::time::timeout(BROWSER_WITHIN, ended).await.expect("the browser ends in time");
    assert!(status.success(), "the browser's tests failed: {status}");
}
