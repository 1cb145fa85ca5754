//! S3.

use std::collections::HashMap;
use std::iter;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{AggregatedBytes, ByteStream};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Buf as _, Bytes};

use super::error::{failed, incomplete};
use super::object_lock::{self, Place};
use crate::error::{CloudError, ErrorKind, Outcome, Result};
use crate::object_lock::{BucketLock, Destruction, Hidden, Retention};
use crate::object_store::{ListPage, ObjectMeta, ObjectStore, Upload, UploadedPart, UserMetadata};

/// How often the body of an answer is asked for again after its connection broke. The SDK itself repeats only what
/// fails before the body.
const BODY_ATTEMPTS: u32 = 5;

/// One bucket through the SDK.
///
/// What is uploaded is guarded by TLS and by a CRC32 in the signed headers, which S3 compares. The SHA-256 that a signature could
/// have of the body besides costs as much processor time as the rest of an upload
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>: `UNSIGNED-PAYLOAD`).
#[derive(Debug)]
pub struct S3ObjectStore {
    client: Client,
    bucket: String,
}

impl S3ObjectStore {
    pub(super) fn new(config: &SdkConfig, bucket: &str) -> Self {
        Self { client: Client::new(config), bucket: bucket.to_owned() }
    }

    fn target(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn place<'a>(&'a self, key: &'a str) -> Place<'a> {
        Place { client: &self.client, bucket: &self.bucket, key }
    }

    async fn fetch(&self, key: &str, range: Option<&str>) -> Result<AggregatedBytes> {
        let mut pause = Duration::from_millis(100);
        let mut attempt = 1;
        loop {
            let call = self.client.get_object().bucket(&self.bucket).key(key).set_range(range.map(str::to_owned));
            let answer = call.send().await.map_err(|error| failed("GetObject", self.target(key), error))?;
            match self.body(key, answer).await {
                Err(error) if attempt < BODY_ATTEMPTS => {
                    tracing::debug!(key, attempt, %error, "reading an object's body again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn body(&self, key: &str, answer: GetObjectOutput) -> Result<AggregatedBytes> {
        answer.body.collect().await.map_err(|error| CloudError {
            operation: "GetObject",
            target: self.target(key),
            kind: ErrorKind::Unavailable,
            outcome: Outcome::Indeterminate,
            code: None,
            message: "the body ended early or fails its checksum".to_owned(),
            source: Some(Box::new(error)),
        })
    }
}

#[async_trait]
impl ObjectStore for S3ObjectStore {
    async fn put_new(&self, key: &str, body: Bytes) -> Result<()> {
        self.put_new_with(key, body, &UserMetadata::new()).await
    }

    async fn put_new_with(&self, key: &str, body: Bytes, metadata: &UserMetadata) -> Result<()> {
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .set_metadata(headers_of(metadata))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body));
        let sent = call.customize().disable_payload_signing().send().await;
        sent.map(drop).map_err(|error| failed("PutObject", self.target(key), error))
    }

    async fn metadata(&self, key: &str) -> Result<Option<UserMetadata>> {
        let answer = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        match answer.map_err(|error| failed("HeadObject", self.target(key), error)) {
            Ok(answer) => Ok(Some(answer.metadata.unwrap_or_default().into_iter().collect())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, key: &str) -> Result<Bytes> {
        Ok(self.fetch(key, None).await?.into_bytes())
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(self.fetch(key, Some(&bytes_of(&range))).await?.into_bytes())
    }

    async fn get_pieces(&self, key: &str, range: Range<u64>) -> Result<Vec<Bytes>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let mut collected = self.fetch(key, Some(&bytes_of(&range))).await?;
        Ok(iter::from_fn(|| collected.has_remaining().then(|| collected.copy_to_bytes(collected.chunk().len())))
            .collect())
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let answer = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        match answer.map_err(|error| failed("HeadObject", self.target(key), error)) {
            Ok(answer) => Ok(Some(ObjectMeta {
                key: key.to_owned(),
                size: u64::try_from(answer.content_length().unwrap_or_default()).unwrap_or(0),
                modified: timestamp(answer.last_modified()),
                etag: answer.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<ListPage> {
        let call = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_start_after(start_after.map(str::to_owned));
        let answer = call.send().await.map_err(|error| failed("ListObjectsV2", self.target(prefix), error))?;
        let objects: Vec<ObjectMeta> = answer
            .contents()
            .iter()
            .map(|object| ObjectMeta {
                key: object.key().unwrap_or_default().to_owned(),
                size: u64::try_from(object.size().unwrap_or_default()).unwrap_or(0),
                modified: timestamp(object.last_modified()),
                etag: object.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
            })
            .collect();
        let more = answer.is_truncated().unwrap_or_default();
        let next = objects.last().filter(|_| more).map(|object| object.key.clone());
        Ok(ListPage { objects, next })
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let answer = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        answer.map(drop).map_err(|error| failed("DeleteObject", self.target(key), error))
    }

    async fn begin_upload_with(&self, key: &str, metadata: &UserMetadata) -> Result<Upload> {
        let call =
            self.client.create_multipart_upload().bucket(&self.bucket).key(key).set_metadata(headers_of(metadata));
        // Said here, or the parts' checksums would come as a surprise to S3.
        let call = call.checksum_algorithm(ChecksumAlgorithm::Crc32);
        let answer = call.send().await.map_err(|error| failed("CreateMultipartUpload", self.target(key), error))?;
        let id =
            answer.upload_id().ok_or_else(|| incomplete("CreateMultipartUpload", self.target(key), "an upload id"))?;
        Ok(Upload { key: key.to_owned(), id: id.to_owned() })
    }

    async fn put_part(&self, upload: &Upload, number: u32, body: Bytes) -> Result<UploadedPart> {
        let call = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body));
        let sent = call.customize().disable_payload_signing().send().await;
        let answer = sent.map_err(|error| failed("UploadPart", self.target(&upload.key), error))?;
        let etag = answer.e_tag().ok_or_else(|| incomplete("UploadPart", self.target(&upload.key), "an entity tag"))?;
        Ok(UploadedPart { number, etag: etag.to_owned(), checksum: answer.checksum_crc32().map(str::to_owned) })
    }

    async fn complete_upload(&self, upload: &Upload, parts: &[UploadedPart]) -> Result<()> {
        let part = |part: &UploadedPart| {
            CompletedPart::builder()
                .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
                .e_tag(&part.etag)
                .set_checksum_crc32(part.checksum.clone())
                .build()
        };
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(part).collect())).build();
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .if_none_match("*")
            .multipart_upload(parts);
        let answer = call.send().await;
        answer.map(drop).map_err(|error| failed("CompleteMultipartUpload", self.target(&upload.key), error))
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let call = self.client.abort_multipart_upload().bucket(&self.bucket).key(&upload.key).upload_id(&upload.id);
        match call.send().await.map_err(|error| failed("AbortMultipartUpload", self.target(&upload.key), error)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn put_new_retained(&self, key: &str, body: Bytes, retention: &Retention) -> Result<()> {
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .object_lock_mode(object_lock::write_mode(retention.mode))
            .object_lock_retain_until_date(object_lock::whole_seconds(retention.until))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body));
        let sent = call.customize().disable_payload_signing().send().await;
        sent.map(drop).map_err(|error| failed("PutObject", self.target(key), error))
    }

    async fn retain(&self, key: &str, retention: &Retention) -> Result<()> {
        self.place(key).retain(retention).await
    }

    async fn retention(&self, key: &str) -> Result<Option<Retention>> {
        self.place(key).retention().await
    }

    async fn destroy(&self, key: &str) -> Result<Destruction> {
        self.place(key).destroy().await
    }

    async fn hidden(&self, prefix: &str, limit: usize) -> Result<Vec<Hidden>> {
        object_lock::hidden(&self.client, &self.bucket, prefix, limit).await
    }

    async fn reveal(&self, key: &str) -> Result<bool> {
        self.place(key).reveal().await
    }

    async fn object_lock(&self) -> Result<Option<BucketLock>> {
        object_lock::of_bucket(&self.client, &self.bucket).await
    }

    async fn region(&self) -> Result<Option<String>> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        let error = match answer {
            Ok(answer) => return Ok(answer.bucket_region().map(str::to_owned)),
            Err(error) => error,
        };
        // The endpoint of another Region, and one that denies the call, say it too.
        let told = error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
        match told.map(str::to_owned) {
            Some(region) => Ok(Some(region)),
            None => Err(failed("HeadBucket", self.target(""), error)),
        }
    }
}

fn bytes_of(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end - 1)
}

/// Metadata as the SDK takes it; `None` where there is none.
fn headers_of(metadata: &UserMetadata) -> Option<HashMap<String, String>> {
    (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect())
}

fn timestamp(at: Option<&aws_sdk_s3::primitives::DateTime>) -> jiff::Timestamp {
    at.and_then(|at| jiff::Timestamp::from_second(at.secs()).ok()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
