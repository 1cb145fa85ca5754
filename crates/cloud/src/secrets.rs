//! The port to Secrets Manager.

use async_trait::async_trait;
use haulier_domain::secret::SecretString;

use crate::error::Result;

/// Secrets Manager in one account and Region.
#[async_trait]
pub trait Secrets: Send + Sync + std::fmt::Debug {
    /// `GetSecretValue`, the `AWSCURRENT` version's `SecretString`.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, or `Invalid` where it is a binary secret.
    async fn secret(&self, arn: &str) -> Result<SecretString>;
}
