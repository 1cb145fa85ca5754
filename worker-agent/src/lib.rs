//! The agent that moves data on a worker.
//!
//! [`agent`] is its life from top to bottom. What it is told at its launch is [`user_data`]; [`enrol`] turns that into a
//! certificate, trusting the coordinator by one digest ([`tls`]); [`attach`] keeps the stream to the coordinator;
//! [`session`] holds what was said on it and the one job that came of it; [`runner`] carries the job out, with the
//! movers [`postgres`] and [`sqlserver`]; [`desk`] is where the job reports to. [`watchdog`] and [`power`] see to it that the machine does
//! not outlive its use.

pub mod agent;
pub mod attach;
mod backoff;
mod cause;
mod credentials;
pub mod desk;
pub mod enrol;
pub mod mover;
mod outbox;
pub mod postgres;
pub mod power;
mod progress;
pub mod redact;
pub mod runner;
pub mod session;
pub mod settings;
pub mod signer;
pub mod sqlserver;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod user_data;
pub mod watchdog;
