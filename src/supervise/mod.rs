//! Named threads and tasks, their signs of life, systemd's readiness and watchdog.
//!
//! Every part is essential: one that ends before it was asked to requests the stop of the whole, and
//! [`Supervisor::shutdown`] then ends the others in order and says who did not.

mod ending;
mod lock;
mod pulse;
mod signals;
mod stop;
mod systemd;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::Instrument;

use self::pulse::Pulses;
use self::signals::first_signal;

pub use self::ending::{End, Ending, IntoEnding, Shutdown, SuperviseError};
pub use self::lock::ProcessLock;
pub use self::pulse::{Clock, Pulse, Silence};
pub use self::signals::stop_on_signals;
pub use self::stop::{Stop, StopSignal};
pub use self::systemd::Systemd;

/// What a part is handed when it starts.
pub struct PartHandle {
    /// Sees the request to stop this part.
    pub stop: Stop,
    /// To be touched whenever the part makes progress.
    pub pulse: Pulse,
}

/// Starts the parts, watches them, ends them. Clones are the same supervisor.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Supervision>,
}

struct Supervision {
    stop: StopSignal,
    pulses: Pulses,
    parts: Mutex<Vec<Supervised>>,
    ends: Mutex<Vec<End>>,
}

struct Supervised {
    name: &'static str,
    stop: StopSignal,
    ended: watch::Receiver<bool>,
    task: Option<AbortHandle>,
}

impl Supervisor {
    /// With the monotonic clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(Instant::now))
    }

    /// With a clock of the caller's.
    pub fn with_clock(clock: Clock) -> Self {
        let (stop, pulses) = (StopSignal::new(), Pulses::new(clock));
        Self { shared: Arc::new(Supervision { stop, pulses, parts: Mutex::default(), ends: Mutex::default() }) }
    }

    /// Requests the stop of the whole; [`Supervisor::shutdown`] carries it out.
    pub fn stop_signal(&self) -> &StopSignal {
        &self.shared.stop
    }

    /// Runs `body` on an OS thread called `name`. `silence_max` is how long it may go without touching its pulse
    /// (`Duration::MAX`: for ever).
    ///
    /// # Errors
    /// When the name is taken or the operating system gives no thread.
    pub fn spawn_thread<F, R>(&self, name: &'static str, silence_max: Duration, body: F) -> Result<(), SuperviseError>
    where
        F: FnOnce(PartHandle) -> R + Send + 'static,
        R: IntoEnding,
    {
        let mut parts = self.admit(name)?;
        let (handle, stop, report) = self.prepare(name, silence_max);
        let ended = report.ended.subscribe();
        let run = move || {
            let span = tracing::info_span!("part", name);
            let _entered = span.enter();
            let ending = match catch_unwind(AssertUnwindSafe(|| body(handle).into_ending())) {
                Ok(ending) => ending,
                Err(payload) => Ending::panicked(payload.as_ref()),
            };
            report.ended(ending);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        thread.map_err(|source| SuperviseError::Thread { name, source })?;
        parts.push(Supervised { name, stop, ended, task: None });
        Ok(())
    }

    /// Runs `body` as a task on `runtime`; otherwise as [`Supervisor::spawn_thread`].
    ///
    /// # Errors
    /// When the name is taken.
    pub fn spawn_task<B, F>(
        &self,
        runtime: &Handle,
        name: &'static str,
        silence_max: Duration,
        body: B,
    ) -> Result<(), SuperviseError>
    where
        B: FnOnce(PartHandle) -> F,
        F: Future + Send + 'static,
        F::Output: IntoEnding + Send,
    {
        let mut parts = self.admit(name)?;
        let (handle, stop, report) = self.prepare(name, silence_max);
        let ended = report.ended.subscribe();
        let task = runtime.spawn(body(handle).instrument(tracing::info_span!("part", name)));
        let abort = task.abort_handle();
        runtime.spawn(async move {
            report.ended(match task.await {
                Ok(output) => output.into_ending(),
                Err(error) if error.is_panic() => Ending::panicked(error.into_panic().as_ref()),
                Err(_) => Ending::Aborted,
            });
        });
        parts.push(Supervised { name, stop, ended, task: Some(abort) });
        Ok(())
    }

    /// SIGTERM, SIGINT, SIGHUP (a closed terminal) and SIGQUIT request the stop of the whole: none of them may leave a
    /// laser on.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn stop_on_signals(&self, runtime: &Handle) -> Result<(), SuperviseError> {
        let _context = runtime.enter();
        let signalled = first_signal()?;
        let stop = self.shared.stop.clone();
        runtime.spawn(async move { stop.request(signalled.await) });
        Ok(())
    }

    /// The parts whose sign of life is overdue.
    pub fn silent(&self) -> Vec<Silence> {
        self.shared.pulses.silent()
    }

    /// Looks at the parts' signs of life, for ever: passes them on to systemd's watchdog, and logs who falls silent and
    /// who comes back.
    pub async fn watch(&self, systemd: Systemd) {
        let mut interval = tokio::time::interval(systemd.look_every());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known: Vec<&'static str> = Vec::new();
        loop {
            interval.tick().await;
            let silent = self.silent();
            for silence in silent.iter().filter(|silence| !known.contains(&silence.part)) {
                tracing::error!(part = silence.part, "{silence}");
            }
            for part in known.iter().filter(|&&part| silent.iter().all(|silence| silence.part != part)) {
                tracing::info!(part, "gives signs of life again, or has ended");
            }
            known = silent.iter().map(|silence| silence.part).collect();
            if let Err(error) = systemd.sign_of_life(&silent) {
                tracing::warn!(error = %error, "systemd cannot be told");
            }
        }
    }

    /// Asks the parts named in `order` to stop, one after the other, each when its predecessor has ended; then all
    /// others at once, which have `rest` for it. A part that hangs is left behind when the time named beside it is over, so
    /// that its successors still have theirs. Tasks that outlive their time are aborted, threads cannot be.
    pub async fn shutdown(&self, order: &[(&str, Duration)], rest: Duration) -> Shutdown {
        self.shared.stop.request("shutdown");
        let reason = self.shared.stop.token().requested().await;
        let mut parts = std::mem::take(&mut *lock(&self.shared.parts));
        let mut stages: Vec<(Vec<Supervised>, Duration)> = Vec::new();
        for (name, within) in order {
            stages.push((parts.extract_if(.., |part| part.name == *name).collect(), *within));
        }
        stages.push((parts, rest));

        let mut stragglers = Vec::new();
        for (mut stage, within) in stages {
            for part in &stage {
                part.stop.request(&reason);
            }
            let until = tokio::time::Instant::now() + within;
            for part in &mut stage {
                if tokio::time::timeout_at(until, part.ended.wait_for(|ended| *ended)).await.is_err() {
                    tracing::error!(part = part.name, "did not end in time");
                    stragglers.push(part.name);
                    if let Some(task) = &part.task {
                        task.abort();
                    }
                }
            }
        }
        Shutdown { reason, ends: std::mem::take(&mut *lock(&self.shared.ends)), stragglers }
    }

    fn admit(&self, name: &'static str) -> Result<MutexGuard<'_, Vec<Supervised>>, SuperviseError> {
        let parts = lock(&self.shared.parts);
        if parts.iter().any(|part| part.name == name) {
            return Err(SuperviseError::NameTaken { name });
        }
        Ok(parts)
    }

    fn prepare(&self, name: &'static str, silence_max: Duration) -> (PartHandle, StopSignal, EndReport) {
        let stop = StopSignal::new();
        let handle = PartHandle { stop: stop.token(), pulse: self.shared.pulses.start(name, silence_max) };
        let (supervisor, ended) = (self.clone(), watch::Sender::new(false));
        (handle, stop.clone(), EndReport { supervisor, name, asked: stop.token(), ended })
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

/// How a part's end reaches the supervisor.
struct EndReport {
    supervisor: Supervisor,
    name: &'static str,
    asked: Stop,
    ended: watch::Sender<bool>,
}

impl EndReport {
    fn ended(self, ending: Ending) {
        let end = End { part: self.name, ending };
        let unasked = !self.asked.is_requested();
        match &end.ending {
            Ending::Finished if unasked => tracing::info!("{end}"),
            Ending::Finished | Ending::Aborted => tracing::debug!("{end}"),
            Ending::Failed(_) | Ending::Panicked(_) => tracing::error!("{end}"),
        }
        let shared = &self.supervisor.shared;
        if unasked {
            shared.stop.request(&end.to_string());
        }
        lock(&shared.ends).push(end);
        self.ended.send_replace(true);
    }
}

/// The lists are consistent after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
