//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until the condition holds.
///
/// # Errors
/// Where it does not hold within the limit, or looking at it fails.
pub fn until(limit: Duration, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    until_some(limit, what, || Ok(condition()?.then_some(())))
}

/// Waits until there is a value.
///
/// # Errors
/// Where there is none within the limit, or looking for it fails.
pub fn until_some<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look().with_context(|| format!("while waiting for {what}"))? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(LOOK);
    }
}
