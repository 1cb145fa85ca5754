//! What every implementation of a port must do, as functions that panic where it does not. Doubles and AWS adapters run
//! through the same suite, the latter against the local cloud or a real account, so a suite needs nothing but the port and
//! the names of what exists already, removes what it makes, and waits for states with a deadline.
#![expect(clippy::unwrap_used, reason = "a suite reports by panicking")]

mod buckets;
mod compute;
mod databases;
mod object_lock;
mod object_store;
mod small;

use std::time::Duration;

pub use buckets::{BucketHand, buckets};
pub use compute::{ComputeFixture, compute};
pub use databases::{DatabasesFixture, databases};
pub use object_lock::object_lock;
pub use object_store::object_store;
pub use small::{keys, roles, secrets};

use crate::error::Result;

/// Longest wait for a state. A DB instance of the real service needs minutes for a snapshot.
const DEADLINE: Duration = Duration::from_secs(20 * 60);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// Looks until there is something to see.
async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await.unwrap() {
                return found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(waited.is_ok(), "{what} did not happen within {DEADLINE:?}");
    waited.unwrap()
}
