//! GetObject, HeadObject, GetObjectAttributes.

use std::sync::Arc;

use jiff::Timestamp;
use s3s::dto::{
    self, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts, GetObjectInput,
    GetObjectOutput, HeadObjectInput, HeadObjectOutput, ObjectPart, Range,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, fill_attributes, fill_checksum};
use super::lock::fill_lock;
use super::versioning;
use crate::s3::access::Caller;
use crate::s3::store::{Bucket, Object, Record, Store};
use crate::s3::transfer::{Window, body};

/// Which bytes a read is about, and how the answer says so.
struct Selection {
    window: Window,
    /// `Content-Range`, unless it is the whole object by itself.
    range: Option<String>,
}

struct Conditions<'a> {
    if_match: Option<&'a dto::ETagCondition>,
    if_none_match: Option<&'a dto::ETagCondition>,
    if_modified_since: Option<&'a dto::Timestamp>,
    if_unmodified_since: Option<&'a dto::Timestamp>,
}

macro_rules! conditions_of {
    ($input:expr) => {
        Conditions {
            if_match: $input.if_match.as_ref(),
            if_none_match: $input.if_none_match.as_ref(),
            if_modified_since: $input.if_modified_since.as_ref(),
            if_unmodified_since: $input.if_unmodified_since.as_ref(),
        }
    };
}

pub(super) fn get_object(store: &Store, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let (bucket, object) = find(store, &caller, &input.bucket, &input.key, input.version_id.as_deref())?;
    let record = object.record.clone();
    conditions_of!(input).check(&record)?;
    let selection = select(&record, input.range, input.part_number)?;

    let mut output = GetObjectOutput::default();
    fill_attributes!(output, record);
    fill_lock!(output, caller, input, record);
    output.version_id = versioning::shown_id(&bucket, &record);
    output.content_length = Some(convert::signed(selection.window.end - selection.window.start));
    output.parts_count = input.part_number.and(parts_count(&record));
    output.tag_count = (!record.tags.is_empty()).then(|| i32::try_from(record.tags.len()).unwrap_or(i32::MAX));
    if selection.range.is_none() && wants_checksum(input.checksum_mode.as_ref()) {
        fill_checksum!(output, &record.checksum);
    }
    output.content_range = selection.range;
    output.body = Some(body(object, selection.window));
    let partial = output.content_range.is_some();
    let mut response = S3Response::new(output);
    response.status = partial.then_some(http::StatusCode::PARTIAL_CONTENT);
    Ok(response)
}

pub(super) fn head_object(
    store: &Store,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let (bucket, object) = find(store, &caller, &input.bucket, &input.key, input.version_id.as_deref())?;
    let record = object.record;
    conditions_of!(input).check(&record)?;
    let selection = select(&record, input.range, input.part_number)?;

    let mut output = HeadObjectOutput::default();
    fill_attributes!(output, record);
    fill_lock!(output, caller, input, record);
    output.version_id = versioning::shown_id(&bucket, &record);
    output.content_length = Some(convert::signed(selection.window.end - selection.window.start));
    output.parts_count = input.part_number.and(parts_count(&record));
    if selection.range.is_none() && wants_checksum(input.checksum_mode.as_ref()) {
        fill_checksum!(output, &record.checksum);
    }
    let partial = selection.range.is_some();
    output.content_range = selection.range;
    let mut response = S3Response::new(output);
    response.status = partial.then_some(http::StatusCode::PARTIAL_CONTENT);
    Ok(response)
}

pub(super) fn get_object_attributes(
    store: &Store,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let (bucket, object) = find(store, &caller, &input.bucket, &input.key, input.version_id.as_deref())?;
    let record = object.record;
    let wants = |name: &str| input.object_attributes.iter().any(|attribute| attribute.as_str() == name);

    let mut output = GetObjectAttributesOutput {
        last_modified: Some(convert::timestamp(record.modified)),
        version_id: versioning::shown_id(&bucket, &record),
        ..GetObjectAttributesOutput::default()
    };
    if wants("ETag") {
        output.e_tag = Some(convert::etag(&record.etag));
    }
    if wants("ObjectSize") {
        output.object_size = Some(convert::signed(record.size));
    }
    if wants("StorageClass") {
        let class = record.attributes.storage_class.clone();
        output.storage_class = Some(class.unwrap_or_else(|| "STANDARD".to_owned()).into());
    }
    if wants("Checksum") && record.checksum.is_some() {
        let mut checksum = dto::Checksum::default();
        fill_checksum!(checksum, &record.checksum);
        output.checksum = Some(checksum);
    }
    if wants("ObjectParts") && record.parts.is_some() {
        output.object_parts = Some(parts(&record));
    }
    Ok(S3Response::new(output))
}

fn find(
    store: &Store,
    caller: &Caller,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> S3Result<(Arc<Bucket>, Object)> {
    let found = store.bucket(bucket)?;
    let object = found.get(key, version).map_err(|error| caller.missing_key(bucket, error.into()))?;
    Ok((found, object))
}

fn wants_checksum(mode: Option<&dto::ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED)
}

fn parts_count(record: &Record) -> Option<i32> {
    record.parts.and_then(|parts| i32::try_from(parts).ok())
}

fn parts(record: &Record) -> GetObjectAttributesParts {
    let sizes = record.segments.iter().zip(1..).map(|(segment, number)| ObjectPart {
        part_number: Some(number),
        size: Some(convert::signed(segment.length)),
        ..ObjectPart::default()
    });
    GetObjectAttributesParts {
        total_parts_count: parts_count(record),
        is_truncated: Some(false),
        parts: Some(sizes.collect()),
        ..GetObjectAttributesParts::default()
    }
}

impl Conditions<'_> {
    /// In the order of RFC 9110: a match that fails is 412, a match that should not be is 304.
    fn check(&self, record: &Record) -> S3Result<()> {
        let modified = record.modified.as_second();
        let since = |at: &dto::Timestamp| convert::instant(at).map_or(i64::MIN, Timestamp::as_second);
        let failed = match (self.if_match, self.if_unmodified_since) {
            (Some(tag), _) => !convert::is_matched(tag, &record.etag),
            (None, Some(at)) => modified > since(at),
            (None, None) => false,
        };
        if failed {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let unchanged = match (self.if_none_match, self.if_modified_since) {
            (Some(tag), _) => convert::is_matched(tag, &record.etag),
            (None, Some(at)) => modified <= since(at),
            (None, None) => false,
        };
        if unchanged { Err(s3_error!(NotModified)) } else { Ok(()) }
    }
}

fn select(record: &Record, range: Option<Range>, part: Option<i32>) -> S3Result<Selection> {
    let window = match (range, part) {
        (None, None) => return Ok(Selection { window: 0..record.size, range: None }),
        (Some(_), Some(_)) => {
            return Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"));
        }
        (Some(range), None) => {
            range.check(record.size).map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))?
        }
        (None, Some(part)) => window_of_part(record, part)
            .ok_or_else(|| s3_error!(InvalidRange, "The requested partnumber is not satisfiable"))?,
    };
    let range =
        (window.end > window.start).then(|| format!("bytes {}-{}/{}", window.start, window.end - 1, record.size));
    Ok(Selection { window, range })
}

fn window_of_part(record: &Record, part: i32) -> Option<Window> {
    let position = usize::try_from(part).ok()?.checked_sub(1)?;
    if record.parts.is_none() {
        return (position == 0).then_some(0..record.size);
    }
    let length = record.segments.get(position)?.length;
    let begin: u64 = record.segments[..position].iter().map(|segment| segment.length).sum();
    Some(begin..begin + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::store::Segment;

    fn record(parts: Option<u32>, lengths: &[u64]) -> Record {
        Record {
            key: "k".into(),
            etag: "e".into(),
            size: lengths.iter().sum(),
            modified: "2026-11-20T12:00:00.5Z".parse().unwrap(),
            parts,
            checksum: None,
            attributes: Default::default(),
            tags: Default::default(),
            version: Default::default(),
            lock: Default::default(),
            segments: lengths.iter().map(|length| Segment { file: "f".into(), length: *length }).collect(),
        }
    }

    #[test]
    fn ranges_and_parts_select_their_bytes() {
        let plain = record(None, &[100]);
        let parts = record(Some(2), &[60, 40]);
        let empty = record(None, &[0]);
        let range = |text: &str| Some(Range::parse(text).unwrap());
        for (record, range, part, expected) in [
            (&plain, None, None, Some((0..100, None))),
            (&plain, range("bytes=10-19"), None, Some((10..20, Some("bytes 10-19/100")))),
            (&plain, range("bytes=90-"), None, Some((90..100, Some("bytes 90-99/100")))),
            (&plain, range("bytes=-5"), None, Some((95..100, Some("bytes 95-99/100")))),
            (&plain, range("bytes=0-1000"), None, Some((0..100, Some("bytes 0-99/100")))),
            (&plain, range("bytes=100-"), None, None),
            (&plain, None, Some(1), Some((0..100, Some("bytes 0-99/100")))),
            (&plain, None, Some(2), None),
            (&parts, None, Some(2), Some((60..100, Some("bytes 60-99/100")))),
            (&parts, None, Some(3), None),
            (&parts, None, Some(0), None),
            (&empty, None, None, Some((0..0, None))),
            (&empty, range("bytes=0-0"), None, None),
        ] {
            let selected = select(record, range, part).ok();
            let selected = selected.as_ref().map(|selection| (selection.window.clone(), selection.range.as_deref()));
            assert_eq!(selected, expected, "range {range:?}, part {part:?}");
        }
    }

    #[test]
    fn conditions_of_reads() {
        let record = record(None, &[1]);
        let tag = |value: &str| dto::ETagCondition::ETag(convert::etag(value));
        let none =
            || Conditions { if_match: None, if_none_match: None, if_modified_since: None, if_unmodified_since: None };
        let at = |text: &str| dto::Timestamp::parse(dto::TimestampFormat::DateTime, text).unwrap();
        let (same, other) = (tag("e"), tag("x"));
        let (before, equal) = (at("2026-11-20T11:00:00Z"), at("2026-11-20T12:00:00Z"));
        let code = |conditions: Conditions<'_>| conditions.check(&record).err().map(|error| error.code().clone());
        use s3s::S3ErrorCode::{NotModified, PreconditionFailed};
        assert_eq!(code(none()), None);
        assert_eq!(code(Conditions { if_match: Some(&same), ..none() }), None);
        assert_eq!(code(Conditions { if_match: Some(&other), ..none() }), Some(PreconditionFailed));
        assert_eq!(code(Conditions { if_none_match: Some(&same), ..none() }), Some(NotModified));
        assert_eq!(code(Conditions { if_none_match: Some(&other), ..none() }), None);
        assert_eq!(code(Conditions { if_modified_since: Some(&before), ..none() }), None);
        assert_eq!(code(Conditions { if_modified_since: Some(&equal), ..none() }), Some(NotModified));
        assert_eq!(code(Conditions { if_unmodified_since: Some(&before), ..none() }), Some(PreconditionFailed));
        assert_eq!(code(Conditions { if_unmodified_since: Some(&equal), ..none() }), None);
    }
}
