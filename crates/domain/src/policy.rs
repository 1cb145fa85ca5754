//! What to protect, where to, when, and how a worker is to be had: the operator's policy.
//!
//! A policy is read from YAML elsewhere; here it is plain data, and three decisions over it:
//!
//! - [`faults`]: everything that is wrong with it at once, each with the field's path, so that nobody corrects a file
//!   fault by fault;
//! - [`Selection::names`]: which resources it names; what is excluded is never named, whatever includes it;
//! - [`owners`]: to which policy a resource belongs that several name: the one of highest priority, and among equals
//!   the first by name. One resource, one policy: nobody pays for two backups of the same night by accident.

mod arn;
mod fault;
mod model;
mod selection;
mod sql_server;
mod transfer;
mod validate;
mod worker;

pub use arn::{Arn, InvalidArn};
pub use fault::Fault;
pub use model::{
    Account, Databases, Login, Policy, Resource, Selection, Selector, SqlServer, Tags, TemporaryBucket, Transfer,
    WorkerConfiguration, WorkerDefaults,
};
pub use selection::{Ownership, owners};
pub use transfer::{DEFAULT_LARGE_TABLE_BYTES, DEFAULT_SPLIT_TABLE_BYTES};
pub use validate::{DEFAULT_CONCURRENCY, DEFAULT_PRIORITY, faults, is_region, is_resource_name};
pub use worker::is_instance_type;

#[cfg(test)]
pub(crate) mod tests;
