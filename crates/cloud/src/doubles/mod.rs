//! In-memory doubles of the ports, a switchboard of faults that wraps any port, and the conformance suites that doubles
//! and AWS adapters pass alike. For tests only.
//!
//! The doubles are strict where AWS is strict: client tokens, `DependencyViolation`, the states in which a call is
//! refused, states that take time. Time is counted in reads, not in seconds: a thing that was asked for arrives after
//! [`MemoryCloud::set_lag`] descriptions of it, so that no test sleeps.

mod buckets;
mod compute;
pub mod conformance;
mod databases;
mod errors;
mod faults;
mod faulty;
mod identity;
mod keys;
mod locked;
mod object_store;
mod roles;
mod secrets;
mod uploads;
mod world;

pub use buckets::{MemoryBucket, MemoryBuckets};
pub use compute::MemoryCompute;
pub use databases::MemoryDatabases;
pub use faults::{Call, Fault, Faults, Rule};
pub use faulty::Faulty;
pub use identity::MemoryIdentity;
pub use keys::MemoryKeys;
pub use object_store::MemoryObjectStore;
pub use roles::MemoryRoles;
pub use secrets::MemorySecrets;
pub use world::{IMAGE_ID, MemoryCloud, SUBNET_IDS, VPC_ID, ZONES};
