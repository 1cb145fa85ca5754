//! S3 as the front calls it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use s3s::S3Result;
use s3s::service::{S3Service, S3ServiceBuilder};

use super::access::Access;
use super::body::{Leftover, RequestBody};
use super::lifecycle;
use super::operations::Operations;
use super::store::{self, Store};
use crate::credentials::CredentialStore;
use crate::front::{BucketSetup, S3Handler};

/// S3 on a folder: a handler for requests, and the few things that are asked of it directly.
#[derive(Clone)]
pub struct LocalS3 {
    store: Arc<Store>,
    service: S3Service,
}

impl std::fmt::Debug for LocalS3 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LocalS3").field("store", &self.store).finish_non_exhaustive()
    }
}

impl LocalS3 {
    /// Opens the storage in `folder`, made if it is not there. Blocking: it reads every record.
    pub fn new(folder: &Path, credentials: Arc<CredentialStore>) -> store::Result<Self> {
        let store = Arc::new(Store::open(folder)?);
        let access = Access::new(Arc::clone(&store), credentials);
        let mut builder = S3ServiceBuilder::new(Operations { store: Arc::clone(&store) });
        builder.set_auth(access.clone());
        builder.set_access(access);
        Ok(Self { store, service: builder.build() })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let leftover = Leftover::default();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let request = request.map(|body| s3s::Body::http_body_unsync(RequestBody::new(body, leftover.clone())));
        let answer = self.service.call(request).await;
        leftover.drain().await;
        let mut answer = match answer {
            Ok(answer) => answer.map(Body::new),
            Err(error) => {
                let error: axum::BoxError = error.into();
                tracing::error!(%error, "the protocol layer of S3 failed");
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                answer
            }
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert("x-amz-request-id", id);
        }
        tracing::debug!(%method, path, status = answer.status().as_u16(), "an answer of s3");
        answer
    }

    /// Names of all buckets.
    pub fn bucket_names(&self) -> Vec<String> {
        self.store.buckets().iter().map(|bucket| bucket.name().to_owned()).collect()
    }

    /// Multipart uploads under way, as bucket and key: what a session that ended may not leave behind.
    pub fn uploads_under_way(&self) -> Vec<(String, String)> {
        let buckets = self.store.buckets();
        let uploads = buckets.iter().flat_map(|bucket| {
            bucket.uploads().into_iter().map(|upload| (bucket.name().to_owned(), upload.record().key.clone()))
        });
        uploads.collect()
    }

    /// Moves the clock by which retentions hold or are over ahead of the host's.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.store.set_ahead(seconds);
    }

    /// Does what the buckets' lifecycle rules want done about unfinished multipart uploads by `now`, and tells how many
    /// were aborted. Blocking.
    pub fn abort_stale_uploads(&self, now: Timestamp) -> S3Result<usize> {
        let mut aborted = 0;
        for bucket in self.store.buckets() {
            let Some(text) = bucket.settings().lifecycle.clone() else { continue };
            let rules = lifecycle::from_text(&text)?;
            for upload in bucket.uploads() {
                if lifecycle::is_stale(&rules, upload.record(), now) {
                    bucket.abort_upload(&upload)?;
                    aborted += 1;
                }
            }
        }
        Ok(aborted)
    }
}

#[async_trait]
impl S3Handler for LocalS3 {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        self.handle(request).await
    }

    async fn buckets(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.bucket_names())
    }

    fn bucket(&self, name: &str) -> Option<BucketSetup> {
        let settings = self.store.bucket(name).ok()?.settings();
        Some(BucketSetup {
            region: settings.region.clone(),
            prefers_owner: settings.ownership.as_deref() == Some("BucketOwnerPreferred"),
            is_encrypted_by_kms: settings.encryption.algorithm.starts_with("aws:kms"),
        })
    }
}
