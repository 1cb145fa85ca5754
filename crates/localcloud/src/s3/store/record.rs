//! What the storage keeps about an object, apart from its bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use crate::s3::checksum::Checksum;

/// Tags of an object or a bucket.
pub type Tags = BTreeMap<String, String>;

/// What a client says of an object and gets back with it; the storage itself reads none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without the transfer's own `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `x-amz-meta-…`, names in lower case.
    pub metadata: BTreeMap<String, String>,
    /// Storage class, absent for `STANDARD`.
    pub storage_class: Option<String>,
    /// `x-amz-server-side-encryption` as asked for: told back, nothing is encrypted.
    pub encryption: Option<String>,
    /// Key named with it.
    pub encryption_key: Option<String>,
}

/// Id of the version of an object that was written without versioning.
pub const NULL_VERSION: &str = "null";

/// What tells one version of a key from the others. Filled in when it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// Later versions have greater numbers.
    pub sequence: u64,
    /// Whether it is a delete marker, which has no bytes.
    pub marker: bool,
}

impl Default for Version {
    fn default() -> Self {
        Self { id: NULL_VERSION.to_owned(), sequence: 0, marker: false }
    }
}

/// A run of an object's bytes in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// File name in the bucket's `data` folder.
    pub file: String,
    /// Length in bytes.
    pub length: u64,
}

/// The record of one object, as it is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The whole key: file names are digests of it.
    pub key: String,
    /// Entity tag, without quotes.
    pub etag: String,
    /// Length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Timestamp,
    /// Number of parts, if it came as a multipart upload.
    pub parts: Option<u32>,
    /// Checksum of its content.
    pub checksum: Option<Checksum>,
    /// What the client said of it.
    #[serde(default)]
    pub attributes: Attributes,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// Which version of its key it is.
    #[serde(default)]
    pub version: Version,
    /// What protects it.
    #[serde(default)]
    pub lock: Lock,
    /// Where its bytes are, in order.
    pub segments: Vec<Segment>,
}

/// Bytes on disk. They are immutable; once retired, the files go with the last reader, so that a read which began
/// before an overwrite or a delete still ends with the bytes it began with.
#[derive(Debug)]
pub struct Blob {
    folder: PathBuf,
    segments: Vec<Segment>,
    retired: AtomicBool,
}

impl Blob {
    pub(super) fn new(folder: &Path, segments: Vec<Segment>) -> Self {
        Self { folder: folder.to_owned(), segments, retired: AtomicBool::new(false) }
    }

    /// The files, in order, with their lengths.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, u64)> + '_ {
        self.segments.iter().map(|segment| (self.folder.join(&segment.file), segment.length))
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.retired.load(Ordering::Acquire) {
            return;
        }
        for (file, _) in self.files() {
            if let Err(error) = std::fs::remove_file(&file) {
                tracing::warn!(file = %file.display(), %error, "a retired data file stays behind");
            }
        }
    }
}

/// An object: its record and its bytes.
#[derive(Debug, Clone)]
pub struct Object {
    /// The record.
    pub record: Arc<Record>,
    /// The bytes.
    pub blob: Arc<Blob>,
}

#[cfg(test)]
impl Object {
    /// An object over files that are there already.
    pub(crate) fn for_tests(folder: &Path, files: &[(&str, u64)]) -> Self {
        let segments: Vec<_> =
            files.iter().map(|(file, length)| Segment { file: (*file).to_owned(), length: *length }).collect();
        let record = Record {
            key: "k".into(),
            etag: fresh_etag(),
            size: segments.iter().map(|segment| segment.length).sum(),
            modified: Timestamp::now(),
            parts: None,
            checksum: None,
            attributes: Attributes::default(),
            tags: Tags::new(),
            version: Version::default(),
            lock: Lock::default(),
            segments: segments.clone(),
        };
        Self { record: Arc::new(record), blob: Arc::new(Blob::new(folder, segments)) }
    }
}

/// A new entity tag: 32 random hexadecimal digits.
///
/// Like the tags of objects under SSE-KMS it is not the content's MD5, which would cost more than everything else that
/// an upload does; two writes of the same bytes differ in it. A client that sends `Content-MD5` has paid for it already
/// and gets it back.
pub(crate) fn fresh_etag() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
