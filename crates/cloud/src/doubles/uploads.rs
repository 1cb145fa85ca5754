//! Uploads in parts of [`super::object_store`].

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::errors::{not_found, refused};
use crate::error::{ErrorKind, Result};
use crate::object_store::{MOST_PARTS, SHORTEST_PART, Upload, UploadedPart, UserMetadata};

/// Uploads that have not ended, by id.
#[derive(Default)]
pub(super) struct Uploads {
    begun: u64,
    open: BTreeMap<String, Open>,
}

struct Open {
    key: String,
    metadata: UserMetadata,
    parts: BTreeMap<u32, Bytes>,
}

impl Uploads {
    pub(super) fn begin(&mut self, key: &str, metadata: UserMetadata) -> Upload {
        self.begun += 1;
        let id = format!("upload-{:04}", self.begun);
        self.open.insert(id.clone(), Open { key: key.to_owned(), metadata, parts: BTreeMap::new() });
        Upload { key: key.to_owned(), id }
    }

    pub(super) fn put(&mut self, upload: &Upload, number: u32, body: Bytes) -> Result<UploadedPart> {
        if !(1..=MOST_PARTS).contains(&u64::from(number)) {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(refused("UploadPart", &upload.key, ErrorKind::Invalid, "InvalidArgument", message));
        }
        let etag = etag(number, &body);
        self.find("UploadPart", upload)?.parts.insert(number, body);
        Ok(UploadedPart { number, etag, checksum: None })
    }

    /// The object that the parts make, with its metadata. The upload is over then.
    pub(super) fn complete(&mut self, upload: &Upload, parts: &[UploadedPart]) -> Result<(Bytes, UserMetadata)> {
        let refused = |code: &str, message: &str| {
            Err(refused("CompleteMultipartUpload", &upload.key, ErrorKind::Invalid, code, message))
        };
        let open = self.find("CompleteMultipartUpload", upload)?;
        if parts.is_empty() {
            return refused("MalformedXML", "no parts are named");
        }
        if !parts.is_sorted_by(|one, other| one.number < other.number) {
            return refused("InvalidPartOrder", "the list of parts was not in ascending order");
        }
        let mut whole = BytesMut::new();
        for (place, part) in parts.iter().enumerate() {
            let Some(body) = open.parts.get(&part.number).filter(|body| etag(part.number, body) == part.etag) else {
                return refused("InvalidPart", "one or more of the specified parts could not be found");
            };
            if place + 1 < parts.len() && (body.len() as u64) < SHORTEST_PART {
                return refused("EntityTooSmall", "your proposed upload is smaller than the minimum allowed size");
            }
            whole.extend_from_slice(body);
        }
        let metadata = std::mem::take(&mut open.metadata);
        self.open.remove(&upload.id);
        Ok((whole.freeze(), metadata))
    }

    pub(super) fn abort(&mut self, upload: &Upload) {
        self.open.remove(&upload.id);
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    fn find(&mut self, operation: &'static str, upload: &Upload) -> Result<&mut Open> {
        let open = self.open.get_mut(&upload.id).filter(|open| open.key == upload.key);
        open.ok_or_else(|| not_found(operation, &upload.key, "NoSuchUpload"))
    }
}

/// Tells apart what one number had before and has now.
fn etag(number: u32, body: &Bytes) -> String {
    let sum = body.iter().fold(u64::from(number), |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("{sum:016x}")
}
