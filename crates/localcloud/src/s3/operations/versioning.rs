//! Versioning of a bucket, and the listing of all versions.

use std::sync::Arc;

use s3s::dto::{
    BucketVersioningStatus, CommonPrefix, DeleteMarkerEntry, GetBucketVersioningInput, GetBucketVersioningOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion, ObjectVersionStorageClass,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert;
use super::list::{encoder, most, owner};
use super::settings::change;
use crate::s3::store::{Bucket, Error, Object, Place, Query, Record, Store, VersionEntry, VersionPlace, Versioning};

pub(super) async fn put(
    store: &Store,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let input = request.input;
    if input.versioning_configuration.mfa_delete.is_some_and(|status| status.as_str() == "Enabled") {
        return Err(s3_error!(NotImplemented, "The local cloud's S3 does not implement MFA delete"));
    }
    let status = input.versioning_configuration.status;
    let wanted = match status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            return Err(s3_error!(IllegalVersioningConfigurationException, "The Versioning element must be specified"));
        }
    };
    change(store, &input.bucket, move |settings| {
        if settings.object_lock.is_some() && wanted != Versioning::Enabled {
            return Err(Error::InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
            ));
        }
        settings.versioning = wanted;
        Ok(())
    })
    .await?;
    Ok(S3Response::new(PutBucketVersioningOutput {}))
}

/// A bucket that never had versioning has no status.
pub(super) fn get(
    store: &Store,
    request: &S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let status = match store.bucket(&request.input.bucket)?.settings().versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(S3Response::new(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() }))
}

/// The id that an answer shows: none where the bucket never kept versions.
pub(super) fn shown_id(bucket: &Bucket, record: &Record) -> Option<String> {
    (bucket.settings().versioning != Versioning::Never).then(|| record.version.id.clone())
}

pub(super) fn list(
    store: &Store,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let bucket: Arc<Bucket> = store.bucket(&input.bucket)?;
    let most = most(input.max_keys)?;
    let query = Query {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after: None,
        most: usize::try_from(most).unwrap_or(0),
    };
    let after = place(input.key_marker.as_deref(), input.version_id_marker.as_deref(), &query.delimiter)?;
    let page = bucket.list_versions(&query, after);
    let encode = encoder(input.encoding_type.as_ref());
    let mut output = ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encode(&query.prefix)),
        delimiter: input.delimiter.as_deref().map(encode),
        key_marker: Some(encode(input.key_marker.as_deref().unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys: Some(most),
        is_truncated: Some(page.truncated),
        encoding_type: input.encoding_type,
        ..ListObjectVersionsOutput::default()
    };
    let last = page.entries.last().filter(|_| page.truncated);
    let (key, id) = match last {
        Some(VersionEntry::Version(object, _)) => {
            (Some(encode(&object.record.key)), Some(object.record.version.id.clone()))
        }
        Some(VersionEntry::Prefix(prefix)) => (Some(encode(prefix)), None),
        None => (None, None),
    };
    (output.next_key_marker, output.next_version_id_marker) = (key, id);
    let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
    for entry in page.entries {
        match entry {
            VersionEntry::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(encode(&prefix)) }),
            VersionEntry::Version(object, latest) if object.record.version.marker => {
                markers.push(marker(&object.record, latest, encode(&object.record.key)));
            }
            VersionEntry::Version(object, latest) => {
                versions.push(version(&object, latest, encode(&object.record.key)));
            }
        }
    }
    output.versions = Some(versions);
    output.delete_markers = Some(markers);
    output.common_prefixes = Some(prefixes);
    Ok(S3Response::new(output))
}

fn place(key: Option<&str>, id: Option<&str>, delimiter: &str) -> S3Result<Option<VersionPlace>> {
    let (key, id) = (key.filter(|key| !key.is_empty()), id.filter(|id| !id.is_empty()));
    match (key, id) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."))
        }
        (Some(key), Some(id)) => Ok(Some(VersionPlace::Version(key.to_owned(), id.to_owned()))),
        // A marker that ends a rolled-up prefix stands for all of it.
        (Some(key), None) if !delimiter.is_empty() && key.ends_with(delimiter) => {
            Ok(Some(VersionPlace::Key(Place::Prefix(key.to_owned()))))
        }
        (Some(key), None) => Ok(Some(VersionPlace::Key(Place::Key(key.to_owned())))),
    }
}

fn version(object: &Object, latest: bool, key: String) -> ObjectVersion {
    let record = &object.record;
    let class = record.attributes.storage_class.clone();
    ObjectVersion {
        key: Some(key),
        version_id: Some(record.version.id.clone()),
        is_latest: Some(latest),
        e_tag: Some(convert::etag(&record.etag)),
        last_modified: Some(convert::timestamp(record.modified)),
        size: Some(convert::signed(record.size)),
        storage_class: Some(
            class.map_or_else(
                || ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD),
                Into::into,
            ),
        ),
        checksum_algorithm: record.checksum.as_ref().map(|checksum| vec![convert::algorithm_name(checksum.algorithm)]),
        checksum_type: record.checksum.as_ref().map(|checksum| convert::checksum_type(checksum.coverage)),
        owner: Some(owner("local")),
        ..ObjectVersion::default()
    }
}

fn marker(record: &Record, latest: bool, key: String) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        key: Some(key),
        version_id: Some(record.version.id.clone()),
        is_latest: Some(latest),
        last_modified: Some(convert::timestamp(record.modified)),
        owner: Some(owner("local")),
    }
}
