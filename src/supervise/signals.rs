//! The signals that ask a program to end: none of them may leave a laser on.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::{StopSignal, SuperviseError};

/// Resolves to the name of the first of SIGTERM, SIGINT, SIGHUP (a closed terminal) and SIGQUIT to come. Needs a runtime's
/// context.
pub(super) fn first_signal() -> Result<impl Future<Output = &'static str> + Send, SuperviseError> {
    let install = |kind| signal(kind).map_err(|source| SuperviseError::Signals { source });
    let (mut terminate, mut interrupt) = (install(SignalKind::terminate())?, install(SignalKind::interrupt())?);
    let (mut hangup, mut quit) = (install(SignalKind::hangup())?, install(SignalKind::quit())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => "SIGHUP",
            _ = quit.recv() => "SIGQUIT",
        }
    })
}

/// A stop that those signals request, for a program without a runtime of its own. Whoever obeys it must look at it: the
/// signals no longer end the process.
///
/// # Errors
/// When the handlers or their thread cannot be had.
pub fn stop_on_signals() -> Result<StopSignal, SuperviseError> {
    let failed = |source| SuperviseError::Thread { name: "signals", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let signalled = {
        let _context = runtime.enter();
        first_signal()?
    };
    let stop = StopSignal::new();
    let requested = stop.clone();
    let wait = move || requested.request(runtime.block_on(signalled));
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(stop)
}
