//! A repository straight from its bucket: what there is to do on the day the coordinator is gone.
//!
//! Nothing is written to the bucket, so that a coordinator that is not gone after all is not disturbed.

mod failures;
mod opened;
mod points;

pub(crate) use failures::of_repository;
pub(crate) use opened::Opened;
pub(crate) use points::latest_proof;
