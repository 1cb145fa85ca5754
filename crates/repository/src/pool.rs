//! The bounded pool for work that keeps a core busy: hashing, compression, sealing, sorting. The bound is a semaphore, so
//! that the whole process may share one; the threads are tokio's.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};

/// A bounded pool.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
    threads: usize,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self { permits: Arc::new(Semaphore::new(threads)), threads }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a job once a thread is free. Once started it runs to its end, even if nobody waits for it any more.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        self.start(&TaskTracker::new(), job).await?.await.map_err(|error| Error::TaskStopped(error.to_string()))?
    }

    /// Starts a job once a thread is free, and returns without waiting for its end. `tracker` knows of it until then.
    pub(crate) async fn start<T, F>(&self, tracker: &TaskTracker, job: F) -> Result<tokio::task::JoinHandle<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|error| Error::TaskStopped(error.to_string()))?;
        Ok(tracker.spawn_blocking(move || {
            let result = job();
            drop(permit);
            result
        }))
    }
}
