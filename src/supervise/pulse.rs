//! Signs of life: a part that hangs is named, instead of the line silently standing still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Tells the time; tests pass their own.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Held by one part, which touches it whenever it makes progress. Dropping it ends the watch over that part.
#[derive(Clone)]
pub struct Pulse {
    beat: Arc<Beat>,
}

impl Pulse {
    /// Progress: silence is allowed for the declared time from now on.
    pub fn beat(&self) {
        let beat = &self.beat;
        let silence = u64::try_from(beat.silence_max.as_nanos()).unwrap_or(u64::MAX);
        beat.due_ns.store(beat.now_ns().saturating_add(silence), Ordering::Relaxed);
    }
}

struct Beat {
    part: &'static str,
    silence_max: Duration,
    clock: Clock,
    origin: Instant,
    /// When the next sign is due, ns after `origin`; `u64::MAX` is never.
    due_ns: AtomicU64,
}

impl Beat {
    fn now_ns(&self) -> u64 {
        u64::try_from((self.clock)().saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A part whose sign of life is overdue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    pub part: &'static str,
    /// For how long the sign is overdue.
    pub overdue: Duration,
    /// How long that part may be silent.
    pub silence_max: Duration,
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (limit, overdue) = (self.silence_max.as_secs_f32(), self.overdue.as_secs_f32());
        write!(f, "{} has been silent for {overdue:.1} s beyond its limit of {limit:.1} s", self.part)
    }
}

/// All pulses.
pub(super) struct Pulses {
    clock: Clock,
    beats: Mutex<Vec<Weak<Beat>>>,
}

impl Pulses {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, beats: Mutex::default() }
    }

    /// A pulse whose first sign is due `silence_max` from now.
    pub(super) fn start(&self, part: &'static str, silence_max: Duration) -> Pulse {
        let (clock, origin) = (self.clock.clone(), (self.clock)());
        let pulse = Pulse { beat: Arc::new(Beat { part, silence_max, clock, origin, due_ns: AtomicU64::new(0) }) };
        pulse.beat();
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&pulse.beat));
        pulse
    }

    /// The parts whose sign is overdue now.
    pub(super) fn silent(&self) -> Vec<Silence> {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|beat| beat.strong_count() > 0);
        let living = beats.iter().filter_map(Weak::upgrade);
        let silences = living.filter_map(|beat| {
            let overdue_ns = beat.now_ns().checked_sub(beat.due_ns.load(Ordering::Relaxed)).filter(|&ns| ns > 0)?;
            let overdue = Duration::from_nanos(overdue_ns);
            Some(Silence { part: beat.part, overdue, silence_max: beat.silence_max })
        });
        silences.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_silent_from_its_own_limit_until_its_next_sign() {
        let start = Instant::now();
        let elapsed_ms = Arc::new(AtomicU64::new(0));
        let hand = elapsed_ms.clone();
        let pulses = Pulses::new(Arc::new(move || start + Duration::from_millis(hand.load(Ordering::Relaxed))));
        let serial = pulses.start("acquire", Duration::from_millis(100));
        let worker = pulses.start("inspect", Duration::from_millis(1000));
        let unwatched = pulses.start("broker", Duration::MAX);

        let silent_at = |ms: u64| {
            elapsed_ms.store(ms, Ordering::Relaxed);
            pulses.silent().into_iter().map(|silence| (silence.part, silence.overdue.as_millis())).collect::<Vec<_>>()
        };
        assert_eq!(silent_at(100), []);
        assert_eq!(silent_at(130), [("acquire", 30)]);
        serial.beat();
        assert_eq!(silent_at(230), []);
        assert_eq!(silent_at(2000), [("acquire", 1770), ("inspect", 1000)], "each has its own limit");
        serial.beat();
        assert_eq!(silent_at(2101), [("acquire", 1), ("inspect", 1101)], "the limit holds from the last sign");
        drop(worker);
        assert_eq!(silent_at(u64::MAX / 2_000_000), [("acquire", u128::from(u64::MAX / 2_000_000) - 2100)]);
        drop(unwatched);
    }

    #[test]
    fn a_silence_reads_as_a_sentence() {
        let silence =
            Silence { part: "acquire", overdue: Duration::from_millis(1500), silence_max: Duration::from_secs(10) };
        assert_eq!(silence.to_string(), "acquire has been silent for 1.5 s beyond its limit of 10.0 s");
    }
}
