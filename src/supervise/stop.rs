//! The request to stop: made once, seen by threads and tasks alike.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::watch;

/// Makes the request. Clones make the same request; dropping the last one makes it too.
#[derive(Debug, Clone)]
pub struct StopSignal {
    reason: Arc<watch::Sender<Option<Arc<str>>>>,
    // Nothing is ever sent: the channel closes when the sender is dropped, and that wakes every thread that waits.
    open: Arc<Mutex<Option<Sender<Infallible>>>>,
    closed: Receiver<Infallible>,
}

impl StopSignal {
    /// A request not yet made.
    pub fn new() -> Self {
        let (open, closed) = crossbeam_channel::bounded(0);
        Self { reason: Arc::new(watch::Sender::new(None)), open: Arc::new(Mutex::new(Some(open))), closed }
    }

    /// Makes the request; the first reason is kept.
    pub fn request(&self, reason: &str) {
        self.reason.send_if_modified(|kept| {
            let first = kept.is_none();
            if first {
                *kept = Some(reason.into());
            }
            first
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A token that sees the request.
    pub fn token(&self) -> Stop {
        Stop { reason: self.reason.subscribe(), closed: self.closed.clone(), _never: None }
    }
}

impl Default for StopSignal {
    fn default() -> Self {
        Self::new()
    }
}

/// Sees the request to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    reason: watch::Receiver<Option<Arc<str>>>,
    closed: Receiver<Infallible>,
    /// Keeps a request from being made that nobody can make.
    _never: Option<StopSignal>,
}

impl Stop {
    /// A request that nobody makes: for a command that runs to its end.
    pub fn never() -> Self {
        let signal = StopSignal::new();
        Self { _never: Some(signal.clone()), ..signal.token() }
    }

    /// Whether the request was made.
    pub fn is_requested(&self) -> bool {
        matches!(self.closed.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected))
    }

    /// For a thread that pauses: true as soon as the request is made, false after `pause` without it.
    pub fn requested_within(&self, pause: Duration) -> bool {
        matches!(self.closed.recv_timeout(pause), Err(RecvTimeoutError::Disconnected))
    }

    /// For a thread that also waits for something else: a channel that carries nothing and closes with the request,
    /// as in `select! { recv(stop.channel()) -> _ => break, recv(work) -> item => … }`.
    pub fn channel(&self) -> &Receiver<Infallible> {
        &self.closed
    }

    /// For a task: resolves to the reason when the request is made.
    pub async fn requested(&self) -> Arc<str> {
        let mut reason = self.reason.clone();
        match reason.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(|| "stop was requested".into()),
            Err(_) => "whoever could request a stop is gone".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far longer than any wake-up takes; reached only when the request is not seen.
    const NEVER: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn threads_and_tasks_see_one_request_with_its_first_reason() {
        let signal = StopSignal::new();
        let stop = signal.token();
        assert!(!stop.is_requested());
        assert!(!stop.requested_within(Duration::from_millis(1)));

        let waiting = signal.token();
        let thread = std::thread::spawn(move || waiting.requested_within(NEVER));
        let waiting = signal.token();
        let task = tokio::spawn(async move { waiting.requested().await });
        signal.request("SIGTERM");
        signal.clone().request("a later reason");

        assert!(thread.join().expect("the thread waits"), "the thread must wake by the request");
        let reason = tokio::time::timeout(NEVER, task).await.expect("the task must wake").expect("no panic");
        assert_eq!(&*reason, "SIGTERM");
        assert!(stop.is_requested());
        assert!(signal.token().is_requested(), "a token made later sees it too");
        crossbeam_channel::select! {
            recv(stop.channel()) -> nothing => assert!(nothing.is_err()),
            default => panic!("the channel must be closed"),
        }
    }

    #[tokio::test]
    async fn nobody_left_to_request_it_is_a_request() {
        let signal = StopSignal::new();
        let stop = signal.token();
        drop(signal);
        assert!(stop.is_requested());
        assert_eq!(&*stop.requested().await, "whoever could request a stop is gone");
    }
}
