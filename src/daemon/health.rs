//! What the station says about itself: `health` for the broker, metrics, and the troubles only this loop sees.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use crossbeam_channel::Receiver;

use super::clock::clock;
use super::condition::{Condition, TroubleSource};
use super::past::Past;
use crate::publish::wire::{self, Ne107};
use crate::publish::{Delivery, Latest, Link, Publisher};
use crate::supervise::Supervisor;
use crate::web::{Metrics, Peer, PeerState};

/// How often `health` is published.
const EVERY: Duration = Duration::from_secs(10);

/// What is looked at, and who is told.
pub(super) struct Reporter {
    pub(super) publisher: Option<Arc<Publisher>>,
    pub(super) condition: Arc<Condition>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) past: Arc<Past>,
    pub(super) supervisor: Supervisor,
    pub(super) queues: Vec<Queue>,
}

/// A queue between two threads: its name, and how to count what waits in it.
pub(super) struct Queue {
    name: &'static str,
    count: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Queue {
    /// `channel` is there as long as its reader is.
    pub(super) fn of<T: Send + 'static>(name: &'static str, channel: Weak<Receiver<T>>) -> Self {
        Self { name, count: Box::new(move || channel.upgrade().map_or(0, |channel| channel.len())) }
    }
}

/// For ever: gathers, and tells whoever can be told.
pub(super) async fn tell(reporter: Reporter) {
    let Reporter { publisher, condition, metrics, past, supervisor, queues } = reporter;
    let mut delivery = publisher.as_ref().map(|publisher| publisher.delivery());
    let mut interval = tokio::time::interval(EVERY);
    let mut said: Option<Link> = None;
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Deliveries count up with every acknowledgement; only a change of the connection is news before the interval.
        let news = async {
            let Some(delivery) = &mut delivery else { return std::future::pending().await };
            let differs = |now: &Delivery| said.as_ref() != Some(&now.link);
            let ended = delivery.wait_for(differs).await.is_err();
            if ended {
                // The publisher has stopped: there will be no more news.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = interval.tick() => {}
            () = news => {}
        }
        if let Some(delivery) = &mut delivery {
            let now = delivery.borrow_and_update().clone();
            note_delivery(&now, &condition, &metrics);
            said = Some(now.link);
        }
        match supervisor.silent().first() {
            Some(silence) => condition.raise(TroubleSource::Program, Ne107::Failure, silence.to_string()),
            None => condition.clear(TroubleSource::Program),
        };
        for Queue { name, count } in &queues {
            metrics.queue_depth(name, count());
        }
        let past = past.clone();
        if let Ok(Ok(statistics)) = tokio::task::spawn_blocking(move || past.statistics()).await {
            metrics.journal_owed(usize::try_from(statistics.owed_parts).unwrap_or(usize::MAX));
        }
        if let Some(publisher) = &publisher {
            let health = wire::health(SystemTime::now(), clock(), &condition.health());
            publisher.set_latest(Latest::Health, health);
        }
    }
}

fn note_delivery(delivery: &Delivery, condition: &Condition, metrics: &Metrics) {
    let up = matches!(delivery.link, Link::Connected { .. });
    metrics.connection(Peer::Broker, if up { PeerState::Up } else { PeerState::Down });
    match &delivery.link {
        Link::Connected { .. } => {
            if condition.clear(TroubleSource::Broker) {
                tracing::info!("the broker takes what is owed");
            }
        }
        Link::Disconnected { why, .. } => {
            let why = format!("the broker cannot be reached: {why}; everything is kept until it can");
            if condition.raise(TroubleSource::Broker, Ne107::MaintenanceRequired, why.clone()) {
                tracing::warn!("{why}");
            }
        }
        Link::Connecting | Link::Stopped => {}
    }
    match &delivery.outbox_failure {
        Some(why) => condition.raise(
            TroubleSource::Outbox,
            Ne107::MaintenanceRequired,
            format!("nothing can be delivered: {why}"),
        ),
        None => condition.clear(TroubleSource::Outbox),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_counts_what_waits_until_its_reader_is_gone() {
        let (sender, receiver) = crossbeam_channel::bounded(4);
        let receiver = Arc::new(receiver);
        let queue = Queue::of("spectra", Arc::downgrade(&receiver));
        assert_eq!((queue.count)(), 0);
        sender.send(1).expect("room");
        sender.send(2).expect("room");
        assert_eq!((queue.count)(), 2);
        drop(receiver);
        assert_eq!((queue.count)(), 0);
        assert!(sender.send(3).is_err(), "counting keeps no reader alive");
    }
}
