//! The instance's proof of itself, by its profile's credentials and its metadata.

use async_trait::async_trait;
use haulier_cloud::aws::{instance_id, sign_caller_identity};

use crate::enrol::{SignedInstance, Signer, SignerError};

/// Signs with the credentials of the instance profile.
#[derive(Debug, Clone)]
pub struct InstanceSigner {
    region: String,
}

impl InstanceSigner {
    /// Signs for STS in this Region.
    pub fn new(region: impl Into<String>) -> Self {
        Self { region: region.into() }
    }
}

#[async_trait]
impl Signer for InstanceSigner {
    async fn sign(&self, csr_sha256: &str) -> Result<SignedInstance, SignerError> {
        let instance_id = instance_id().await.map_err(|error| SignerError(Box::new(error)))?;
        let call =
            sign_caller_identity(&self.region, csr_sha256).await.map_err(|error| SignerError(Box::new(error)))?;
        Ok(SignedInstance { call, instance_id })
    }
}
