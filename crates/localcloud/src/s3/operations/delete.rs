//! DeleteObject, DeleteObjects.

use jiff::Timestamp;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ObjectIdentifier,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{convert, lock};
use crate::s3::access::Caller;
use crate::s3::store::{Bucket, Condition, Deleted, Deletion, Matches, Store};
use crate::s3::transfer::blocking;

pub(super) async fn delete_object(
    store: &Store,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let deletion = Deletion {
        condition: convert::condition(input.if_match.as_ref(), None)?,
        bypass: lock::bypass(&caller, input.bypass_governance_retention, &input.bucket, &input.key),
        version: input.version_id,
    };
    let now = store.now();
    let deleted = blocking(move || Ok(bucket.delete(&input.key, &deletion, now)?)).await?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version,
        ..DeleteObjectOutput::default()
    }))
}

pub(super) async fn delete_objects(
    store: &Store,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let (objects, quiet) = (input.delete.objects, input.delete.quiet.unwrap_or(false));
    if objects.is_empty() || objects.len() > 1000 {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    let (bypass, now) = (input.bypass_governance_retention, store.now());
    let (deleted, errors) = blocking(move || {
        let mut answers = (Vec::new(), Vec::new());
        for object in objects {
            match delete_one(&caller, &bucket, &object, bypass, now) {
                Ok(deleted) => answers.0.push(listed(object, deleted)),
                Err(error) => answers.1.push(s3s::dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: object.version_id,
                }),
            }
        }
        Ok(answers)
    })
    .await?;
    let deleted = (!quiet).then_some(deleted);
    Ok(S3Response::new(DeleteObjectsOutput { deleted, errors: Some(errors), ..DeleteObjectsOutput::default() }))
}

fn listed(object: ObjectIdentifier, deleted: Deleted) -> DeletedObject {
    DeletedObject {
        key: Some(object.key),
        version_id: object.version_id,
        delete_marker: deleted.marker.then_some(true),
        delete_marker_version_id: deleted.version.filter(|_| deleted.marker),
    }
}

fn delete_one(
    caller: &Caller,
    bucket: &Bucket,
    object: &ObjectIdentifier,
    bypass: Option<bool>,
    now: Timestamp,
) -> S3Result<Deleted> {
    let action = if object.version_id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    caller.demand(action, bucket.name(), Some(&object.key))?;
    let tag = object.e_tag.as_ref().map(|tag| Condition::Present(Matches::ETag(tag.value().to_owned())));
    let deletion = Deletion {
        condition: tag.unwrap_or_default(),
        bypass: lock::bypass(caller, bypass, bucket.name(), &object.key),
        version: object.version_id.clone(),
    };
    Ok(bucket.delete(&object.key, &deletion, now)?)
}
