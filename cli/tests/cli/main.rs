//! The command line against a scripted coordinator.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod commands;
mod fake;
mod grammar;
mod operator;
