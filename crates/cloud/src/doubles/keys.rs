//! KMS in memory: what it wraps is kept here, and the wrapped form is only its number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use haulier_domain::native_backup::key::KeyFacts;
use haulier_domain::secret::SecretBytes;

use super::errors::refused;
use crate::error::{ErrorKind, Result};
use crate::keys::Keys;

/// `Encrypt` takes no more.
const MAX_PLAIN: usize = 4_096;

/// KMS in memory. Keys exist from the moment somebody names them, but for one whose id is all zeros and dashes.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    wrapped: Mutex<Vec<Wrapped>>,
    lost: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
struct Wrapped {
    key_arn: String,
    context: BTreeMap<String, String>,
    plain: SecretBytes,
}

impl MemoryKeys {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a key do nothing more, as one that is to be deleted.
    pub fn lose(&self, key_arn: &str) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(key_arn.to_owned());
    }

    fn check(&self, operation: &'static str, key_arn: &str) -> Result<()> {
        if self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(key_arn) {
            let message = format!("{key_arn} is pending deletion.");
            return Err(refused(operation, key_arn, ErrorKind::Invalid, "KMSInvalidStateException", &message));
        }
        Ok(())
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn wrap(&self, key_arn: &str, context: &BTreeMap<String, String>, plain: &SecretBytes) -> Result<Vec<u8>> {
        if plain.expose().is_empty() || plain.expose().len() > MAX_PLAIN {
            let message = "the plain text must have 1 to 4096 bytes";
            return Err(refused("Encrypt", key_arn, ErrorKind::Invalid, "ValidationException", message));
        }
        self.check("Encrypt", key_arn)?;
        let mut wrapped = self.wrapped.lock().unwrap_or_else(PoisonError::into_inner);
        wrapped.push(Wrapped { key_arn: key_arn.to_owned(), context: context.clone(), plain: plain.clone() });
        Ok(format!("wrapped-{}", wrapped.len() - 1).into_bytes())
    }

    async fn unwrap(&self, key_arn: &str, context: &BTreeMap<String, String>, wrapped: &[u8]) -> Result<SecretBytes> {
        self.check("Decrypt", key_arn)?;
        let number = std::str::from_utf8(wrapped)
            .ok()
            .and_then(|text| text.strip_prefix("wrapped-"))
            .and_then(|number| number.parse::<usize>().ok());
        let kept = self.wrapped.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = number.and_then(|number| kept.get(number)).filter(|entry| entry.context == *context) else {
            let message = "the ciphertext or its context is not what was encrypted";
            return Err(refused("Decrypt", key_arn, ErrorKind::Invalid, "InvalidCiphertextException", message));
        };
        if entry.key_arn != key_arn {
            let message = "another key encrypted it";
            return Err(refused("Decrypt", key_arn, ErrorKind::Invalid, "IncorrectKeyException", message));
        }
        Ok(entry.plain.clone())
    }

    async fn key(&self, key_arn: &str) -> Result<Option<KeyFacts>> {
        let id = key_arn.rsplit('/').next().unwrap_or_default();
        if id.bytes().all(|byte| matches!(byte, b'0' | b'-')) {
            return Ok(None);
        }
        let state = if self.check("DescribeKey", key_arn).is_ok() { "Enabled" } else { "PendingDeletion" };
        Ok(Some(KeyFacts {
            state: state.to_owned(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            manager: "CUSTOMER".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::conformance;

    #[tokio::test]
    async fn conforms() {
        let keys = MemoryKeys::new();
        conformance::keys(
            &keys,
            "arn:aws:kms:eu-central-1:111122223333:key/1",
            "arn:aws:kms:eu-central-1:111122223333:key/2",
        )
        .await;
    }
}
