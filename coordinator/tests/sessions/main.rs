//! Sessions from start to end, over doubles of the cloud and simulated workers on the real listener: faults, crashes,
//! cancels, crowds. After each the cloud is as before.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod backup;
mod capacity;
mod crashes;
mod faults;
mod maintenance;
mod native;
mod native_afterwards;
mod native_crashes;
mod native_faults;
mod native_log_target;
mod native_logs;
mod reaper;
mod replicate;
mod restores;
mod start;
mod support;
mod turns;
mod verify;
mod workers;
