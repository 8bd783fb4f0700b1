//! One process at a time: a lock on a file of its own.

use std::fs::{File, TryLockError};

/// An exclusive lock, given back when dropped.
///
/// Closing the file would not do: the lock belongs to every copy of the descriptor, and a child that another thread is just starting
/// holds one until it has become its program. Unlocking gives it back for all of them.
#[derive(Debug)]
pub struct ProcessLock(File);

impl ProcessLock {
    /// Locks `file`.
    ///
    /// # Errors
    /// When another process, or another descriptor of this one, has the lock; or the file system cannot lock.
    pub fn take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a lock is given back only when the last child of this process lets go of it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_back_while_a_copy_of_the_descriptor_is_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || File::create(folder.path().join("lock")).expect("writable");
        let file = open();
        // What a child holds between fork and exec.
        let copy = file.try_clone().expect("a copy");
        let lock = ProcessLock::take(file).expect("free");
        assert!(matches!(ProcessLock::take(open()), Err(TryLockError::WouldBlock)));
        drop(lock);
        assert!(ProcessLock::take(open()).is_ok(), "given back");
        drop(copy);
    }
}
