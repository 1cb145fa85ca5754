//! KMS.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use haulier_domain::native_backup::key::KeyFacts;
use haulier_domain::secret::SecretBytes;

use super::error::{failed, incomplete};
use crate::error::Result;
use crate::keys::Keys;

/// KMS through the SDK.
#[derive(Debug)]
pub(super) struct Kms {
    client: Client,
}

impl Kms {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

#[async_trait]
impl Keys for Kms {
    async fn wrap(&self, key_arn: &str, context: &BTreeMap<String, String>, plain: &SecretBytes) -> Result<Vec<u8>> {
        let answer = self
            .client
            .encrypt()
            .key_id(key_arn)
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .plaintext(Blob::new(plain.expose()))
            .send()
            .await
            .map_err(|error| failed("Encrypt", key_arn, error))?;
        let wrapped = answer.ciphertext_blob.ok_or_else(|| incomplete("Encrypt", key_arn, "ciphertext"))?;
        Ok(wrapped.into_inner())
    }

    async fn unwrap(&self, key_arn: &str, context: &BTreeMap<String, String>, wrapped: &[u8]) -> Result<SecretBytes> {
        let answer = self
            .client
            .decrypt()
            .key_id(key_arn)
            .set_encryption_context(Some(context.clone().into_iter().collect()))
            .ciphertext_blob(Blob::new(wrapped))
            .send()
            .await
            .map_err(|error| failed("Decrypt", key_arn, error))?;
        let plain = answer.plaintext.ok_or_else(|| incomplete("Decrypt", key_arn, "plaintext"))?;
        Ok(SecretBytes::new(plain.into_inner()))
    }

    async fn key(&self, key_arn: &str) -> Result<Option<KeyFacts>> {
        let answer = self.client.describe_key().key_id(key_arn).send().await;
        let key = match answer.map_err(|error| failed("DescribeKey", key_arn, error)) {
            Ok(answer) => answer.key_metadata.ok_or_else(|| incomplete("DescribeKey", key_arn, "the key"))?,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(KeyFacts {
            state: key.key_state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
            spec: key.key_spec.map(|spec| spec.as_str().to_owned()).unwrap_or_default(),
            manager: key.key_manager.map(|manager| manager.as_str().to_owned()).unwrap_or_default(),
        }))
    }
}
