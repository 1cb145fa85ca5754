//! A machine that nobody needs any more must not run on. Two mechanisms see to that, and neither needs the other:
//!
//! 1. the agent itself, on the async runtime, ends in good order when its deadline passes or its patience with an absent
//!    coordinator is over ([`crate::agent`]), and `main` then powers off;
//! 2. a plain thread, here, that looks at the clock and at what the runtime last noted down ([`Pulse`]). It lets the first
//!    one go ahead and powers off where it did not: a runtime that is stuck, a job that will not end, a `main` that hangs.
//!    Then it ends the process, because of the third:
//!
//! The image powers off when the agent's process ends, however it ended. It has the right to; the agent may not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::power::PowerOff;

/// How much longer the thread waits than the agent does: for longer than a restore may take to tidy up.
const GRACE: Duration = Duration::from_secs(180);
/// A runtime that has not noted anything for so long is stuck.
const STUCK: Duration = Duration::from_secs(300);
/// From the command to the end of the process, where that is still there.
const LAST: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What the runtime notes down for the thread to read.
#[derive(Debug)]
pub struct Pulse {
    origin: Instant,
    /// Milliseconds from the origin to the runtime's last sign of life.
    alive: AtomicU64,
    /// Milliseconds from the origin to the coordinator's last sign of life.
    contact: AtomicU64,
    /// Milliseconds of patience with an absent coordinator; 0 while there was none yet.
    patience: AtomicU64,
    connected: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            alive: AtomicU64::new(0),
            contact: AtomicU64::new(0),
            patience: AtomicU64::new(0),
            connected: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The runtime is alive; where the stream stands, so is the coordinator (HTTP/2 pings see to that).
    pub fn beat(&self) {
        let now = self.now();
        self.alive.store(now, Ordering::Relaxed);
        if self.connected.load(Ordering::Relaxed) {
            self.contact.store(now, Ordering::Relaxed);
        }
    }

    /// The coordinator has greeted us and said how patient to be.
    pub fn connected(&self, patience: Duration) {
        self.patience.store(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.connected.store(true, Ordering::Relaxed);
        self.beat();
    }

    /// The stream is cut.
    pub fn cut(&self) {
        self.beat();
        self.connected.store(false, Ordering::Relaxed);
    }

    fn reading(&self, past_deadline: Option<Duration>) -> Reading {
        let since = |at: &AtomicU64| Duration::from_millis(self.now().saturating_sub(at.load(Ordering::Relaxed)));
        let patience = self.patience.load(Ordering::Relaxed);
        Reading {
            past_deadline,
            since_alive: since(&self.alive),
            since_contact: since(&self.contact),
            patience: (patience > 0).then(|| Duration::from_millis(patience)),
        }
    }
}

/// What the thread sees when it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    past_deadline: Option<Duration>,
    since_alive: Duration,
    since_contact: Duration,
    patience: Option<Duration>,
}

impl Reading {
    /// Why the machine must go, if it must.
    fn verdict(self) -> Option<&'static str> {
        if self.past_deadline.is_some_and(|past| past > GRACE) {
            return Some("the deadline has passed");
        }
        if self.since_alive > STUCK {
            return Some("the agent is stuck");
        }
        let lost = self.patience.is_some_and(|patience| self.since_contact > patience + GRACE);
        lost.then_some("the coordinator is lost")
    }
}

/// The thread. It ends with the process, or when the watchdog is dropped.
#[derive(Debug)]
pub struct Watchdog {
    _stop: SyncSender<()>,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(pulse: Arc<Pulse>, deadline: Timestamp, power_off: PowerOff) -> std::io::Result<Self> {
        // The wall clock may be set while we run; the monotonic one cannot. Whichever passes first decides.
        let left = Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
        let due = Instant::now() + left;
        let past = move || {
            let by_wall = Duration::try_from(Timestamp::now().duration_since(deadline)).ok();
            by_wall.max(Instant::now().checked_duration_since(due))
        };
        Self::spawn(move || pulse.reading(past()), power_off, [LOOK, LAST], || std::process::abort())
    }

    fn spawn(
        read: impl Fn() -> Reading + Send + 'static,
        power_off: PowerOff,
        [look, last]: [Duration; 2],
        end: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel::<()>(0);
        let passes = move |time| stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while passes(look) {
                if let Some(reason) = read().verdict() {
                    power_off.run(reason);
                    if passes(last) {
                        tracing::error!(reason, "the process is ended");
                        end();
                    }
                    return;
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ScratchPowerOff, wait_until};

    const FINE: Reading = Reading {
        past_deadline: None,
        since_alive: Duration::ZERO,
        since_contact: Duration::ZERO,
        patience: Some(Duration::from_secs(300)),
    };

    #[test]
    fn it_lets_the_agent_go_ahead_and_then_decides() {
        let seconds = Duration::from_secs;
        let cases = [
            (FINE, None),
            (Reading { past_deadline: Some(seconds(10)), ..FINE }, None),
            (Reading { past_deadline: Some(GRACE + seconds(1)), ..FINE }, Some("the deadline has passed")),
            (Reading { since_contact: seconds(301), ..FINE }, None),
            (Reading { since_contact: seconds(301) + GRACE, ..FINE }, Some("the coordinator is lost")),
            (Reading { since_contact: seconds(9_999), patience: None, ..FINE }, None),
            (Reading { since_alive: seconds(301), ..FINE }, Some("the agent is stuck")),
        ];
        for (reading, expected) in cases {
            assert_eq!(reading.verdict(), expected, "{reading:?}");
        }
    }

    #[test]
    fn the_thread_runs_the_command_and_ends_the_process_without_any_runtime() {
        let power_off = ScratchPowerOff::new();
        let stuck = Reading { since_alive: STUCK * 2, ..FINE };
        let (end, ended) = mpsc::channel();
        let (command, soon) = (power_off.command(), Duration::from_millis(1));
        let _watchdog = Watchdog::spawn(move || stuck, command, [soon, soon], move || end.send(()).unwrap()).unwrap();
        ended.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(power_off.has_run());
    }

    #[test]
    fn the_thread_ends_when_its_agent_does() {
        let (end, ended) = mpsc::channel::<()>();
        let power_off = ScratchPowerOff::new();
        let (command, long) = (power_off.command(), Duration::from_secs(3_600));
        let watchdog = Watchdog::spawn(|| FINE, command, [long, long], move || end.send(()).unwrap()).unwrap();
        drop(watchdog);
        // The sender goes with the thread's closure.
        assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Err(RecvTimeoutError::Disconnected));
        assert!(!power_off.has_run());
    }

    #[test]
    fn a_connection_is_contact_as_long_as_the_runtime_lives() {
        let pulse = Pulse::default();
        assert_eq!(pulse.reading(None).patience, None);
        pulse.connected(Duration::from_secs(300));
        pulse.contact.store(0, Ordering::Relaxed);
        wait_until("a millisecond", || pulse.now() > 1);
        pulse.beat();
        assert!(pulse.contact.load(Ordering::Relaxed) > 0);
        pulse.cut();
        let at = pulse.contact.load(Ordering::Relaxed);
        wait_until("another millisecond", || pulse.now() > at + 1);
        pulse.beat();
        assert_eq!(pulse.contact.load(Ordering::Relaxed), at);
    }
}
