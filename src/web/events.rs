//! `/api/v1/events`: server-sent events, so that a page needs no reload and a reconnect needs no code.
//!
//! | event | when | data |
//! |---|---|---|
//! | `hello` | first | version, age of the last result, when a result counts as stale |
//! | `result` | next, if there is a last result; then each new one | a [`super::LiveUpdate`] |
//! | `beat` | every [`BEAT_EVERY`] | the health's problems: the page knows that the line is alive |

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::connection::Slow;
use super::live::Published;
use super::refusal::refusal;
use super::shared::{Shared, stopped};

/// The page calls the connection lost after three of these.
pub(super) const BEAT_EVERY: Duration = Duration::from_secs(5);
/// Events in flight to one client besides what the kernel buffers. One more and the client is dropped: its browser
/// reconnects and gets the latest.
const EVENTS_PENDING: usize = 8;

pub(super) async fn stream(State(shared): State<Shared>, Extension(slow): Extension<Slow>) -> Response {
    let Ok(permit) = shared.watchers.clone().try_acquire_owned() else {
        let busy = refusal(StatusCode::SERVICE_UNAVAILABLE, "too many watch already");
        return ([(header::RETRY_AFTER, "10")], busy).into_response();
    };
    let (sender, receiver) = mpsc::channel::<Result<Event, Infallible>>(EVENTS_PENDING);
    tokio::spawn(feed(shared, sender, slow, permit));
    // nginx would collect the events before it passes them on.
    ([("x-accel-buffering", "no")], Sse::new(ReceiverStream::new(receiver))).into_response()
}

async fn feed(
    shared: Shared,
    client: mpsc::Sender<Result<Event, Infallible>>,
    slow: Slow,
    _permit: OwnedSemaphorePermit,
) {
    let mut stop = shared.stop.clone();
    let (last, mut updates) = shared.sources.live.subscribe();
    let hello = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "age_ms": last.as_ref().map(|last| last.age().as_millis()),
        "stale_after_ms": shared.stale_after.as_millis(),
        "beat_ms": BEAT_EVERY.as_millis(),
    });
    let mut pending = vec![Event::default().event("hello").data(hello.to_string())];
    pending.extend(last.as_deref().map(result_event));
    let mut beat = tokio::time::interval(BEAT_EVERY);
    loop {
        for event in pending.drain(..) {
            match client.try_send(Ok(event)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(_)) => return slow.set(),
            }
        }
        tokio::select! {
            update = updates.recv() => match update {
                Ok(update) => pending.push(result_event(&update)),
                Err(broadcast::error::RecvError::Lagged(_)) => return slow.set(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = beat.tick() => {
                let problems = serde_json::json!({ "problems": shared.sources.health.problems() });
                pending.push(Event::default().event("beat").data(problems.to_string()));
            }
            () = client.closed() => return,
            () = stopped(&mut stop) => return,
        }
    }
}

fn result_event(update: &Published) -> Event {
    Event::default().event("result").data(update.json()).id(update.seq().to_string())
}
