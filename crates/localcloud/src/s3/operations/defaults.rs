//! What a bucket sets for objects that say nothing of it: who owns them, how they are encrypted. Both are kept and told
//! back; who reads them is whoever must not write to such a bucket.

use s3s::dto::{
    DeleteBucketEncryptionInput, DeleteBucketEncryptionOutput, DeleteBucketOwnershipControlsInput,
    DeleteBucketOwnershipControlsOutput, GetBucketEncryptionInput, GetBucketEncryptionOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, ObjectOwnership, OwnershipControls,
    OwnershipControlsRule, PutBucketEncryptionInput, PutBucketEncryptionOutput, PutBucketOwnershipControlsInput,
    PutBucketOwnershipControlsOutput, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::settings::{set, settings};
use crate::s3::store::{DefaultEncryption, Store};

fn malformed() -> S3Error {
    let text = "The XML you provided was not well-formed or did not validate against our published schema";
    S3Error::with_message(S3ErrorCode::MalformedXML, text)
}

pub(super) async fn put_ownership(
    store: &Store,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let input = request.input;
    let [OwnershipControlsRule { object_ownership }] = input.ownership_controls.rules.as_slice() else {
        return Err(malformed());
    };
    let ownership = known_ownership(object_ownership)?;
    set(store, &input.bucket, |settings| settings.ownership = Some(ownership)).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput {}))
}

/// The name of an ownership, if it is one.
pub(super) fn known_ownership(ownership: &ObjectOwnership) -> S3Result<String> {
    match ownership.as_str() {
        known @ ("BucketOwnerEnforced" | "BucketOwnerPreferred" | "ObjectWriter") => Ok(known.to_owned()),
        _ => Err(malformed()),
    }
}

pub(super) fn get_ownership(
    store: &Store,
    request: &S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let Some(ownership) = settings(store, &request.input.bucket)?.ownership.clone() else {
        let text = "The bucket ownership controls were not found";
        let mut error = S3Error::with_message(S3ErrorCode::OwnershipControlsNotFoundError, text);
        error.set_status_code(http::StatusCode::NOT_FOUND);
        return Err(error);
    };
    let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from(ownership) }];
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) }))
}

pub(super) async fn delete_ownership(
    store: &Store,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    set(store, &request.input.bucket, |settings| settings.ownership = None).await?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput {}))
}

pub(super) async fn put_encryption(
    store: &Store,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let input = request.input;
    let [rule] = input.server_side_encryption_configuration.rules.as_slice() else { return Err(malformed()) };
    let default = rule.apply_server_side_encryption_by_default.as_ref().ok_or_else(malformed)?;
    let algorithm = match default.sse_algorithm.as_str() {
        known @ ("AES256" | "aws:kms" | "aws:kms:dsse") => known.to_owned(),
        _ => return Err(malformed()),
    };
    let encryption = DefaultEncryption {
        algorithm,
        key: default.kms_master_key_id.clone(),
        bucket_key: rule.bucket_key_enabled.unwrap_or(false),
    };
    set(store, &input.bucket, |settings| settings.encryption = encryption).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput {}))
}

pub(super) fn get_encryption(
    store: &Store,
    request: &S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let encryption = settings(store, &request.input.bucket)?.encryption.clone();
    let default =
        ServerSideEncryptionByDefault { sse_algorithm: encryption.algorithm.into(), kms_master_key_id: encryption.key };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(default),
        bucket_key_enabled: Some(encryption.bucket_key),
    };
    let configuration = ServerSideEncryptionConfiguration { rules: vec![rule] };
    Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) }))
}

pub(super) async fn delete_encryption(
    store: &Store,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    set(store, &request.input.bucket, |settings| settings.encryption = DefaultEncryption::default()).await?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput {}))
}
