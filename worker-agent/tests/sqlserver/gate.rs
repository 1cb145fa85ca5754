//! The place at which a worker is killed: a call to the instance or to the temporary bucket, before it or after it has taken
//! effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// When a worker is killed at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The call is not made.
    Before,
    /// It is, and its answer is lost with the worker.
    After,
    /// It is, and the worker is not killed, but told to stop, as its machine goes.
    Stopping,
}

/// Counts calls. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    calls: AtomicU64,
    deadly: Option<(u64, When)>,
    reached: Notify,
}

impl Gate {
    /// Kills at this call, the first being 0.
    pub(crate) fn deadly(call: u64, when: When) -> Self {
        Self(Arc::new(Inner { deadly: Some((call, when)), ..Inner::default() }))
    }

    /// Whether the worker is told to stop, and not killed.
    pub(crate) fn is_stopping(&self) -> bool {
        self.0.deadly.is_some_and(|(_, when)| when == When::Stopping)
    }

    /// Returns when a worker is to be killed.
    pub(crate) async fn reached(&self) {
        self.0.reached.notified().await;
    }

    /// A call.
    pub(crate) async fn pass<T>(&self, call: impl Future<Output = T>) -> T {
        let number = self.0.calls.fetch_add(1, Ordering::Relaxed);
        match self.0.deadly {
            Some((deadly, When::Stopping)) if deadly == number => {
                self.0.reached.notify_one();
                call.await
            }
            Some((deadly, when)) if deadly == number => {
                if when == When::After {
                    drop(call.await);
                }
                self.0.reached.notify_one();
                std::future::pending().await
            }
            _ => call.await,
        }
    }
}
