//! Ports to the cloud. Each outside thing Haulier talks to is a small trait in our own types; the AWS adapters stand
//! behind one feature each, and this is the only crate that names an AWS SDK.
//!
//! Whether a call took effect matters more here than why it failed: see [`error::Outcome`].

#[cfg(feature = "aws")]
pub mod aws;
pub mod buckets;
pub mod compute;
pub mod databases;
#[cfg(feature = "doubles")]
pub mod doubles;
pub mod error;
pub mod identity;
pub mod keys;
pub mod object_lock;
pub mod object_store;
pub mod roles;
pub mod secrets;

pub use error::{CloudError, ErrorKind, Outcome, Result};
