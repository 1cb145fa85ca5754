//! A failure on its way to an operator: the gRPC status carries it whole, so that the command line can show code, cause
//! and remedy. A client that does not look for it still reads a sentence.

use haulier_domain::failure::Failure;
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::common::v1 as common;

/// Metadata that carries the encoded `haulier.common.v1.Failure`.
pub const FAILURE_METADATA: &str = "haulier-failure-bin";

/// A status that carries a failure.
pub fn refusal(code: Code, failure: &Failure) -> Status {
    let mut metadata = MetadataMap::new();
    let encoded = common::Failure::from(failure.clone()).encode_to_vec();
    metadata.insert_bin(FAILURE_METADATA, MetadataValue::from_bytes(&encoded));
    Status::with_metadata(code, format!("{}: {}", failure.what, failure.cause), metadata)
}

/// The failure that a status carries, if it does.
pub fn failure_of(status: &Status) -> Option<Failure> {
    let bytes = status.metadata().get_bin(FAILURE_METADATA)?.to_bytes().ok()?;
    common::Failure::decode(bytes).ok().map(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_status() {
        let failure = Failure::new("point-unknown", "showing pnt-1", "there is none — ever", "list the points");
        let status = refusal(Code::NotFound, &failure);
        assert_eq!(failure_of(&status), Some(failure));
        assert_eq!(status.message(), "showing pnt-1: there is none — ever");
        assert_eq!(failure_of(&Status::not_found("x")), None);
    }
}
