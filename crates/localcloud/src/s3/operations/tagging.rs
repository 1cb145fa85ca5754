//! Tags of objects.

use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::convert;
use crate::s3::store::{Store, Tags};
use crate::s3::transfer::blocking;

pub(super) async fn put(
    store: &Store,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let tags = convert::tags_of_set(&request.input.tagging.tag_set, 10)?;
    replace(store, &request.input.bucket, request.input.key, tags).await?;
    Ok(S3Response::new(PutObjectTaggingOutput::default()))
}

pub(super) fn get(
    store: &Store,
    request: &S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let object = store.bucket(&request.input.bucket)?.get(&request.input.key)?;
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: convert::tag_set(&object.record.tags), version_id: None }))
}

pub(super) async fn delete(
    store: &Store,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    replace(store, &request.input.bucket, request.input.key, Tags::new()).await?;
    Ok(S3Response::with_status(DeleteObjectTaggingOutput::default(), http::StatusCode::NO_CONTENT))
}

async fn replace(store: &Store, bucket: &str, key: String, tags: Tags) -> S3Result<()> {
    let bucket = store.bucket(bucket)?;
    blocking(move || Ok(bucket.tag(&key, tags)?)).await
}
