//! The accounts of AWS. Clients are made once per account and Region; assumed credentials renew themselves.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::Result;
use haulier_cloud::aws::AwsCloud;
use haulier_cloud::buckets::Buckets;
use haulier_cloud::compute::Compute;
use haulier_cloud::databases::Databases;
use haulier_cloud::identity::Identity;
use haulier_cloud::keys::Keys;
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::roles::Roles;
use haulier_cloud::secrets::Secrets;
use tokio::sync::Mutex;

use super::CloudAccess;
use crate::sessions::{Account, Place};

/// AWS with the coordinator's own credentials, and with the roles it may assume.
#[derive(Debug)]
pub struct AwsAccess {
    own: AwsCloud,
    assumed: Mutex<HashMap<Account, AwsCloud>>,
    compute: Mutex<HashMap<Place, Arc<dyn Compute>>>,
    databases: Mutex<HashMap<Place, Arc<dyn Databases>>>,
}

impl AwsAccess {
    /// With the credentials of the environment.
    pub async fn from_environment(region: &str) -> Self {
        Self {
            own: AwsCloud::from_environment(region).await,
            assumed: Mutex::default(),
            compute: Mutex::default(),
            databases: Mutex::default(),
        }
    }

    async fn as_account(&self, account: &Account) -> AwsCloud {
        let Some(role_arn) = &account.role_arn else { return self.own.clone() };
        let mut assumed = self.assumed.lock().await;
        if let Some(cloud) = assumed.get(account) {
            return cloud.clone();
        }
        let cloud = self.own.assuming(role_arn, "haulier-coordinator", account.external_id.as_deref()).await;
        assumed.insert(account.clone(), cloud.clone());
        cloud
    }
}

#[async_trait]
impl CloudAccess for AwsAccess {
    async fn compute(&self, place: &Place) -> Result<Arc<dyn Compute>> {
        let cloud = self.as_account(&place.account).await;
        let mut clients = self.compute.lock().await;
        Ok(clients.entry(place.clone()).or_insert_with(|| cloud.compute(&place.region)).clone())
    }

    async fn databases(&self, place: &Place) -> Result<Arc<dyn Databases>> {
        let cloud = self.as_account(&place.account).await;
        let mut clients = self.databases.lock().await;
        Ok(clients.entry(place.clone()).or_insert_with(|| cloud.databases(&place.region)).clone())
    }

    async fn buckets(&self, place: &Place) -> Result<Arc<dyn Buckets>> {
        Ok(self.as_account(&place.account).await.buckets(&place.account.id, &place.region))
    }

    async fn roles(&self, account: &Account) -> Result<Arc<dyn Roles>> {
        Ok(self.as_account(account).await.roles())
    }

    async fn account_keys(&self, place: &Place) -> Result<Arc<dyn Keys>> {
        Ok(self.as_account(&place.account).await.keys(&place.region))
    }

    async fn identity(&self, account: &Account) -> Result<Arc<dyn Identity>> {
        Ok(self.as_account(account).await.identity())
    }

    async fn keys(&self, region: &str) -> Result<Arc<dyn Keys>> {
        Ok(self.own.keys(region))
    }

    async fn secrets(&self, region: &str) -> Result<Arc<dyn Secrets>> {
        Ok(self.own.secrets(region))
    }

    async fn bucket(&self, bucket: &str, region: &str) -> Result<Arc<dyn ObjectStore>> {
        Ok(self.own.object_store(bucket, region))
    }
}
