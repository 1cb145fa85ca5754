//! Wall and processor time of what is run here, and the middle of several results.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use e2e::process;
use serde::Serialize;

use crate::memory::processor_seconds;

/// What something took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Taken {
    /// Seconds on the clock.
    pub(super) wall: f64,
    /// Seconds of processor, of the commands alone: not of the server they talk to.
    pub(super) processor: f64,
}

/// Runs one command to its successful end. What was written before is on disk first, so that nobody pays for another.
pub(super) fn timed(command: &mut Command) -> Result<Taken> {
    settle()?;
    let (processor, started) = (children_processor()?, Instant::now());
    process::output(command)?;
    let wall = started.elapsed().as_secs_f64();
    Ok(Taken { wall, processor: children_processor()? - processor })
}

/// Waits until the page cache has nothing left to write.
pub(super) fn settle() -> Result<()> {
    process::output(&mut Command::new("sync")).map(drop)
}

/// Processor seconds of this process's children that have ended.
fn children_processor() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    Ok(processor_seconds(&stat).context("/proc/self/stat is cut short")?.1)
}

/// The middle one, or the mean of the two in the middle. Not a number where there is none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found_in_any_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
