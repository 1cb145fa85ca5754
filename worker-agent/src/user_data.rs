//! What an instance is told at its launch. The document lies in EC2's user-data, readable by whoever may describe the
//! instance: it holds no secret of value, only a token that is dead after its use.

use std::fmt;

use haulier_domain::id::{Epoch, SessionId, WorkerId};
use haulier_domain::secret::SecretString;
use jiff::Timestamp;
use serde::Deserialize;

/// The version this agent reads.
const VERSION: u32 = 1;

/// What an instance is told at its launch.
#[derive(Debug, Clone)]
pub struct UserData {
    /// Address of the coordinator: `https://10.0.0.1:7443`.
    pub coordinator: http::Uri,
    /// SHA-256 of the DER of the coordinator's CA certificate.
    pub ca_sha256: Digest,
    /// Who this worker is.
    pub worker_id: WorkerId,
    /// The session it serves.
    pub session_id: SessionId,
    /// The session's fencing number at the launch.
    pub epoch: Epoch,
    /// Single-use enrolment token.
    pub token: SecretString,
    /// Region the instance runs in.
    pub region: String,
    /// The machine is powered off then, whatever happens.
    pub deadline: Timestamp,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// User-data that this agent cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUserData {
    /// Not meant for this agent, or for another version of it.
    #[error("the document says haulier_worker = {0}, this agent reads {VERSION}")]
    Version(u32),
    /// Not such a document. The parser's own words are left out: they quote the text, which holds the token.
    #[error("not a worker's document: {0}")]
    Malformed(String),
    /// A field holds what it may not.
    #[error("field {field} {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Version {
    haulier_worker: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "haulier_worker")]
    _version: u32,
    coordinator: String,
    ca_sha256: String,
    worker_id: String,
    session_id: String,
    epoch: u64,
    token: String,
    region: String,
    deadline: String,
}

impl UserData {
    /// Reads the document.
    ///
    /// # Errors
    /// Where it is of another version, lacks a field or holds a wrong one.
    pub fn parse(text: &str) -> Result<Self, InvalidUserData> {
        let version: Version = toml::from_str(text).map_err(malformed)?;
        if version.haulier_worker != VERSION {
            return Err(InvalidUserData::Version(version.haulier_worker));
        }
        let document: Document = toml::from_str(text).map_err(malformed)?;
        if document.token.is_empty() {
            return Err(InvalidUserData::Field { field: "token", problem: "is empty".to_owned() });
        }
        Ok(Self {
            coordinator: address(&document.coordinator)?,
            ca_sha256: digest(&document.ca_sha256)?,
            worker_id: field("worker_id", document.worker_id.parse())?,
            session_id: field("session_id", document.session_id.parse())?,
            epoch: Epoch(document.epoch),
            token: SecretString::new(document.token),
            region: document.region,
            deadline: field("deadline", document.deadline.parse())?,
        })
    }
}

fn malformed(error: toml::de::Error) -> InvalidUserData {
    InvalidUserData::Malformed(error.message().to_owned())
}

fn field<T, E: fmt::Display>(field: &'static str, parsed: Result<T, E>) -> Result<T, InvalidUserData> {
    parsed.map_err(|error| InvalidUserData::Field { field, problem: format!("is wrong: {error}") })
}

fn address(text: &str) -> Result<http::Uri, InvalidUserData> {
    let uri: http::Uri = field("coordinator", text.parse())?;
    if uri.scheme_str() == Some("https") && uri.host().is_some() {
        return Ok(uri);
    }
    Err(InvalidUserData::Field { field: "coordinator", problem: "is not an https address".to_owned() })
}

fn digest(text: &str) -> Result<Digest, InvalidUserData> {
    let mut bytes = [0; 32];
    field("ca_sha256", hex::decode_to_slice(text, &mut bytes))?;
    Ok(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> String {
        format!(
            r#"
            haulier_worker = 1
            coordinator = "https://10.0.0.1:7443"
            ca_sha256 = "{}"
            worker_id = "wrk-1"
            session_id = "ses-1"
            epoch = 3
            token = "hunter2"
            region = "eu-central-1"
            deadline = "2026-11-21T03:00:00Z"
            "#,
            "ab".repeat(32)
        )
    }

    #[test]
    fn a_document_is_read_and_printed_without_its_token() {
        let data = UserData::parse(&document()).unwrap();
        assert_eq!(data.epoch, Epoch(3));
        assert_eq!(data.ca_sha256, Digest([0xab; 32]));
        assert_eq!(data.token.expose(), "hunter2");
        assert!(!format!("{data:?}").contains("hunter2"));
    }

    #[test]
    fn what_it_cannot_serve_is_refused_without_quoting_the_token() {
        let cases = [
            ("haulier_worker = 1", "haulier_worker = 2", "haulier_worker = 2"),
            ("haulier_worker = 1", "#!/bin/sh", "not a worker's document"),
            ("epoch = 3", "epoch = 3\nsurprise = true", "surprise"),
            ("epoch = 3", "", "epoch"),
            ("https://", "http://", "https"),
            ("wrk-1", "ses-1", "worker"),
            ("abab", "zz", "ca_sha256"),
            ("2026-11-21T03:00:00Z", "tomorrow", "deadline"),
            ("\"hunter2\"", "\"\"", "token"),
            ("\"hunter2\"", "hunter2", "not a worker's document"),
        ];
        for (from, to, expected) in cases {
            let error = UserData::parse(&document().replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
            assert!(!error.contains("hunter2"), "{to}: {error}");
        }
    }
}
