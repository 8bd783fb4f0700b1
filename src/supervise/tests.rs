//! The supervisor with parts of every kind: those that end, fail, panic and hang.

use ramand_core::failure::{Failure, Kind};

use super::*;

/// Far longer than anything here takes; reached only when something hangs.
const NEVER: Duration = Duration::from_secs(30);
/// For a part that hangs on purpose.
const SHORT: Duration = Duration::from_millis(60);

#[derive(Debug, thiserror::Error)]
#[error("the port is gone")]
struct PortGone {
    #[source]
    source: std::io::Error,
}

impl Failure for PortGone {
    fn kind(&self) -> Kind {
        Kind::Device
    }
}

async fn stop_reason(supervisor: &Supervisor) -> String {
    let stop = supervisor.stop_signal().token();
    tokio::time::timeout(NEVER, stop.requested()).await.expect("a stop is requested").to_string()
}

#[tokio::test]
async fn a_part_that_ends_unasked_stops_the_whole_and_says_how() {
    enum Fate {
        Return,
        Fail,
        Panic,
    }
    enum Home {
        Thread,
        Task,
    }
    async fn check(home: &Home, fate: Fate, reason: &str, failure: Option<Kind>) {
        let body = move || match fate {
            Fate::Return => Ok(()),
            Fate::Fail => Err(PortGone { source: std::io::ErrorKind::BrokenPipe.into() }),
            Fate::Panic => panic!("index {} out of bounds", 7),
        };
        let supervisor = Supervisor::new();
        match home {
            Home::Thread => supervisor.spawn_thread("acquire", NEVER, move |_part| body()).expect("started"),
            Home::Task => {
                let task = async move { body() };
                supervisor.spawn_task(&Handle::current(), "acquire", NEVER, |_part| task).expect("started");
            }
        }
        assert_eq!(stop_reason(&supervisor).await, reason);
        let shutdown = supervisor.shutdown(&[("acquire", NEVER)], NEVER).await;
        assert_eq!((&*shutdown.reason, shutdown.failure()), (reason, failure));
        assert_eq!(shutdown.ends.iter().map(End::to_string).collect::<Vec<_>>(), [reason]);
        assert!(shutdown.stragglers.is_empty());
    }
    for home in [Home::Thread, Home::Task] {
        check(&home, Fate::Return, "acquire finished", None).await;
        check(&home, Fate::Fail, "acquire failed: the port is gone: broken pipe", Some(Kind::Device)).await;
        check(&home, Fate::Panic, "acquire panicked: index 7 out of bounds", Some(Kind::Bug)).await;
    }
}

#[tokio::test]
async fn threads_carry_their_name_and_names_are_unique() {
    let supervisor = Supervisor::new();
    let (sender, names) = tokio::sync::oneshot::channel();
    let body = |part: PartHandle| {
        let name = std::thread::current().name().map(str::to_owned);
        sender.send(name).expect("the test listens");
        part.stop.requested_within(NEVER);
    };
    supervisor.spawn_thread("acquire", NEVER, body).expect("started");
    assert_eq!(names.await.expect("sent").as_deref(), Some("acquire"));
    let again = supervisor.spawn_thread("acquire", NEVER, |_| ());
    assert!(matches!(again, Err(SuperviseError::NameTaken { name: "acquire" })));
    assert!(supervisor.shutdown(&[], NEVER).await.failure().is_none());
}

#[tokio::test]
async fn the_order_of_the_shutdown_is_the_declared_one() {
    let supervisor = Supervisor::new();
    let waits = |part: PartHandle| assert!(part.stop.requested_within(NEVER));
    for name in ["publish", "acquire", "journal"] {
        supervisor.spawn_thread(name, NEVER, waits).expect("started");
    }
    let waits = |part: PartHandle| async move {
        part.stop.requested().await;
    };
    supervisor.spawn_task(&Handle::current(), "web", NEVER, waits).expect("started");
    supervisor.stop_signal().request("SIGTERM");
    let shutdown = supervisor.shutdown(&[("acquire", NEVER), ("journal", NEVER), ("publish", NEVER)], NEVER).await;
    let ends: Vec<&str> = shutdown.ends.iter().map(|end| end.part).collect();
    assert_eq!(ends, ["acquire", "journal", "publish", "web"]);
    assert_eq!((&*shutdown.reason, shutdown.failure()), ("SIGTERM", None));
}

#[tokio::test]
async fn who_hangs_is_named_and_does_not_take_the_time_of_the_others() {
    let supervisor = Supervisor::new();
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    supervisor.spawn_thread("acquire", NEVER, move |_part| assert!(held.recv().is_err())).expect("started");
    let hangs = |_part| std::future::pending::<()>();
    supervisor.spawn_task(&Handle::current(), "mqtt", NEVER, hangs).expect("started");
    let waits = |part: PartHandle| assert!(part.stop.requested_within(NEVER));
    supervisor.spawn_thread("journal", NEVER, waits).expect("started");

    let shutdown = supervisor.shutdown(&[("acquire", SHORT), ("mqtt", SHORT), ("journal", NEVER)], SHORT).await;
    assert_eq!(shutdown.stragglers, ["acquire", "mqtt"]);
    assert!(shutdown.ends.iter().any(|end| end.part == "journal"), "the journal had its share of the time");
    assert_eq!(shutdown.failure(), Some(Kind::Bug));
    drop(release);
}

#[tokio::test]
async fn sigterm_requests_the_stop() {
    let supervisor = Supervisor::new();
    supervisor.stop_on_signals(&Handle::current()).expect("installed");
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).expect("raised");
    assert_eq!(stop_reason(&supervisor).await, "SIGTERM");
}
