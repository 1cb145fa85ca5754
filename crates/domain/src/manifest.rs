//! What the manifests of all engines have in common: they are JSON documents with a version, stored as streams, and name
//! streams that the repository describes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Most bytes of a manifest: far beyond any instance, so that a damaged one cannot take all memory.
pub const MOST_BYTES: usize = 512 << 20;

/// A stream in the repository, as the repository describes it: opaque here, so that the manifest's meaning does not
/// depend on the repository's types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamReference(pub serde_json::Value);

/// A manifest that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not what a manifest is.
    #[error("{0}")]
    Malformed(String),
    /// It is of a version that this program does not know.
    #[error("it has version {found}, and this program reads {known}")]
    Version {
        /// What it has.
        found: u32,
        /// What this program reads.
        known: u32,
    },
}

/// Reads a manifest, if it is of the version that this program knows.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8], known: u32) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
    match serde_json::from_slice(json).map_err(malformed)? {
        Version { version } if version == known => serde_json::from_slice(json).map_err(malformed),
        Version { version } => Err(Unreadable::Version { found: version, known }),
    }
}
