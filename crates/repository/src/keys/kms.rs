//! A KMS key as what wraps the master key.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::keys::Keys;
use haulier_domain::id::RepositoryId;
use haulier_domain::secret::SecretBytes;

use super::KeyWrapper;

/// A KMS key. The repository's id is bound into what it wraps.
#[derive(Debug)]
pub struct KmsKey {
    arn: String,
    kms: Arc<dyn Keys>,
}

impl KmsKey {
    /// The key of this ARN, through KMS in the Region that the ARN names.
    pub fn new(arn: impl Into<String>, kms: Arc<dyn Keys>) -> Self {
        Self { arn: arn.into(), kms }
    }
}

fn context(repository: &RepositoryId) -> BTreeMap<String, String> {
    BTreeMap::from([("haulier:repository".to_owned(), repository.to_string())])
}

#[async_trait]
impl KeyWrapper for KmsKey {
    fn name(&self) -> String {
        self.arn.clone()
    }

    async fn wrap(&self, repository: &RepositoryId, master: &SecretBytes) -> haulier_cloud::Result<Vec<u8>> {
        self.kms.wrap(&self.arn, &context(repository), master).await
    }

    async fn unwrap(&self, repository: &RepositoryId, wrapped: &[u8]) -> haulier_cloud::Result<SecretBytes> {
        self.kms.unwrap(&self.arn, &context(repository), wrapped).await
    }
}
