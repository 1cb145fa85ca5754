//! Verification of Signature Version 4, for every service but S3.
//!
//! The canonical request is rebuilt from what arrived, with the headers that the caller signed (whatever they are: a
//! worker signs one of its own into its identity), and compared with the caller's signature. Keys and HMAC come from
//! the crate that the SDKs sign with.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::wire::{Params, encode, percent_decode};

/// How far a clock may be off, and how old a signature may get.
const TOLERANCE_SECONDS: i64 = 15 * 60;

/// What a request says of its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Key it is signed with.
    pub(crate) access_key_id: String,
    /// Region of the scope.
    pub(crate) region: String,
    /// Service of the scope, which is what routes the request.
    pub(crate) service: String,
    /// Session token, if the request carries one.
    pub(crate) session_token: Option<String>,
    date: String,
    time: String,
    signed_headers: Vec<String>,
    signature: String,
    presigned_for: Option<i64>,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Nothing that reads as a signature.
    #[error("the request is not signed")]
    Missing,
    /// Outside the time window.
    #[error("the signature has expired or lies in the future")]
    Expired,
    /// Another key, or something was changed on the way.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl Signature {
    /// Finds the signature in the headers or, presigned, in the query.
    pub(crate) fn find(parts: &Parts) -> Option<Self> {
        match header(parts, "authorization") {
            Some(authorization) => Self::from_header(parts, authorization),
            None => Self::from_query(&Params::parse(parts.uri.query()?)),
        }
    }

    fn from_header(parts: &Parts, authorization: &str) -> Option<Self> {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
        let field =
            |name: &str| fields.split(',').map(str::trim).find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let session_token = header(parts, "x-amz-security-token").map(str::to_owned);
        let time = header(parts, "x-amz-date")?.to_owned();
        Self::build(field("Credential")?, field("SignedHeaders")?, field("Signature")?, time, session_token, None)
    }

    fn from_query(query: &Params) -> Option<Self> {
        let expires = query.get("X-Amz-Expires").and_then(|seconds| seconds.parse().ok()).unwrap_or(TOLERANCE_SECONDS);
        Self::build(
            query.get("X-Amz-Credential")?,
            query.get("X-Amz-SignedHeaders")?,
            query.get("X-Amz-Signature")?,
            query.get("X-Amz-Date")?.to_owned(),
            query.get("X-Amz-Security-Token").map(str::to_owned),
            Some(expires),
        )
    }

    fn build(
        credential: &str,
        signed_headers: &str,
        signature: &str,
        time: String,
        session_token: Option<String>,
        presigned_for: Option<i64>,
    ) -> Option<Self> {
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else { return None };
        Some(Self {
            access_key_id: (*access_key_id).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            session_token,
            date: (*date).to_owned(),
            time,
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
            presigned_for,
        })
    }

    /// Checks the signature over a request and its body.
    pub(crate) fn verify(&self, parts: &Parts, body: &[u8], secret: &str, now: Timestamp) -> Result<(), Fault> {
        let signed_at = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| Fault::Missing)?
            .timestamp();
        let age = now.as_second() - signed_at.as_second();
        if age > self.presigned_for.unwrap_or(TOLERANCE_SECONDS) || age < -TOLERANCE_SECONDS {
            return Err(Fault::Expired);
        }
        // Without `host` a signature could be used against any endpoint.
        if !self.time.starts_with(&self.date) || !self.signed_headers.iter().any(|name| name == "host") {
            return Err(Fault::Mismatch);
        }
        let canonical = self.canonical_request(parts, body);
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.time, hex::encode(Sha256::digest(canonical.as_bytes())));
        let key = generate_signing_key(secret, signed_at.into(), &self.region, &self.service);
        let expected = calculate_signature(key, to_sign.as_bytes());
        if expected == self.signature { Ok(()) } else { Err(Fault::Mismatch) }
    }

    fn canonical_request(&self, parts: &Parts, body: &[u8]) -> String {
        let path = parts.uri.path().split('/').map(encode).collect::<Vec<_>>().join("/");
        let headers: String = self
            .signed_headers
            .iter()
            .map(|name| {
                let values: Vec<&str> =
                    parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::trim).collect();
                format!("{name}:{}\n", collapse_spaces(&values.join(",")))
            })
            .collect();
        let payload = hex::encode(Sha256::digest(body));
        format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
            parts.method,
            canonical_query(parts.uri.query().unwrap_or_default()),
            self.signed_headers.join(";")
        )
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&percent_decode(name)), encode(&percent_decode(value))))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn collapse_spaces(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
