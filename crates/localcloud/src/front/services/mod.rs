//! The drivers: each takes a verified call, lets the decisions decide, and carries them out.

pub(crate) mod ec2;
pub(crate) mod iam;
pub(crate) mod passthrough;
pub(crate) mod rds;
pub(crate) mod sts;
