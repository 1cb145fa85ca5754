//! Wire messages of Haulier, and their conversion to and from the domain's types.
//!
//! Coordinator and worker meet only here. Messages are converted once, on receipt, and validated by that.

/// Messages both services speak.
pub mod common {
    /// `haulier.common.v1`.
    pub mod v1 {
        #![allow(missing_docs, clippy::all, unreachable_pub, unused_qualifications, reason = "generated code")]
        tonic::include_proto!("haulier.common.v1");
    }
}

/// What worker and coordinator say to each other.
pub mod worker {
    /// `haulier.worker.v1`.
    pub mod v1 {
        #![allow(missing_docs, clippy::all, unreachable_pub, unused_qualifications, reason = "generated code")]
        tonic::include_proto!("haulier.worker.v1");
    }
}

/// What operators ask of the coordinator.
pub mod control {
    /// `haulier.control.v1`.
    pub mod v1 {
        #![allow(missing_docs, clippy::all, unreachable_pub, unused_qualifications, reason = "generated code")]
        tonic::include_proto!("haulier.control.v1");
    }
}

mod convert;
mod native;
mod proof;
mod redacted;
pub mod status;

pub use convert::{InvalidMessage, from_timestamp, parsed, required, to_timestamp};

/// The encoded descriptors of every proto, for the reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/haulier.bin"));
