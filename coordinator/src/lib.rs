//! The control plane of Haulier: policies become sessions, sessions become workers, and nothing is left behind.
//!
//! - [`sessions`] is what the control service drives; [`workflows`] carries a session out, step by step;
//! - [`ledger`] knows every cloud resource a session has asked for and removes it, [`reaper`] whatever slipped through;
//! - [`workers`] is what workers talk to; [`repositories`] and [`accounts`] are how repositories and AWS are reached;
//! - [`state`] is what all of them remember.

pub mod accounts;
pub mod certificates;
pub mod config;
pub mod control;
pub mod failures;
pub mod installation_key;
pub mod ledger;
pub mod policies;
pub mod poller;
pub mod reaper;
pub mod repositories;
pub mod sealed_tag;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod start;
pub mod state;
pub mod state_lock;
pub mod workers;
pub mod workflows;
pub mod yaml;
