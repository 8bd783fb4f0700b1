//! The simulated instrument as a running thing: one thread that serves a pseudo-terminal, and a handle to watch and disturb it.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ramand_core::failure::{Failure, Kind};
use ramand_core::spectrum::Laser;
use ramand_recording::Recording;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::camera::Camera;
use super::detector::Noise;
use super::faults::Fault;
use super::line::{Pacing, SimulatedLine};
use super::profile::InstrumentFamily;
use super::replay;
use super::responder::Responder;
use super::scenario::{self, Scenario};
use super::stage::{SampleStage, Served};
use super::unit::InstrumentUnit;

/// Light frames remembered: a day of one a second.
const SERVED_MAX: usize = 86_400;

/// What lies on the stage.
#[derive(Debug, Clone)]
pub enum StageSource {
    /// Simulated samples, by a timed list.
    Scenario(Scenario),
    /// Recorded spectra, row by row; after the last row the first comes again.
    Replay {
        /// The recorded spectra, row by row.
        recording: Arc<Recording>,
        /// Light frames each row is served for.
        repeat: u32,
        /// Whether the detector adds its own noise to what is noisy already.
        noise: ReplayNoise,
    },
}

/// Whether a replay is disturbed by the simulated detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplayNoise {
    /// The recorded values, as exactly as counts can say them.
    #[default]
    Off,
    /// Shot noise, read noise and cosmic rays on top.
    On,
}

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// Which family of instruments.
    pub profile: InstrumentFamily,
    /// Where the port appears: a symbolic link.
    pub link: PathBuf,
    /// The line's speed.
    pub baud: u32,
    /// Everything random follows from it, the unit with its errors and its serial number too.
    pub seed: u64,
    /// What is measured.
    pub source: StageSource,
    /// How fast answers leave.
    pub pacing: Pacing,
    /// What goes wrong from the start.
    pub faults: Vec<Fault>,
}

impl SimulatorSettings {
    /// That instrument at 115200 baud with seed 1, the default scenario and no faults, at the speed of a real line.
    pub fn new(profile: InstrumentFamily, link: impl Into<PathBuf>) -> Self {
        Self {
            profile,
            link: link.into(),
            baud: 115_200,
            seed: 1,
            source: StageSource::Scenario(Scenario::default()),
            pacing: Pacing::Line,
            faults: Vec::new(),
        }
    }
}

/// Why there is no simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The device knows no such speed.
    #[error("the simulated {profile} has no baud rate {baud}; it has: {rates}")]
    Baud {
        /// The profile's name.
        profile: &'static str,
        /// The rate that was asked for, bits per second.
        baud: u32,
        /// The rates there are, separated by commas.
        rates: String,
    },
    /// No pseudo-terminal, or the link cannot be made.
    #[error("failed to open a pseudo-terminal as {}", link.display())]
    Open {
        /// The symbolic link that was to lead to it.
        link: PathBuf,
        /// What the operating system says about it.
        #[source]
        source: std::io::Error,
    },
    /// The operating system gives no thread.
    #[error("failed to start the simulator's thread")]
    Thread(#[source] std::io::Error),
}

impl Failure for SimError {
    fn kind(&self) -> Kind {
        match self {
            Self::Baud { .. } | Self::Open { .. } => Kind::Operator,
            Self::Thread(_) => Kind::Transient,
        }
    }
}

/// A running simulated instrument; it stops, and its link goes away, when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    link: PathBuf,
    serial: String,
    commands: Sender<(SimulatorCommand, SyncSender<()>)>,
    wake: UnixStream,
    shared: Arc<SharedObservation>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum SimulatorCommand {
    #[cfg(feature = "control")]
    Inject(Fault),
    #[cfg(feature = "control")]
    HangUp,
    #[cfg(feature = "control")]
    ComeBack,
    Stop,
}

#[derive(Debug, Default)]
struct SharedObservation {
    observed: Mutex<Observed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Observed {
    laser_is_on: bool,
    served: Vec<Served>,
}

impl SharedObservation {
    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Simulator {
    /// Opens the line and starts serving.
    ///
    /// # Errors
    /// When the baud rate is none of the profile's, or no pseudo-terminal can be opened under that name.
    pub fn start(settings: SimulatorSettings) -> Result<Self, SimError> {
        let rates = settings.profile.model().bauds;
        if !rates.contains(&settings.baud) {
            let rates = rates.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            return Err(SimError::Baud { profile: settings.profile.name(), baud: settings.baud, rates });
        }
        let open = |source| SimError::Open { link: settings.link.clone(), source };
        let line = SimulatedLine::open(&settings.link, settings.baud, settings.pacing).map_err(open)?;
        let (wake, woken) = UnixStream::pair().map_err(open)?;
        woken.set_nonblocking(true).map_err(open)?;
        let (device, serial) = device(&settings);
        let (commands, received) = channel();
        let shared = Arc::new(SharedObservation::default());
        let server = SimulatorServer {
            line,
            device,
            commands: received,
            woken,
            shared: shared.clone(),
            started: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || server.serve())
            .map_err(SimError::Thread)?;
        Ok(Self { link: settings.link, serial, commands, wake, shared, thread: Some(thread) })
    }

    /// The port's name.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// The serial number of the simulated unit.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Whether the device believes its laser is on.
    #[cfg(feature = "control")]
    pub fn laser(&self) -> Laser {
        if self.shared.lock().laser_is_on { Laser::On } else { Laser::Off }
    }

    /// Makes something go wrong; in effect when this returns.
    #[cfg(feature = "control")]
    pub fn inject(&self, fault: Fault) {
        self.call(SimulatorCommand::Inject(fault));
    }

    /// Closes the line, as a pulled plug does. The link is gone until [`Simulator::come_back`].
    #[cfg(feature = "control")]
    pub fn hang_up(&self) {
        self.call(SimulatorCommand::HangUp);
    }

    /// Plugs the line in again under the same name.
    #[cfg(feature = "control")]
    pub fn come_back(&self) {
        self.call(SimulatorCommand::ComeBack);
    }

    /// What every light frame saw so far (the last 86,400 of them), oldest first.
    #[cfg(feature = "control")]
    pub fn served(&self) -> Vec<Served> {
        self.shared.lock().served.clone()
    }

    /// Waits until light frame number `light_frame` (from 0) was exposed, at most `patience`; the frames from it on.
    pub fn served_from(&self, light_frame: u64, patience: Duration) -> Vec<Served> {
        let missing =
            |observed: &mut Observed| observed.served.last().is_none_or(|last| last.light_frame < light_frame);
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, missing);
        let (observed, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        observed.served.iter().filter(|served| served.light_frame >= light_frame).cloned().collect()
    }

    /// Waits until the laser is as asked, at most `patience`; whether it is.
    pub fn wait_for_laser(&self, wanted: Laser, patience: Duration) -> bool {
        let differs = |observed: &mut Observed| observed.laser_is_on != (wanted == Laser::On);
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, differs);
        let (observed, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        observed.laser_is_on == (wanted == Laser::On)
    }

    /// Ends it; the link is gone when this returns.
    pub fn stop(mut self) {
        self.end();
    }

    /// Hands a command to the thread and waits until it is carried out. A thread that has ended carries out nothing.
    fn call(&self, command: SimulatorCommand) {
        let (done, carried_out) = sync_channel(1);
        if self.commands.send((command, done)).is_ok() && (&self.wake).write_all(&[0]).is_ok() {
            let _ = carried_out.recv();
        }
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.call(SimulatorCommand::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// The unit, what lies on its stage, and the state machine before it.
fn device(settings: &SimulatorSettings) -> (Responder, String) {
    let stream = |number| {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        rng.set_stream(number);
        rng
    };
    let mut unit = InstrumentUnit::new(settings.profile, settings.seed);
    let (stage, noise) = match &settings.source {
        StageSource::Scenario(scenario) => (
            SampleStage::Scenario(Box::new(scenario::ScenarioPlayer::new(scenario.clone(), stream(1)))),
            Noise::Physical,
        ),
        StageSource::Replay { recording, repeat, noise } => {
            // What was recorded has been through a detector already: this one adds no curvature of its own.
            unit.nonlinearity = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            let player = replay::ReplayPlayer::new(recording.clone(), *repeat, &unit);
            (SampleStage::Replay(player), if *noise == ReplayNoise::On { Noise::Physical } else { Noise::None })
        }
    };
    let serial = unit.serial.clone();
    let camera = Camera::new(unit, stage, noise, stream(2));
    let mut device = Responder::new(camera, settings.baud, stream(3));
    settings.faults.iter().for_each(|fault| device.inject(*fault));
    (device, serial)
}

/// The thread's own.
struct SimulatorServer {
    line: SimulatedLine,
    device: Responder,
    commands: Receiver<(SimulatorCommand, SyncSender<()>)>,
    woken: UnixStream,
    shared: Arc<SharedObservation>,
    started: Instant,
}

/// What the loop does next.
enum Next {
    Round,
    End,
}

impl SimulatorServer {
    fn serve(mut self) {
        loop {
            match self.round() {
                Ok(Next::Round) => {}
                Ok(Next::End) => return,
                // The pair itself broke, which a host cannot cause: as a pulled plug, until somebody plugs it in again.
                Err(error) => {
                    tracing::warn!(%error, "the simulated line broke");
                    self.line.hang_up(Duration::ZERO, self.started.elapsed());
                }
            }
        }
    }

    fn round(&mut self) -> std::io::Result<Next> {
        let now = self.started.elapsed();
        while let Ok((command, done)) = self.commands.try_recv() {
            let next = self.carry_out(command);
            self.observe();
            let _ = done.send(());
            if let Next::End = next? {
                return Ok(Next::End);
            }
        }
        self.device.advance(now);
        if let Some(away) = self.device.take_hang_up() {
            self.unplug(away, now);
        }
        self.line.drive(&mut self.device, now)?;
        self.observe();
        self.wait()?;
        self.line.listen(&mut self.device, self.started.elapsed())?;
        Ok(Next::Round)
    }

    fn carry_out(&mut self, command: SimulatorCommand) -> std::io::Result<Next> {
        match command {
            SimulatorCommand::Stop => Ok(Next::End),
            #[cfg(feature = "control")]
            SimulatorCommand::Inject(fault) => {
                self.device.inject(fault);
                Ok(Next::Round)
            }
            #[cfg(feature = "control")]
            SimulatorCommand::HangUp => {
                self.unplug(Duration::ZERO, self.started.elapsed());
                Ok(Next::Round)
            }
            #[cfg(feature = "control")]
            SimulatorCommand::ComeBack => self.line.come_back().map(|()| Next::Round),
        }
    }

    fn unplug(&mut self, away: Duration, now: Duration) {
        self.line.hang_up(away, now);
        self.device.forget_replies();
    }

    /// Sleeps until the host sends, the handle calls, or something is due.
    fn wait(&mut self) -> std::io::Result<()> {
        let due = [self.line.next_at(), self.device.next_at()].into_iter().flatten().min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            // Rounded up: waking a little early would spin until the moment has come.
            let ms = due.saturating_sub(self.started.elapsed()).as_micros().div_ceil(1000);
            PollTimeout::try_from(ms.min(60_000) as u32).unwrap_or(PollTimeout::MAX)
        });
        let woken = PollFd::new(self.woken.as_fd(), PollFlags::POLLIN);
        let polled = match self.line.pty() {
            Some(pty) => poll(&mut [woken, PollFd::new(pty.poll_fd(), PollFlags::POLLIN)], timeout),
            None => poll(&mut [woken], timeout),
        };
        match polled {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut calls = [0; 64];
        while self.woken.read(&mut calls).is_ok_and(|number| number > 0) {}
        Ok(())
    }

    /// Tells the handle what has happened.
    fn observe(&mut self) {
        let served = self.device.take_served();
        let laser_is_on = self.device.laser_is_on();
        let mut observed = self.shared.lock();
        if served.is_empty() && observed.laser_is_on == laser_is_on {
            return;
        }
        observed.laser_is_on = laser_is_on;
        observed.served.extend(served);
        let surplus = observed.served.len().saturating_sub(SERVED_MAX);
        observed.served.drain(..surplus);
        self.shared.changed.notify_all();
    }
}
