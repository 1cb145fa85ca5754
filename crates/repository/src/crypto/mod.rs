//! Keys and seals. All of the repository's cryptography is named here: BLAKE3 (keyed hash, key derivation), AES-256-GCM,
//! argon2id for passphrases.

pub(crate) mod domain_keys;
pub(crate) mod seal;

use haulier_domain::secret::SecretBytes;

use crate::error::{Error, Result};

/// Length of every key.
pub(crate) const KEY_LENGTH: usize = 32;

/// Length of the tag that AES-256-GCM appends.
pub(crate) const TAG_LENGTH: usize = 16;

/// Fills an array from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::TaskStopped("no random numbers to be had".to_owned()))?;
    Ok(bytes)
}

/// The key of one domain: what a worker needs, and all it gets. Everything sealed in the domain hangs on it.
#[derive(Debug, Clone)]
pub struct DomainKey(SecretBytes);

impl DomainKey {
    /// Takes the 32 bytes that [`DomainKey::expose`] gave elsewhere.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are not 32.
    pub fn from_bytes(bytes: SecretBytes) -> Result<Self> {
        if bytes.expose().len() == KEY_LENGTH {
            Ok(Self(bytes))
        } else {
            Err(Error::Invalid(format!("a domain key has {KEY_LENGTH} bytes, not {}", bytes.expose().len())))
        }
    }

    pub(crate) fn generate() -> Result<Self> {
        Ok(Self(SecretBytes::new(random::<KEY_LENGTH>()?)))
    }

    /// The bytes, for the message that carries them to a worker.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}
