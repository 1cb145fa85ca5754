//! Between the protocol crate's types and the storage's.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use s3s::dto::{self, ETag, ETagCondition};
use s3s::{S3Request, S3Result, s3_error};

use crate::s3::access::{Caller, decode};
use crate::s3::checksum::{Algorithm, Coverage};
use crate::s3::store::{Condition, Matches, Tags};

/// Sets the checksum fields of an answer from a map by algorithm.
macro_rules! fill_checksums {
    ($output:expr, $values:expr) => {{
        use $crate::s3::checksum::Algorithm;
        for (algorithm, value) in $values {
            let value = Some(value.clone());
            match algorithm {
                Algorithm::Crc32 => $output.checksum_crc32 = value,
                Algorithm::Crc32c => $output.checksum_crc32c = value,
                Algorithm::Crc64Nvme => $output.checksum_crc64nvme = value,
                Algorithm::Sha1 => $output.checksum_sha1 = value,
                Algorithm::Sha256 => $output.checksum_sha256 = value,
            }
        }
    }};
}

/// Sets the checksum fields of an answer, type included, from a record's checksum.
macro_rules! fill_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            $crate::s3::operations::convert::fill_checksums!($output, [(checksum.algorithm, &checksum.value)]);
            $output.checksum_type = Some($crate::s3::operations::convert::checksum_type(checksum.coverage));
        }
    };
}

/// The checksum fields of a request, by algorithm.
macro_rules! checksums_of {
    ($input:expr) => {{
        use $crate::s3::checksum::Algorithm;
        let values = [
            (Algorithm::Crc32, &$input.checksum_crc32),
            (Algorithm::Crc32c, &$input.checksum_crc32c),
            (Algorithm::Crc64Nvme, &$input.checksum_crc64nvme),
            (Algorithm::Sha1, &$input.checksum_sha1),
            (Algorithm::Sha256, &$input.checksum_sha256),
        ];
        let given = values.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value.clone()?)));
        given.collect::<std::collections::BTreeMap<_, _>>()
    }};
}

/// The attributes that a request gives to an object.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::s3::store::Attributes {
            content_type: $input.content_type.clone(),
            content_encoding: $crate::s3::operations::convert::content_encoding($input.content_encoding.as_deref()),
            content_language: $input.content_language.clone(),
            content_disposition: $input.content_disposition.clone(),
            cache_control: $input.cache_control.clone(),
            metadata: $crate::s3::operations::convert::metadata($input.metadata.as_ref()),
            storage_class: $input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
            encryption: $input.server_side_encryption.as_ref().map(|algorithm| algorithm.as_str().to_owned()),
            encryption_key: $input.ssekms_key_id.clone(),
        }
    };
}

/// Sets what a read says of an object besides its bytes.
macro_rules! fill_attributes {
    ($output:expr, $record:expr) => {{
        use $crate::s3::operations::convert;
        let attributes = &$record.attributes;
        let content_type = attributes.content_type.clone();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.content_type = Some(content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()));
        $output.content_encoding = attributes.content_encoding.clone();
        $output.content_language = attributes.content_language.clone();
        $output.content_disposition = attributes.content_disposition.clone();
        $output.cache_control = attributes.cache_control.clone();
        $output.e_tag = Some(convert::etag(&$record.etag));
        $output.last_modified = Some(convert::timestamp($record.modified));
        $output.metadata = Some(attributes.metadata.clone().into_iter().collect());
        $output.storage_class = attributes.storage_class.clone().map(Into::into);
        $output.server_side_encryption = attributes.encryption.clone().map(Into::into);
        $output.ssekms_key_id = attributes.encryption_key.clone();
    }};
}

pub(super) use {attributes_of, checksums_of, fill_attributes, fill_checksum, fill_checksums};

/// The caller, as the check of permissions left it.
pub(super) fn caller<T>(request: &S3Request<T>) -> S3Result<Caller> {
    let caller = request.extensions.get::<Caller>().cloned();
    caller.ok_or_else(|| s3_error!(AccessDenied, "the request was not authenticated"))
}

pub(super) fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

pub(super) fn timestamp(at: Timestamp) -> dto::Timestamp {
    SystemTime::from(at).into()
}

pub(super) fn instant(at: &dto::Timestamp) -> S3Result<Timestamp> {
    let mut text = Vec::new();
    at.format(dto::TimestampFormat::DateTime, &mut text).map_err(s3s::S3Error::internal_error)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.parse().map_err(|error| s3_error!(error, InvalidArgument, "The date {} is out of range", text))
}

pub(super) fn checksum_type(coverage: Coverage) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match coverage {
        Coverage::FullObject => dto::ChecksumType::FULL_OBJECT,
        Coverage::Composite => dto::ChecksumType::COMPOSITE,
    })
}

pub(super) fn coverage(kind: &dto::ChecksumType) -> S3Result<Coverage> {
    match kind.as_str() {
        dto::ChecksumType::FULL_OBJECT => Ok(Coverage::FullObject),
        dto::ChecksumType::COMPOSITE => Ok(Coverage::Composite),
        other => Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid: {}", other)),
    }
}

pub(super) fn algorithm(name: &dto::ChecksumAlgorithm) -> S3Result<Algorithm> {
    let known = Algorithm::from_name(name.as_str());
    known.ok_or_else(|| {
        s3_error!(NotImplemented, "The local cloud's S3 does not implement the checksum {}", name.as_str())
    })
}

pub(super) fn algorithm_name(algorithm: Algorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(algorithm.name())
}

/// `aws-chunked` is how the body travels, not what the object is.
pub(super) fn content_encoding(header: Option<&str>) -> Option<String> {
    let kept: Vec<&str> = header?.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

pub(super) fn metadata(given: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let pairs = given.into_iter().flatten();
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

/// Sizes and counts travel as signed numbers; ours never come near their end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The condition of a write. S3 knows `If-None-Match` with `*` alone here.
pub(super) fn condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (Some(tag), None) => Ok(Condition::Present(matches(tag))),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        _ => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented: If-None-Match with an entity tag, or with If-Match"
        )),
    }
}

/// The condition of a copy, whose headers the protocol crate does not pass on.
pub(super) fn condition_of_headers(headers: &HeaderMap) -> S3Result<Condition> {
    let read = |name: HeaderName| {
        let value = headers.get(&name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        value.transpose().map_err(|error| s3_error!(error, InvalidArgument, "The header {} is invalid", name))
    };
    condition(read(header::IF_MATCH)?.as_ref(), read(header::IF_NONE_MATCH)?.as_ref())
}

pub(super) fn matches(condition: &ETagCondition) -> Matches {
    match condition {
        ETagCondition::Any => Matches::Any,
        ETagCondition::ETag(tag) => Matches::ETag(tag.value().to_owned()),
    }
}

/// Whether an entity tag is the one, or one of any, that a read names.
pub(super) fn is_matched(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == etag,
    }
}

/// Tags of an `x-amz-tagging` header.
pub(super) fn tags_of_header(header: Option<&str>) -> S3Result<Tags> {
    let pairs = header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    checked_tags(
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(key, value)| (decode(key), decode(value))),
        10,
    )
}

/// Tags of a tag set.
pub(super) fn tags_of_set(set: &[dto::Tag], most: usize) -> S3Result<Tags> {
    checked_tags(
        set.iter().map(|tag| (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default())),
        most,
    )
}

fn checked_tags(pairs: impl Iterator<Item = (String, String)>, most: usize) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 || key.starts_with("aws:") {
            return Err(s3_error!(InvalidTag, "The tag is not one that S3 takes: {}", key));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key: {}", key));
        }
    }
    if tags.len() > most {
        return Err(s3_error!(InvalidTag, "Tags cannot be more than {}", most));
    }
    Ok(tags)
}

pub(super) fn tag_set(tags: &Tags) -> Vec<dto::Tag> {
    tags.iter().map(|(key, value)| dto::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_of_the_transfer_is_not_kept() {
        assert_eq!(content_encoding(Some("aws-chunked")), None);
        assert_eq!(content_encoding(Some("aws-chunked, zstd")), Some("zstd".to_owned()));
        assert_eq!(content_encoding(Some("gzip")), Some("gzip".to_owned()));
    }

    #[test]
    fn tags_are_decoded_and_limited() {
        let tags = tags_of_header(Some("a=1&b%20c=d%2Fe&empty")).unwrap();
        assert_eq!(tags, Tags::from([("a", "1"), ("b c", "d/e"), ("empty", "")].map(|(k, v)| (k.into(), v.into()))));
        for refused in ["a=1&a=2", "aws:x=1", "=1", "a&b&c&d&e&f&g&h&i&j&k"] {
            assert!(tags_of_header(Some(refused)).is_err(), "{refused}");
        }
    }
}
