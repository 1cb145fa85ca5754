//! Which workers are there: when each was last heard, and which of its streams is the current one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use haulier_domain::id::WorkerId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Seen {
    heard: Instant,
    stream: CancellationToken,
}

/// Which workers are there.
#[derive(Debug, Default)]
pub struct Presence {
    workers: Mutex<HashMap<WorkerId, Seen>>,
}

impl Presence {
    /// A worker has opened a stream: an older one of its is told to end. Returns what tells this one.
    pub fn open(&self, worker: &WorkerId) -> CancellationToken {
        let stream = CancellationToken::new();
        let seen = Seen { heard: Instant::now(), stream: stream.clone() };
        if let Some(older) = self.lock().insert(worker.clone(), seen) {
            older.stream.cancel();
        }
        stream
    }

    /// A worker was heard.
    pub fn heard(&self, worker: &WorkerId) {
        if let Some(seen) = self.lock().get_mut(worker) {
            seen.heard = Instant::now();
        }
    }

    /// When a worker was last heard since the coordinator's start.
    pub fn last_heard(&self, worker: &WorkerId) -> Option<Instant> {
        self.lock().get(worker).map(|seen| seen.heard)
    }

    /// Forgets a worker that is needed no more.
    pub fn forget(&self, worker: &WorkerId) {
        self.lock().remove(worker);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Seen>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
