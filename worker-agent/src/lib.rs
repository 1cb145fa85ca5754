//! The agent that moves data on a worker.

pub mod postgres;
