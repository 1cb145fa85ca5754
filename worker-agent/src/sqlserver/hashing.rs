//! SHA-256 of what passes by, off the threads that wait for the network.

use bytes::Bytes;
use haulier_domain::failure::Failure;
use sha2::{Digest, Sha256};

use super::failures;

/// A hash in the making.
#[derive(Debug, Default)]
pub(super) struct Hashing(Sha256);

impl Hashing {
    /// Takes the next bytes in, piece by piece.
    pub(super) async fn update(self, pieces: Vec<Bytes>) -> Result<Self, Failure> {
        let Self(mut hash) = self;
        let hashed = tokio::task::spawn_blocking(move || {
            for piece in pieces {
                hash.update(&piece);
            }
            Self(hash)
        });
        hashed.await.map_err(failures::task)
    }

    /// The hash, in hex.
    pub(super) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}
