//! Multipart uploads: create, upload a part, complete, abort, list.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part as ListedPart, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, attributes_of, checksums_of, fill_checksum, fill_checksums};
use super::lock::{self, lock_of};
use super::versioning;
use crate::s3::checksum::{Algorithm, Coverage, Declared, Hashers};
use crate::s3::store::{ChosenPart, Completion, Lock, Part, Segment, Store, Upload, UploadRecord, fresh_etag};
use crate::s3::transfer::{blocking, receive};

/// Highest number of a part.
const MOST_PARTS: i32 = 10_000;
/// Entries of one page.
const PAGE: i32 = 1000;

pub(super) async fn create(
    store: &Store,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let algorithm = input.checksum_algorithm.as_ref().map(convert::algorithm).transpose()?;
    let coverage = input.checksum_type.as_ref().map(convert::coverage).transpose()?;
    let coverage = settle_coverage(algorithm, coverage)?;
    let lock = lock_of!(input, store.now())?;
    if lock != Lock::default() {
        lock::settle(&bucket, lock.clone(), store.now())?;
    }
    let record = UploadRecord {
        id: uuid::Uuid::new_v4().simple().to_string(),
        key: input.key.clone(),
        initiated: Timestamp::now(),
        attributes: attributes_of!(input),
        tags: convert::tags_of_header(input.tagging.as_deref())?,
        algorithm,
        coverage,
        lock,
    };
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(record.id.clone()),
        checksum_algorithm: algorithm.map(convert::algorithm_name),
        checksum_type: algorithm.map(|_| convert::checksum_type(coverage)),
        server_side_encryption: record.attributes.encryption.clone().map(Into::into),
        ssekms_key_id: record.attributes.encryption_key.clone(),
        ..CreateMultipartUploadOutput::default()
    };
    blocking(move || Ok(bucket.begin_upload(record)?)).await?;
    Ok(S3Response::new(output))
}

/// What the checksum of the object will cover. Pure.
fn settle_coverage(algorithm: Option<Algorithm>, wanted: Option<Coverage>) -> S3Result<Coverage> {
    let Some(algorithm) = algorithm else {
        return match wanted {
            None => Ok(Coverage::FullObject),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let coverage = wanted.unwrap_or(algorithm.default_coverage());
    let possible = match coverage {
        Coverage::FullObject => algorithm.combines(),
        Coverage::Composite => algorithm != Algorithm::Crc64Nvme,
    };
    if possible {
        Ok(coverage)
    } else {
        let kind = convert::checksum_type(coverage);
        Err(s3_error!(
            InvalidRequest,
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.as_str(),
            algorithm.name()
        ))
    }
}

pub(super) async fn upload_part(
    store: &Store,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let S3Request { input, headers, trailing_headers, .. } = request;
    let bucket = store.bucket(&input.bucket)?;
    let upload = bucket.upload(&input.upload_id, &input.key)?;
    if !(1..=MOST_PARTS).contains(&input.part_number) {
        return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
    }
    let declared = Declared::from_headers(&headers)?;
    let lock = lock::settle(&bucket, upload.record().lock.clone(), store.now())?;
    lock::check_digest(&lock, &declared)?;
    let algorithms = algorithms_of_part(upload.record(), declared.algorithm)?;
    let hashers = Hashers::new(algorithms, declared.wants_md5());
    let expected = input.content_length.and_then(|length| u64::try_from(length).ok());
    let received = receive(input.body, expected, hashers, bucket.data_folder()).await?;
    declared.verify(&received.digests, trailing_headers.as_ref())?;

    let part = Part {
        number: input.part_number,
        etag: received.digests.md5.map_or_else(fresh_etag, hex::encode),
        modified: Timestamp::now(),
        segment: Segment { file: String::new(), length: received.length },
        checksums: received.digests.checksums,
    };
    let told = declared.algorithm.or(upload.record().algorithm);
    let mut output = UploadPartOutput { e_tag: Some(convert::etag(&part.etag)), ..UploadPartOutput::default() };
    output.server_side_encryption = upload.record().attributes.encryption.clone().map(Into::into);
    let told = told.and_then(|told| part.checksums.get_key_value(&told));
    fill_checksums!(output, told.into_iter());
    blocking(move || Ok(bucket.put_part(&upload, part, received.file)?)).await?;
    Ok(S3Response::new(output))
}

/// What is computed over a part: what the object needs, and what the client declared. Pure.
fn algorithms_of_part(upload: &UploadRecord, declared: Option<Algorithm>) -> S3Result<BTreeSet<Algorithm>> {
    match (upload.algorithm, declared) {
        (Some(expected), Some(actual)) if expected != actual => Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            expected.name(),
            actual.name()
        )),
        _ => Ok(declared.into_iter().chain([upload.effective_algorithm()]).collect()),
    }
}

pub(super) async fn complete(
    store: &Store,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let upload = bucket.upload(&input.upload_id, &input.key)?;
    if let Some(kind) = &input.checksum_type
        && convert::coverage(kind)? != upload.record().coverage
    {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was created using another checksum type than {}",
            kind.as_str()
        ));
    }
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let completion = Completion {
        parts: parts.into_iter().map(chosen).collect::<S3Result<_>>()?,
        condition: convert::condition(input.if_match.as_ref(), input.if_none_match.as_ref())?,
        checksum: checksums_of!(input).into_iter().next(),
        size: input.mpu_object_size.map(|size| u64::try_from(size).unwrap_or(0)),
        default_retention: lock::settle(&bucket, Lock::default(), store.now())?.retention,
    };
    let (written, version_id) = blocking(move || {
        let written = bucket.complete_upload(&upload, &completion)?;
        let version = versioning::shown_id(&bucket, &written);
        Ok((written, version))
    })
    .await?;

    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(convert::etag(&written.etag)),
        version_id,
        server_side_encryption: written.attributes.encryption.clone().map(Into::into),
        ..CompleteMultipartUploadOutput::default()
    };
    fill_checksum!(output, &written.checksum);
    Ok(S3Response::new(output))
}

fn chosen(part: CompletedPart) -> S3Result<ChosenPart> {
    let checksums = checksums_of!(part);
    match (part.part_number, part.e_tag) {
        (Some(number), Some(etag)) => Ok(ChosenPart { number, etag: etag.value().to_owned(), checksums }),
        _ => Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )),
    }
}

pub(super) async fn abort(
    store: &Store,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let upload = bucket.upload(&input.upload_id, &input.key)?;
    blocking(move || Ok(bucket.abort_upload(&upload)?)).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) fn list_parts(store: &Store, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let upload = store.bucket(&input.bucket)?.upload(&input.upload_id, &input.key)?;
    let after = input.part_number_marker.unwrap_or(0);
    let most = input.max_parts.unwrap_or(PAGE).clamp(0, PAGE);
    let mut parts: Vec<Part> = upload.parts().into_iter().filter(|part| part.number > after).collect();
    let truncated = parts.len() > usize::try_from(most).unwrap_or(0);
    parts.truncate(usize::try_from(most).unwrap_or(0));
    let record = upload.record();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(most),
        part_number_marker: Some(after),
        is_truncated: Some(truncated),
        next_part_number_marker: parts.last().map(|part| part.number),
        checksum_algorithm: record.algorithm.map(convert::algorithm_name),
        checksum_type: record.algorithm.map(|_| convert::checksum_type(record.coverage)),
        parts: Some(parts.into_iter().map(|part| listed(part, record.algorithm)).collect()),
        ..ListPartsOutput::default()
    }))
}

fn listed(part: Part, algorithm: Option<Algorithm>) -> ListedPart {
    let mut listed = ListedPart {
        part_number: Some(part.number),
        e_tag: Some(convert::etag(&part.etag)),
        last_modified: Some(convert::timestamp(part.modified)),
        size: Some(convert::signed(part.segment.length)),
        ..ListedPart::default()
    };
    let shown: BTreeMap<_, _> = part.checksums.into_iter().filter(|(kind, _)| Some(*kind) == algorithm).collect();
    fill_checksums!(listed, &shown);
    listed
}

pub(super) fn list_uploads(
    store: &Store,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    if input.delimiter.as_deref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(
            NotImplemented,
            "The local cloud's S3 does not implement a delimiter in ListMultipartUploads"
        ));
    }
    let most = input.max_uploads.unwrap_or(PAGE).clamp(0, PAGE);
    let prefix = input.prefix.clone().unwrap_or_default();
    let mut uploads = store.bucket(&input.bucket)?.uploads();
    uploads.retain(|upload| upload.record().key.starts_with(&prefix));
    if let Some(key) = &input.key_marker {
        let marker = (key.as_str(), input.upload_id_marker.as_deref());
        uploads.retain(|upload| is_behind(upload, marker));
    }
    let truncated = uploads.len() > usize::try_from(most).unwrap_or(0);
    uploads.truncate(usize::try_from(most).unwrap_or(0));
    let last = uploads.last().filter(|_| truncated);
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: Some(input.key_marker.unwrap_or_default()),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        max_uploads: Some(most),
        is_truncated: Some(truncated),
        next_key_marker: last.map(|upload| upload.record().key.clone()),
        next_upload_id_marker: last.map(|upload| upload.id().to_owned()),
        uploads: Some(uploads.iter().map(|upload| under_way(upload)).collect()),
        ..ListMultipartUploadsOutput::default()
    }))
}

fn is_behind(upload: &Upload, (key, id): (&str, Option<&str>)) -> bool {
    let own = upload.record().key.as_str();
    own > key || (own == key && id.is_some_and(|id| upload.id() > id))
}

fn under_way(upload: &Upload) -> MultipartUpload {
    let record = upload.record();
    MultipartUpload {
        key: Some(record.key.clone()),
        upload_id: Some(record.id.clone()),
        initiated: Some(convert::timestamp(record.initiated)),
        checksum_algorithm: record.algorithm.map(convert::algorithm_name),
        checksum_type: record.algorithm.map(|_| convert::checksum_type(record.coverage)),
        storage_class: Some(record.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()).into()),
        ..MultipartUpload::default()
    }
}
