//! Checksums: what S3 verifies on upload, keeps, and returns.

mod declared;
mod hasher;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use declared::Declared;
pub use hasher::{Digests, Hashers};

/// An algorithm that S3 knows and we compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    #[serde(rename = "CRC32")]
    Crc32,
    /// CRC-32C (iSCSI).
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// CRC-64/NVME, S3's choice where the client makes none.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// SHA-1.
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
}

/// What a checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coverage {
    /// The object's bytes.
    FullObject,
    /// The checksums of its parts.
    Composite,
}

/// A checksum as S3 writes it: base64, with the number of parts behind it if it is composite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What it covers.
    pub coverage: Coverage,
    /// Its value.
    pub value: String,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// Name in S3's requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Name of the header, or trailer, that carries its value.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// What S3 lets the checksum of a multipart upload cover unless told otherwise.
    pub fn default_coverage(self) -> Coverage {
        if self == Self::Crc64Nvme { Coverage::FullObject } else { Coverage::Composite }
    }

    fn crc(self) -> Option<crc_fast::CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// Whether a checksum of the whole follows from those of the parts.
    pub fn combines(self) -> bool {
        self.crc().is_some()
    }

    fn encode_crc(self, value: u64) -> String {
        let bytes = value.to_be_bytes();
        STANDARD.encode(if self == Self::Crc64Nvme { &bytes[..] } else { &bytes[4..] })
    }
}

/// The checksum of an object from those of its parts (value in base64, length), or nothing where it cannot be had.
pub fn of_parts(algorithm: Algorithm, coverage: Coverage, parts: &[(&str, u64)]) -> Option<Checksum> {
    let value = match coverage {
        Coverage::FullObject => combined(algorithm, parts)?,
        Coverage::Composite => composite(algorithm, parts)?,
    };
    Some(Checksum { algorithm, coverage, value })
}

fn combined(algorithm: Algorithm, parts: &[(&str, u64)]) -> Option<String> {
    let crc = algorithm.crc()?;
    let mut whole: Option<u64> = None;
    for (value, length) in parts {
        let bytes = STANDARD.decode(value).ok()?;
        let part = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        whole = Some(match whole {
            None => part,
            Some(before) => crc_fast::checksum_combine(crc, before, part, *length),
        });
    }
    Some(algorithm.encode_crc(whole?))
}

fn composite(algorithm: Algorithm, parts: &[(&str, u64)]) -> Option<String> {
    let mut hashers = Hashers::new([algorithm], false);
    for (value, _) in parts {
        hashers.update(&STANDARD.decode(value).ok()?);
    }
    let digest = hashers.finish().checksums.remove(&algorithm)?;
    Some(format!("{digest}-{}", parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hashers = Hashers::new([algorithm], false);
        hashers.update(bytes);
        hashers.finish().checksums.remove(&algorithm).unwrap()
    }

    #[test]
    fn known_values() {
        // Published check values of "123456789", and the digests of RFC 3174 and FIPS 180 tools.
        let cases = [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ];
        for (algorithm, expected) in cases {
            let value = STANDARD.decode(digest(algorithm, b"123456789")).unwrap();
            assert_eq!(hex::encode(value), expected, "{algorithm:?}");
        }
    }

    #[test]
    fn a_crc_of_the_whole_follows_from_those_of_the_parts() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 + i / 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts: Vec<_> = bytes.chunks(30_001).map(|part| (digest(algorithm, part), part.len() as u64)).collect();
            let parts: Vec<_> = parts.iter().map(|(value, length)| (value.as_str(), *length)).collect();
            let whole = of_parts(algorithm, Coverage::FullObject, &parts).unwrap();
            assert_eq!(whole.value, digest(algorithm, &bytes), "{algorithm:?}");
        }
    }

    #[test]
    fn a_composite_names_the_number_of_parts_and_a_sha_has_no_other() {
        let (one, two) = (digest(Algorithm::Sha256, b"one"), digest(Algorithm::Sha256, b"two"));
        let parts = [(one.as_str(), 3), (two.as_str(), 3)];
        let joined = [STANDARD.decode(&one).unwrap(), STANDARD.decode(&two).unwrap()].concat();
        let whole = of_parts(Algorithm::Sha256, Coverage::Composite, &parts).unwrap();
        assert_eq!(whole.value, format!("{}-2", digest(Algorithm::Sha256, &joined)));
        assert_eq!(of_parts(Algorithm::Sha256, Coverage::FullObject, &parts), None);
    }
}
