//! What can go wrong in the storage, in S3's own terms, and how S3 says it.

use std::io;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue};
use s3s::{S3Error, S3ErrorCode};

/// A refusal or a failure of the storage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No bucket of that name.
    #[error("the specified bucket does not exist: {0}")]
    NoSuchBucket(String),
    /// No object under that key.
    #[error("the specified key does not exist: {0}")]
    NoSuchKey(String),
    /// The object's newest version is a delete marker.
    #[error("the specified key does not exist: {key}")]
    Hidden {
        /// The key.
        key: String,
        /// Version id of the marker.
        marker: String,
    },
    /// No such version of the object.
    #[error("the specified version does not exist: {0}")]
    NoSuchVersion(String),
    /// The version is a delete marker, which can only be deleted.
    #[error("the specified method is not allowed against this resource: version {0} is a delete marker")]
    IsMarker(String),
    /// A retention or a legal hold protects the version.
    #[error("Access Denied because object protected by object lock.")]
    Locked,
    /// The version never had a retention, or a legal hold.
    #[error("the specified object does not have a ObjectLock configuration")]
    NoSuchLock,
    /// The bucket's state does not allow what is asked of it.
    #[error("{0}")]
    InvalidBucketState(&'static str),
    /// No such multipart upload: never begun, completed or aborted.
    #[error("the specified multipart upload does not exist: {0}")]
    NoSuchUpload(String),
    /// The bucket is there already, and it is the caller's.
    #[error("the bucket is already owned by you: {0}")]
    BucketAlreadyOwnedByYou(String),
    /// The bucket still has objects in it.
    #[error("the bucket you tried to delete is not empty: {0}")]
    BucketNotEmpty(String),
    /// A condition of the request does not hold.
    #[error("at least one of the preconditions you specified did not hold: {0}")]
    PreconditionFailed(&'static str),
    /// The list of parts names one that was not uploaded, or with another ETag or checksum.
    #[error("one or more of the specified parts could not be found, or its entity tag or checksum differs: part {0}")]
    InvalidPart(i32),
    /// The list of parts is not in ascending order.
    #[error("the list of parts was not in ascending order: part {0}")]
    InvalidPartOrder(i32),
    /// A part other than the last is below the least size.
    #[error("your proposed upload is smaller than the minimum allowed size: part {0}")]
    EntityTooSmall(i32),
    /// The request contradicts itself or the upload it belongs to.
    #[error("{0}")]
    InvalidRequest(String),
    /// The bytes are not those that the client's checksum speaks of.
    #[error("the {algorithm} you specified did not match the calculated checksum")]
    BadDigest {
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// The disk refused.
    #[error("while {doing} {}", path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A record on disk does not read back.
    #[error("while reading the record {}", path.display())]
    Record {
        /// The record's file.
        path: PathBuf,
        /// Why it does not parse.
        #[source]
        source: serde_json::Error,
    },
}

/// Result of the storage.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err` on input and output.
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }

    fn code(&self) -> S3ErrorCode {
        match self {
            Self::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            Self::NoSuchKey(_) | Self::Hidden { .. } => S3ErrorCode::NoSuchKey,
            Self::NoSuchVersion(_) => S3ErrorCode::NoSuchVersion,
            Self::IsMarker(_) => S3ErrorCode::MethodNotAllowed,
            Self::Locked => S3ErrorCode::AccessDenied,
            Self::NoSuchLock => S3ErrorCode::NoSuchObjectLockConfiguration,
            Self::InvalidBucketState(_) => S3ErrorCode::InvalidBucketState,
            Self::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
            Self::BucketAlreadyOwnedByYou(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
            Self::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            Self::PreconditionFailed(_) => S3ErrorCode::PreconditionFailed,
            Self::InvalidPart(_) => S3ErrorCode::InvalidPart,
            Self::InvalidPartOrder(_) => S3ErrorCode::InvalidPartOrder,
            Self::EntityTooSmall(_) => S3ErrorCode::EntityTooSmall,
            Self::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
            Self::BadDigest { .. } => S3ErrorCode::BadDigest,
            Self::Disk { .. } | Self::Record { .. } => S3ErrorCode::InternalError,
        }
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        if error.code() == S3ErrorCode::InternalError {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "the storage of s3 failed");
        }
        let mut answer = Self::with_message(error.code(), error.to_string());
        if let Error::Hidden { marker, .. } | Error::IsMarker(marker) = &error {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
            if let Ok(marker) = HeaderValue::from_str(marker) {
                headers.insert("x-amz-version-id", marker);
            }
            if matches!(error, Error::IsMarker(_)) {
                headers.insert(http::header::ALLOW, HeaderValue::from_static("DELETE"));
            }
            answer.set_headers(headers);
        }
        answer.set_source(Box::new(error));
        answer
    }
}
