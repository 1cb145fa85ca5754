//! PutObject, CopyObject.

use std::fs::File;
use std::io::Read;

use jiff::Timestamp;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, MetadataDirective, PutObjectInput,
    PutObjectOutput, TaggingDirective,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, attributes_of, fill_checksum};
use super::lock::{self, lock_of};
use super::versioning;
use crate::s3::access::Caller;
use crate::s3::checksum::{Algorithm, Checksum, Coverage, Declared, Hashers};
use crate::s3::store::{Attributes, Error, Lock, Object, Record, Store, Tags, Version, fresh_etag};
use crate::s3::transfer::{blocking, receive};

/// Most bytes of one PutObject or CopyObject.
const MOST: u64 = 5 * 1024 * 1024 * 1024;

pub(super) async fn put_object(
    store: &Store,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let S3Request { input, headers, trailing_headers, .. } = request;
    let bucket = store.bucket(&input.bucket)?;
    let condition = convert::condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let declared = Declared::from_headers(&headers)?;
    let attributes = attributes_of!(input);
    let tags = convert::tags_of_header(input.tagging.as_deref())?;
    let expected = input.content_length.and_then(|length| u64::try_from(length).ok());
    if expected.is_some_and(|length| length > MOST) {
        return Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size"));
    }
    let lock = lock::settle(&bucket, lock_of!(input, store.now())?, store.now())?;
    lock::check_digest(&lock, &declared)?;
    let algorithm = declared.algorithm.unwrap_or(Algorithm::Crc64Nvme);
    let hashers = Hashers::new([algorithm], declared.wants_md5());
    let received = receive(input.body, expected, hashers, bucket.data_folder()).await?;
    declared.verify(&received.digests, trailing_headers.as_ref())?;

    let record = Record {
        key: input.key,
        etag: received.digests.md5.map_or_else(fresh_etag, hex::encode),
        size: received.length,
        modified: Timestamp::now(),
        parts: None,
        checksum: received.digests.checksums.get(&algorithm).map(|value| full(algorithm, value.clone())),
        attributes,
        tags,
        version: Version::default(),
        lock,
        segments: Vec::new(),
    };
    let staged = vec![(received.file, received.length)];
    let (written, version_id) = blocking(move || {
        let written = bucket.put(record, staged, &condition)?;
        let version = versioning::shown_id(&bucket, &written);
        Ok((written, version))
    })
    .await?;

    let e_tag = Some(convert::etag(&written.etag));
    let mut output = PutObjectOutput { e_tag, version_id, ..PutObjectOutput::default() };
    output.server_side_encryption = written.attributes.encryption.clone().map(Into::into);
    output.ssekms_key_id = written.attributes.encryption_key.clone();
    fill_checksum!(output, &written.checksum);
    Ok(S3Response::new(output))
}

pub(super) async fn copy_object(
    store: &Store,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let caller = convert::caller(&request)?;
    let condition = convert::condition_of_headers(&request.headers)?;
    let input = request.input;
    let source = source(store, &caller, &input)?;
    let bucket = store.bucket(&input.bucket)?;
    let lock = lock::settle(&bucket, lock_of!(input, store.now())?, store.now())?;
    let record = Record { lock, ..copied(&input, &source)? };
    let wanted = input.checksum_algorithm.as_ref().map(convert::algorithm).transpose()?;
    let copy_source_version_id = source_version(store, &input, &source)?;
    let (written, version_id) = blocking(move || {
        let record = Record { checksum: copied_checksum(&source, wanted)?, ..record };
        let written = bucket.copy(&source, record, &condition)?;
        let version = versioning::shown_id(&bucket, &written);
        Ok((written, version))
    })
    .await?;

    let mut result = CopyObjectResult {
        e_tag: Some(convert::etag(&written.etag)),
        last_modified: Some(convert::timestamp(written.modified)),
        ..CopyObjectResult::default()
    };
    fill_checksum!(result, &written.checksum);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id,
        version_id,
        ..CopyObjectOutput::default()
    }))
}

fn source_version(store: &Store, input: &CopyObjectInput, source: &Object) -> S3Result<Option<String>> {
    let CopySource::Bucket { bucket, .. } = &input.copy_source else { return Ok(None) };
    let bucket = store.bucket(bucket)?;
    Ok(versioning::shown_id(&bucket, &source.record))
}

fn source(store: &Store, caller: &Caller, input: &CopyObjectInput) -> S3Result<Object> {
    let CopySource::Bucket { bucket, key, version_id } = &input.copy_source else {
        return Err(s3_error!(NotImplemented, "The local cloud's S3 does not implement access points"));
    };
    let action = if version_id.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    caller.demand(action, bucket, Some(key))?;
    let object = store
        .bucket(bucket)?
        .get(key, version_id.as_deref())
        .map_err(|error| caller.missing_key(bucket, error.into()))?;
    let etag = &object.record.etag;
    let differs = input.copy_source_if_match.as_ref().is_some_and(|tag| !convert::is_matched(tag, etag));
    let same = input.copy_source_if_none_match.as_ref().is_some_and(|tag| convert::is_matched(tag, etag));
    if differs || same {
        return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
    }
    if object.record.size > MOST {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: {}",
            MOST
        ));
    }
    Ok(object)
}

/// The record of a copy, but for its checksum.
fn copied(input: &CopyObjectInput, source: &Object) -> S3Result<Record> {
    let is = |directive: Option<&str>, wanted: &str| directive == Some(wanted);
    let replace = is(input.metadata_directive.as_ref().map(MetadataDirective::as_str), MetadataDirective::REPLACE);
    let retag = is(input.tagging_directive.as_ref().map(TaggingDirective::as_str), TaggingDirective::REPLACE);
    let given = attributes_of!(input);
    let onto_itself = source.record.key == input.key
        && matches!(&input.copy_source, CopySource::Bucket { bucket, .. } if **bucket == *input.bucket);
    if onto_itself && !replace && given.storage_class.is_none() && given.encryption.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
        ));
    }
    let kept = source.record.attributes.clone();
    let attributes = if replace {
        given
    } else {
        // The class and the encryption never come with the source.
        Attributes {
            storage_class: given.storage_class,
            encryption: given.encryption,
            encryption_key: given.encryption_key,
            ..kept
        }
    };
    let tags: Tags =
        if retag { convert::tags_of_header(input.tagging.as_deref())? } else { source.record.tags.clone() };
    Ok(Record {
        key: input.key.clone(),
        etag: fresh_etag(),
        modified: Timestamp::now(),
        parts: None,
        attributes,
        tags,
        version: Version::default(),
        lock: Lock::default(),
        segments: Vec::new(),
        ..Record::clone(&source.record)
    })
}

/// A copy has a checksum of its bytes; it is computed anew where the source has another, or one of its parts.
fn copied_checksum(source: &Object, wanted: Option<Algorithm>) -> Result<Option<Checksum>, Error> {
    let present = source.record.checksum.as_ref();
    let algorithm = wanted.or(present.map(|checksum| checksum.algorithm)).unwrap_or(Algorithm::Crc64Nvme);
    if let Some(checksum) = present
        && checksum.algorithm == algorithm
        && checksum.coverage == Coverage::FullObject
    {
        return Ok(Some(checksum.clone()));
    }
    let mut hashers = Hashers::new([algorithm], false);
    let mut buffer = vec![0; 1 << 20];
    for (path, _) in source.blob.files() {
        let mut file = File::open(&path).map_err(Error::disk("opening", &path))?;
        loop {
            let read = file.read(&mut buffer).map_err(Error::disk("reading", &path))?;
            if read == 0 {
                break;
            }
            hashers.update(&buffer[..read]);
        }
    }
    Ok(hashers.finish().checksums.remove(&algorithm).map(|value| full(algorithm, value)))
}

fn full(algorithm: Algorithm, value: String) -> Checksum {
    Checksum { algorithm, coverage: Coverage::FullObject, value }
}
