//! How the coordinator gets into accounts: as itself, or by a role with an external id.

mod aws;

use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::Result;
use haulier_cloud::buckets::Buckets;
use haulier_cloud::compute::Compute;
use haulier_cloud::databases::Databases;
use haulier_cloud::identity::Identity;
use haulier_cloud::keys::Keys;
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::roles::Roles;
use haulier_cloud::secrets::Secrets;

pub use aws::AwsAccess;

use crate::sessions::{Account, Place};

/// The ports to the cloud, by account and Region.
#[async_trait]
pub trait CloudAccess: Send + Sync + std::fmt::Debug {
    /// EC2 of an account and Region.
    async fn compute(&self, place: &Place) -> Result<Arc<dyn Compute>>;
    /// RDS of an account and Region.
    async fn databases(&self, place: &Place) -> Result<Arc<dyn Databases>>;
    /// S3's buckets of an account and Region, as the coordinator in the account.
    async fn buckets(&self, place: &Place) -> Result<Arc<dyn Buckets>>;
    /// IAM of an account.
    async fn roles(&self, account: &Account) -> Result<Arc<dyn Roles>>;
    /// KMS of an account and Region, as the coordinator in the account.
    async fn account_keys(&self, place: &Place) -> Result<Arc<dyn Keys>>;
    /// STS as the coordinator in an account.
    async fn identity(&self, account: &Account) -> Result<Arc<dyn Identity>>;
    /// KMS of a Region, as the coordinator itself.
    async fn keys(&self, region: &str) -> Result<Arc<dyn Keys>>;
    /// Secrets Manager of a Region, as the coordinator itself.
    async fn secrets(&self, region: &str) -> Result<Arc<dyn Secrets>>;
    /// A bucket, as the coordinator itself.
    async fn bucket(&self, bucket: &str, region: &str) -> Result<Arc<dyn ObjectStore>>;
}
