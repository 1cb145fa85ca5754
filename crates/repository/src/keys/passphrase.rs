//! From a passphrase to a key: argon2id, expensive on purpose. Callers run it off the async threads.

use argon2::{Algorithm, Argon2, Params, Version};
use haulier_domain::secret::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::KEY_LENGTH;
use crate::error::{Error, Result};

/// More than this is not a cost but an attack on whoever opens the repository.
const MOST_MEMORY_KIB: u32 = 2 << 20;
const MOST_ITERATIONS: u32 = 64;

/// What argon2id is to cost. Stored with the key, so it may be raised for new keys at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassphraseCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for PassphraseCost {
    /// 64 MiB, three passes, four lanes: what RFC 9106 recommends where memory is scarce.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, iterations: 3, lanes: 4 }
    }
}

/// Derives the wrapping key.
pub(crate) fn derive(
    passphrase: &SecretString,
    cost: PassphraseCost,
    salt: &[u8],
) -> Result<Zeroizing<[u8; KEY_LENGTH]>> {
    let refuse = |what: String| Error::Invalid(format!("the passphrase cannot be stretched: {what}"));
    if cost.memory_kib > MOST_MEMORY_KIB || cost.iterations > MOST_ITERATIONS {
        return Err(refuse(format!("{cost:?} costs too much")));
    }
    let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(KEY_LENGTH))
        .map_err(|error| refuse(error.to_string()))?;
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, key.as_mut())
        .map_err(|error| refuse(error.to_string()))?;
    Ok(key)
}
