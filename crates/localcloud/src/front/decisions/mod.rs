//! What the front decides itself: plain state and plain functions, no clock, no network, no async.
//!
//! Everything here stands in for AWS, so each rule names the document it follows, and is tested by table.

pub(crate) mod databases;
pub(crate) mod faults;
pub(crate) mod filters;
pub(crate) mod firewall;
pub(crate) mod groups;
pub(crate) mod ids;
pub(crate) mod instances;
pub(crate) mod launch;
pub(crate) mod option_groups;
pub(crate) mod permissions;
pub(crate) mod snapshots;
pub(crate) mod subnet_groups;
pub(crate) mod world;

/// Tags of a resource.
pub(crate) type Tags = std::collections::BTreeMap<String, String>;
