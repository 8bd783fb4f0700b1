//! Long work under a progress bar, which Ctrl-C ends in good order.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ramand_lab::train::Progress;
use tokio::signal::unix::{SignalKind, signal};

/// How often the progress bar looks at the work.
const GLANCE: Duration = Duration::from_millis(100);

/// Ctrl-C or a stop request ends the computation at its next step.
///
/// Where no handler can be installed, they end the process as they always do: what a command writes is still there whole or not at all.
pub(super) fn interrupt_on_request(progress: &Arc<Progress>) {
    let progress = progress.clone();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let handlers = runtime.block_on(async { Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) });
    let handlers: std::io::Result<_> = handlers;
    let Ok((mut interrupt, mut terminate)) = handlers else { return };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        progress.interrupt();
    });
}

/// Runs `work`, which takes so many steps, under a progress bar named `what` on stderr, if that is a terminal.
pub(super) fn watched<T: Send>(
    progress: &Progress,
    what: &'static str,
    steps: u64,
    work: impl FnOnce() -> T + Send,
) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::new(steps);
    let template = "{prefix} {wide_bar} {percent:>3} %, {eta} left";
    bar.set_prefix(what);
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    let result = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            bar.set_position(progress.steps());
            std::thread::sleep(GLANCE);
        }
        worker.join().expect("the computation does not panic")
    });
    bar.finish_and_clear();
    result
}
