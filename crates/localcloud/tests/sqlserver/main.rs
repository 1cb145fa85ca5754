//! The stand-in for SQL Server, in a whole cloud: driven by two TDS clients that know nothing of each other, tiberius and
//! FreeTDS, with real S3 traffic behind its native tasks.
//!
//! Needs root, as the cloud does, and `tsql` (package freetds-bin), which `cargo xtask test` installs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod chain;
mod clients;
mod cloud;
mod faults;
mod instance;
mod log_keys;
mod log_refusals;
mod logs;
mod tasks;
mod wire;
