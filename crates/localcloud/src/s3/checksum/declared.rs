//! What a request says about the checksum of its own body.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::{Algorithm, Digests};

const HEADER_PREFIX: &str = "x-amz-checksum-";
/// Headers with the prefix that carry no value.
const NO_VALUES: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

/// Checksums that a request declares for its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// The algorithm, if there is one.
    pub algorithm: Option<Algorithm>,
    /// Its value, unless it comes in a trailer.
    value: Option<String>,
    md5: Option<[u8; 16]>,
}

impl Declared {
    /// Reads the headers `x-amz-checksum-*`, `x-amz-trailer`, `x-amz-sdk-checksum-algorithm` and `Content-MD5`.
    pub fn from_headers(headers: &HeaderMap) -> S3Result<Self> {
        let mut declared = Self { md5: content_md5(headers)?, ..Self::default() };
        let mut named = BTreeSet::new();
        for (name, value) in headers {
            let name = name.as_str();
            if !name.starts_with(HEADER_PREFIX) || NO_VALUES.contains(&name) {
                continue;
            }
            named.insert(algorithm_of_header(name)?);
            declared.value = value.to_str().ok().map(str::to_owned);
        }
        for trailer in headers.get_all("x-amz-trailer").iter().filter_map(|value| value.to_str().ok()) {
            for name in trailer.split(',').map(str::trim).filter(|name| name.starts_with(HEADER_PREFIX)) {
                named.insert(algorithm_of_header(name)?);
            }
        }
        if named.len() > 1 {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
        declared.algorithm = named.pop_first();
        if let (Some(algorithm), Some(said)) = (declared.algorithm, headers.get("x-amz-sdk-checksum-algorithm"))
            && said.to_str().ok().and_then(Algorithm::from_name) != Some(algorithm)
        {
            return Err(s3_error!(InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid."));
        }
        Ok(declared)
    }

    /// Whether MD5 has to be computed.
    pub fn wants_md5(&self) -> bool {
        self.md5.is_some()
    }

    /// Compares with what was computed over the body. `trailers` are there only once the body was read to its end.
    pub fn verify(&self, computed: &Digests, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        if self.md5.is_some() && self.md5 != computed.md5 {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        let Some(algorithm) = self.algorithm else { return Ok(()) };
        let trailer = || {
            let value = trailers?.read(|headers| headers.get(algorithm.header())?.to_str().ok().map(str::to_owned));
            value.flatten()
        };
        let Some(expected) = self.value.clone().or_else(trailer) else {
            return Err(s3_error!(MalformedXML, "The checksum announced for the trailer of the request is missing."));
        };
        if computed.checksums.get(&algorithm) != Some(&expected) {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            ));
        }
        Ok(())
    }
}

fn algorithm_of_header(name: &str) -> S3Result<Algorithm> {
    let known = Algorithm::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name));
    known.ok_or_else(|| s3_error!(NotImplemented, "The checksum {} is not implemented by the local cloud.", name))
}

fn content_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let digest = STANDARD.decode(value.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    digest.map(Some).ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn one_algorithm_at_most_from_headers_or_trailers() {
        let of = |pairs: &[_]| Declared::from_headers(&headers(pairs));
        assert_eq!(of(&[]).unwrap(), Declared::default());
        assert_eq!(of(&[("x-amz-checksum-sha1", "x")]).unwrap().algorithm, Some(Algorithm::Sha1));
        assert_eq!(of(&[("x-amz-trailer", "x-amz-checksum-crc32")]).unwrap().algorithm, Some(Algorithm::Crc32));
        assert_eq!(of(&[("x-amz-checksum-mode", "ENABLED")]).unwrap().algorithm, None);
        let refused = |pairs: &[_]| of(pairs).unwrap_err().code().clone();
        assert_eq!(
            refused(&[("x-amz-checksum-sha1", "x"), ("x-amz-trailer", "x-amz-checksum-crc32")]),
            S3ErrorCode::InvalidRequest
        );
        assert_eq!(
            refused(&[("x-amz-checksum-sha1", "x"), ("x-amz-sdk-checksum-algorithm", "CRC32")]),
            S3ErrorCode::InvalidRequest
        );
        assert_eq!(refused(&[("x-amz-checksum-xxhash3", "x")]), S3ErrorCode::NotImplemented);
        assert_eq!(refused(&[("content-md5", "short")]), S3ErrorCode::InvalidDigest);
    }

    #[test]
    fn a_missing_trailer_is_refused_like_a_wrong_value() {
        let computed = super::super::Hashers::new([Algorithm::Crc32], false).finish();
        let announced = Declared::from_headers(&headers(&[("x-amz-trailer", "x-amz-checksum-crc32")])).unwrap();
        assert!(announced.verify(&computed, None).is_err());
        let right = Declared::from_headers(&headers(&[("x-amz-checksum-crc32", "AAAAAA==")])).unwrap();
        right.verify(&computed, None).unwrap();
        let wrong = Declared::from_headers(&headers(&[("x-amz-checksum-crc32", "AAAAAQ==")])).unwrap();
        assert_eq!(wrong.verify(&computed, None).unwrap_err().code(), &S3ErrorCode::BadDigest);
    }
}
