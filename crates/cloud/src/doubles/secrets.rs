//! Secrets Manager in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use haulier_domain::secret::SecretString;

use super::errors::{not_found, refused};
use crate::error::{ErrorKind, Result};
use crate::secrets::Secrets;

/// Secrets Manager in memory.
#[derive(Debug, Default)]
pub struct MemorySecrets {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    secrets: BTreeMap<String, SecretString>,
    denied: BTreeSet<String>,
}

impl MemorySecrets {
    /// No secrets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates or replaces a secret.
    pub fn put(&self, arn: impl Into<String>, text: impl Into<String>) {
        self.lock().secrets.insert(arn.into(), SecretString::new(text));
    }

    /// Refuses every later read of the secret.
    pub fn deny(&self, arn: impl Into<String>) {
        self.lock().denied.insert(arn.into());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Secrets for MemorySecrets {
    async fn secret(&self, arn: &str) -> Result<SecretString> {
        let state = self.lock();
        if state.denied.contains(arn) {
            let message = "no policy allows secretsmanager:GetSecretValue";
            return Err(refused("GetSecretValue", arn, ErrorKind::Denied, "AccessDeniedException", message));
        }
        state.secrets.get(arn).cloned().ok_or_else(|| not_found("GetSecretValue", arn, "ResourceNotFoundException"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::conformance;

    #[tokio::test]
    async fn conforms() {
        let secrets = MemorySecrets::new();
        secrets.put("arn:known", "hunter2");
        conformance::secrets(&secrets, "arn:known", "hunter2", "arn:unknown").await;
        secrets.deny("arn:known");
        assert_eq!(secrets.secret("arn:known").await.unwrap_err().kind, ErrorKind::Denied);
    }
}
