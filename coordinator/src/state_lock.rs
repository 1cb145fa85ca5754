//! The lock on the state directory: one coordinator works in it at a time.
//!
//! Two would take each other's sessions for their own. The lock is held from before anything in the directory is opened
//! until nothing works with it any more; the kernel lets go of it when the process dies.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Why the directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another coordinator works in {directory}: stop it first, or give this one a state_dir of its own")]
    Taken {
        /// The directory.
        directory: PathBuf,
    },
    /// The lock's file cannot be opened or locked.
    #[error("locking {file}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A state directory that is ours.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the directory, which must exist.
    ///
    /// # Errors
    /// Where somebody else has it, or its lock cannot be reached.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let failed = |source| LockError::File { file: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken { directory: directory.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Lets go of the directory, though the value may live on.
    pub fn release(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the state directory stays locked until the process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_had_once_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::take(directory.path()).unwrap();
        let refused = StateLock::take(directory.path()).unwrap_err();
        assert!(matches!(refused, LockError::Taken { .. }), "{refused}");
        first.release();
        let second = StateLock::take(directory.path()).unwrap();
        drop(second);
        StateLock::take(directory.path()).unwrap();
    }
}
