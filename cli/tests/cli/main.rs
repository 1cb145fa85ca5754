//! The command line against a scripted coordinator.

mod commands;
mod fake;
mod grammar;
