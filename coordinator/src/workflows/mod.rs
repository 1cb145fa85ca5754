//! Durable workflows: one function per kind of session, which reads as the flow does, and the steps it is made of.
//!
//! A step is at-least-once: a crash between its effect and its commit repeats it. So every step finds what it did before,
//! by deterministic name, client token or state, and comes to the same result. Each session ends the same way, whatever
//! happened: its outcome is written down, everything in its ledger is removed, and only then is it over.

mod attempt;
mod backup;
mod database_restore;
pub mod engine;
mod flow;
mod left_behind;
mod maintenance;
mod native;
pub mod observer;
mod replicate;
pub(crate) mod salvage;
mod steps;
mod trouble;
mod verify;

pub(crate) use flow::BackOff;

/// Version of the workflows' code. A session is carried on by the version that began it; one of another version is torn
/// down from the ledger. Raise it with every change to the order, the names or the results of steps.
pub const VERSION: &str = "6";
