//! ListObjectsV2 and its older form.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object as Entry, Owner,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert;
use crate::s3::store::{Object, Page, Place, Query, Store};

/// Most entries of one page.
const PAGE: i32 = 1000;

pub(super) fn list_v2(
    store: &Store,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let most = most(input.max_keys)?;
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Some(place_of_token(token)?),
        (None, Some(key)) => Some(Place::Key(key.clone())),
        (None, None) => None,
    };
    let page = page(store, &input.bucket, input.prefix.as_deref(), input.delimiter.as_deref(), after, most)?;
    let encode = encoder(input.encoding_type.as_ref());
    let owner = input.fetch_owner.unwrap_or(false).then(|| owner("local"));
    let count = page.entries.len() + page.prefixes.len();
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.as_deref().map(encode),
        start_after: input.start_after.as_deref().map(encode),
        max_keys: Some(most),
        key_count: i32::try_from(count).ok(),
        is_truncated: Some(page.next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: page.next.as_ref().map(token_of_place),
        common_prefixes: Some(prefixes(&page, encode)),
        contents: Some(entries(&page, owner.as_ref(), encode)),
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    }))
}

pub(super) fn list_v1(store: &Store, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let most = most(input.max_keys)?;
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let marker = input.marker.as_deref().filter(|marker| !marker.is_empty());
    // A marker that ends a rolled-up prefix stands for all of it.
    let after = marker.map(|marker| match delimiter {
        Some(delimiter) if marker.ends_with(delimiter) => Place::Prefix(marker.to_owned()),
        _ => Place::Key(marker.to_owned()),
    });
    let page = page(store, &input.bucket, input.prefix.as_deref(), delimiter, after, most)?;
    let encode = encoder(input.encoding_type.as_ref());
    let next_marker = page.next.as_ref().map(|(Place::Key(place) | Place::Prefix(place))| encode(place));
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encode(&input.prefix.clone().unwrap_or_default())),
        marker: Some(encode(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(most),
        is_truncated: Some(page.next.is_some()),
        next_marker: next_marker.filter(|_| delimiter.is_some()),
        delimiter: input.delimiter.as_deref().map(encode),
        common_prefixes: Some(prefixes(&page, encode)),
        contents: Some(entries(&page, Some(&owner("local")), encode)),
        encoding_type: input.encoding_type,
        ..ListObjectsOutput::default()
    }))
}

pub(super) fn most(asked: Option<i32>) -> S3Result<i32> {
    match asked.unwrap_or(PAGE) {
        negative if negative < 0 => {
            Err(s3_error!(InvalidArgument, "Argument maxKeys must be an integer between 0 and 2147483647"))
        }
        most => Ok(most.min(PAGE)),
    }
}

fn page(
    store: &Store,
    bucket: &str,
    prefix: Option<&str>,
    delimiter: Option<&str>,
    after: Option<Place>,
    most: i32,
) -> S3Result<Page<Object>> {
    let query = Query {
        prefix: prefix.unwrap_or_default().to_owned(),
        delimiter: delimiter.unwrap_or_default().to_owned(),
        after,
        most: usize::try_from(most).unwrap_or(0),
    };
    Ok(store.bucket(bucket)?.list(&query))
}

fn prefixes(page: &Page<Object>, encode: Encode) -> Vec<CommonPrefix> {
    page.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) }).collect()
}

fn entries(page: &Page<Object>, owner: Option<&Owner>, encode: Encode) -> Vec<Entry> {
    let entry = |(key, object): &(String, Object)| {
        let record = &object.record;
        let class = record.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
        Entry {
            key: Some(encode(key)),
            e_tag: Some(convert::etag(&record.etag)),
            last_modified: Some(convert::timestamp(record.modified)),
            size: Some(convert::signed(record.size)),
            storage_class: Some(class.into()),
            checksum_algorithm: record
                .checksum
                .as_ref()
                .map(|checksum| vec![convert::algorithm_name(checksum.algorithm)]),
            checksum_type: record.checksum.as_ref().map(|checksum| convert::checksum_type(checksum.coverage)),
            owner: owner.cloned(),
            ..Entry::default()
        }
    };
    page.entries.iter().map(entry).collect()
}

pub(super) fn owner(name: &str) -> Owner {
    Owner { display_name: Some(name.to_owned()), id: Some(name.to_owned()) }
}

pub(super) type Encode = fn(&str) -> String;

pub(super) fn encoder(encoding: Option<&EncodingType>) -> Encode {
    match encoding {
        Some(encoding) if encoding.as_str() == EncodingType::URL => percent_encoded,
        _ => str::to_owned,
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~/*".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn token_of_place(place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(match place {
        Place::Key(key) => format!("k{key}"),
        Place::Prefix(prefix) => format!("p{prefix}"),
    })
}

fn place_of_token(token: &str) -> S3Result<Place> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    match (text.strip_prefix('k'), text.strip_prefix('p')) {
        (Some(key), _) => Ok(Place::Key(key.to_owned())),
        (_, Some(prefix)) => Ok(Place::Prefix(prefix.to_owned())),
        _ => Err(s3_error!(InvalidArgument, "The continuation token provided is incorrect")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_strangers_are_refused() {
        for place in [Place::Key("a/é b".into()), Place::Prefix("p/".into()), Place::Key(String::new())] {
            assert_eq!(place_of_token(&token_of_place(&place)).unwrap(), place);
        }
        assert!(place_of_token("!").is_err());
        assert!(place_of_token("").is_err());
    }

    #[test]
    fn url_encoding_leaves_slashes() {
        assert_eq!(percent_encoded("a/b c+é"), "a/b%20c%2B%C3%A9");
    }
}
