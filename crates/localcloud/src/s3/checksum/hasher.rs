//! Several digests over one pass of bytes. Blocking work: never on a thread that serves connections.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

use super::Algorithm;

enum Hasher {
    Crc(Algorithm, crc_fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

/// Digests under way.
pub struct Hashers {
    hashers: Vec<Hasher>,
    md5: Option<md5::Md5>,
}

/// Finished digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// In base64.
    pub checksums: BTreeMap<Algorithm, String>,
    /// MD5, if it was asked for.
    pub md5: Option<[u8; 16]>,
}

impl Hashers {
    /// One for each algorithm, and MD5 if asked for.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>, md5: bool) -> Self {
        let hashers = algorithms.into_iter().map(Hasher::new).collect();
        Self { hashers, md5: md5.then(md5::Md5::new) }
    }

    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for hasher in &mut self.hashers {
            match hasher {
                Hasher::Crc(_, digest) => digest.update(bytes),
                Hasher::Sha1(digest) => digest.update(bytes),
                Hasher::Sha256(digest) => digest.update(bytes),
            }
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The results.
    pub fn finish(self) -> Digests {
        let checksums = self.hashers.into_iter().map(|hasher| match hasher {
            Hasher::Crc(algorithm, digest) => (algorithm, algorithm.encode_crc(digest.finalize())),
            Hasher::Sha1(digest) => (Algorithm::Sha1, STANDARD.encode(digest.finalize())),
            Hasher::Sha256(digest) => (Algorithm::Sha256, STANDARD.encode(digest.finalize())),
        });
        Digests { checksums: checksums.collect(), md5: self.md5.map(|md5| md5.finalize().into()) }
    }
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => Self::Crc(algorithm, crc_fast::Digest::new(crc)),
            (Algorithm::Sha1, None) => Self::Sha1(sha1::Sha1::new()),
            (_, None) => Self::Sha256(sha2::Sha256::new()),
        }
    }
}
