//! Waiting longer each time, and never in step with others.

use std::time::Duration;

use uuid::Uuid;

/// Delays that grow from one to the next, each somewhere between half of its full length and the whole.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// The next delay.
    pub(crate) fn delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        // The low bits of a random UUID: enough chance to spread workers, no generator to seed.
        let chance = Uuid::new_v4().as_u128() as u32;
        full.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_vary() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for full in [100, 200, 400, 800, 1_000, 1_000] {
            let delay = backoff.delay();
            assert!((full / 2..=full).contains(&(delay.as_millis() as u64)), "{delay:?} of {full}");
        }
    }
}
