//! Independent fits on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Runs jobs 0..count on `threads` threads; each has its own random numbers, so that the result is the same on any number.
/// After a failure no further job starts.
///
/// # Errors
/// The first failure in the order of the jobs.
pub(crate) fn in_parallel<T: Send, E: Send>(
    count: usize,
    threads: usize,
    job: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<Option<Result<T, E>>>> = Mutex::new((0..count).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || failed.load(Ordering::Relaxed) {
                        break;
                    }
                    let result = job(index);
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    results.lock().expect("no job panics while it holds the lock")[index] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("no job panics while it holds the lock");
    // Jobs start in order: whatever did not run comes after a failure.
    results.into_iter().map(|result| result.expect("every job ran, or one before it failed")).collect()
}
