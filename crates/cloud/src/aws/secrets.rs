//! Secrets Manager.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use haulier_domain::secret::SecretString;

use super::error::failed;
use crate::error::{CloudError, ErrorKind, Outcome, Result};
use crate::secrets::Secrets;

/// Secrets Manager through the SDK.
#[derive(Debug)]
pub(super) struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

#[async_trait]
impl Secrets for SecretsManager {
    async fn secret(&self, arn: &str) -> Result<SecretString> {
        let answer = self.client.get_secret_value().secret_id(arn).send().await;
        let answer = answer.map_err(|error| failed("GetSecretValue", arn, error))?;
        answer.secret_string.map(SecretString::new).ok_or_else(|| CloudError {
            operation: "GetSecretValue",
            target: arn.to_owned(),
            kind: ErrorKind::Invalid,
            outcome: Outcome::Determinate,
            code: None,
            message: "the secret holds bytes, not text".to_owned(),
            source: None,
        })
    }
}
