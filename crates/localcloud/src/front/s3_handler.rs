//! What the front asks of S3.

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};

/// How a bucket is set up, as far as services look at it before they write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSetup {
    /// The Region that it is in.
    pub region: String,
    /// Whether its objects belong to its owner where whoever puts them says so, and access control lists are in force.
    pub prefers_owner: bool,
    /// Whether its objects are encrypted with a key of KMS's unless they say something else.
    pub is_encrypted_by_kms: bool,
}

/// S3 behind the front. Requests come as they arrived: unverified (S3 signs its bodies in chunks of its own, so it
/// verifies SigV4 itself, against the shared [`crate::credentials::CredentialStore`]) and unbuffered.
#[async_trait]
pub trait S3Handler: Send + Sync {
    /// Answers one request.
    async fn call(&self, request: Request<Body>) -> Response<Body>;

    /// Names of all buckets, for the cloud's listing.
    async fn buckets(&self) -> anyhow::Result<Vec<String>>;

    /// How a bucket is set up; `None` where there is none of that name.
    fn bucket(&self, name: &str) -> Option<BucketSetup>;
}
