//! The port to KMS: wrapping of small keys, and what a key is.

use std::collections::BTreeMap;

use async_trait::async_trait;
use haulier_domain::native_backup::key::KeyFacts;
use haulier_domain::secret::SecretBytes;

use crate::error::Result;

/// KMS in one account and Region.
#[async_trait]
pub trait Keys: Send + Sync + std::fmt::Debug {
    /// `Encrypt` of up to 4,096 bytes under the key with an encryption context that must be repeated to unwrap.
    async fn wrap(&self, key_arn: &str, context: &BTreeMap<String, String>, plain: &SecretBytes) -> Result<Vec<u8>>;
    /// `Decrypt` of what `wrap` gave, by the named key and no other.
    async fn unwrap(&self, key_arn: &str, context: &BTreeMap<String, String>, wrapped: &[u8]) -> Result<SecretBytes>;
    /// `DescribeKey`; `None` where there is no such key.
    async fn key(&self, key_arn: &str) -> Result<Option<KeyFacts>>;
}
