//! Objects that are not sealed (`format`, wrapped keys): one line of JSON and one with its digest, so that a flipped bit
//! is told apart from a wrong passphrase or another repository.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ObjectKind, Result};

const DIGEST: &str = "blake3 ";

/// The object for a value.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<Bytes> {
    let mut body = serde_json::to_vec(value).map_err(|error| Error::Invalid(error.to_string()))?;
    let digest = blake3::hash(&body).to_hex();
    body.extend_from_slice(format!("\n{DIGEST}{digest}\n").as_bytes());
    Ok(Bytes::from(body))
}

/// The JSON line of an object, once its digest is right.
pub(crate) fn verified<'a>(kind: ObjectKind, object: &str, body: &'a [u8]) -> Result<&'a [u8]> {
    let damaged = |what: &str| Error::damaged(kind, object, what);
    let end = body.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it is cut off"))?;
    let (line, rest) = body.split_at(end);
    let expected = format!("\n{DIGEST}{}\n", blake3::hash(line).to_hex());
    if rest == expected.as_bytes() { Ok(line) } else { Err(damaged("it does not match its own digest")) }
}

/// Reads a value from a verified line.
pub(crate) fn parse<T: DeserializeOwned>(kind: ObjectKind, object: &str, line: &[u8]) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| Error::damaged(kind, object, error.to_string()))
}
