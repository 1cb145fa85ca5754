//! The stream to the coordinator: opened, kept, and opened again after a cut, while the job goes on.

mod dial;
mod link;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

pub use dial::{Dial, DialError, Incoming};

use crate::attach::link::{Cut, Link};
use crate::backoff::Backoff;
use crate::session::Session;
use crate::watchdog::Pulse;

/// Patience until the coordinator has said its own.
pub const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Why the stream is not opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The coordinator has said that nothing is left to do.
    Shutdown,
    /// The coordinator was away for longer than its patience.
    CoordinatorLost,
    /// The coordinator does not want this worker any more: another one has taken the session over, say.
    Refused(String),
}

/// Serves the session over stream after stream, until one of them, or their absence, ends it.
pub async fn serve(dial: &dyn Dial, session: &Arc<Session>, majors: &[u32], pulse: &Pulse) -> Ending {
    let mut patience = PATIENCE;
    let mut lost_since = Instant::now();
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        let give_up = lost_since + patience;
        let reason = match timeout_at(give_up, Link::open(dial, session, majors)).await {
            Err(_) => return Ending::CoordinatorLost,
            Ok(Err(DialError::Refused(reason))) => return Ending::Refused(reason),
            Ok(Err(DialError::Unreachable(reason))) => reason,
            Ok(Ok(link)) => {
                patience = link.patience();
                pulse.connected(patience);
                backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
                let cut = link.run(session).await;
                pulse.cut();
                lost_since = Instant::now();
                match cut {
                    Cut::Shutdown => return Ending::Shutdown,
                    Cut::Refused(reason) => return Ending::Refused(reason),
                    Cut::Broken(reason) => reason,
                }
            }
        };
        let give_up = lost_since + patience;
        if Instant::now() >= give_up {
            return Ending::CoordinatorLost;
        }
        let delay = backoff.delay();
        tracing::warn!(reason, delay_ms = delay.as_millis() as u64, "the coordinator cannot be reached");
        tokio::time::sleep_until((Instant::now() + delay).min(give_up)).await;
    }
}
