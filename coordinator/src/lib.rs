//! The control plane of Haulier.

pub mod config;
pub mod policies;
pub mod yaml;
