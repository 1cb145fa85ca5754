//! The steps that flows are made of. Each finds what an earlier run of it did, and comes to the same result.

pub(super) mod assignment;
pub(super) mod copy;
pub(super) mod end;
pub(super) mod native;
pub(super) mod native_job;
pub(super) mod network;
pub(super) mod preflight;
pub(super) mod proof;
pub(super) mod publish;
pub(super) mod snapshot;
pub(super) mod strays;
pub(super) mod temporary;
pub(super) mod transfer;
pub(super) mod turn;
pub(super) mod worker;
