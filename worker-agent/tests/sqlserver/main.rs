//! The SQL Server mover against an instance, a temporary bucket and a repository in memory. Time is paused: what the mover
//! waits for comes at once, in the order in which it would come.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod assignment;
mod backup;
mod bucket;
mod crashes;
mod encrypted;
mod errors;
mod gate;
mod instance;
mod log_crashes;
mod logs;
mod restore;
mod scene;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod taken_over;
