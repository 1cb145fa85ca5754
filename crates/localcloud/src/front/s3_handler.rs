//! What the front asks of S3.

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};

/// S3 behind the front. Requests come as they arrived: unverified (S3 signs its bodies in chunks of its own, so it
/// verifies SigV4 itself, against the shared [`crate::credentials::CredentialStore`]) and unbuffered.
#[async_trait]
pub trait S3Handler: Send + Sync {
    /// Answers one request.
    async fn call(&self, request: Request<Body>) -> Response<Body>;

    /// Names of all buckets, for the cloud's listing.
    async fn buckets(&self) -> anyhow::Result<Vec<String>>;
}
