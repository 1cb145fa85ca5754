//! The doubles of one account, behind a switchboard of faults.

use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::Result;
use haulier_cloud::buckets::Buckets;
use haulier_cloud::compute::Compute;
use haulier_cloud::databases::Databases;
use haulier_cloud::doubles::{
    Faults, Faulty, MemoryCloud, MemoryIdentity, MemoryKeys, MemoryObjectStore, MemoryRoles, MemorySecrets,
};
use haulier_cloud::identity::Identity;
use haulier_cloud::keys::Keys;
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::roles::Roles;
use haulier_cloud::secrets::Secrets;
use haulier_coordinator::accounts::CloudAccess;
use haulier_coordinator::sessions::{Account, Place};

use super::ACCOUNT;

/// One account and Region in memory.
#[derive(Debug)]
pub(crate) struct DoubleAccess {
    pub(crate) memory: MemoryCloud,
    pub(crate) faults: Faults,
    pub(crate) identity: Arc<MemoryIdentity>,
    pub(crate) bucket: Arc<MemoryObjectStore>,
    pub(crate) roles: Arc<MemoryRoles>,
    pub(crate) keys: Arc<MemoryKeys>,
    secrets: Arc<MemorySecrets>,
}

impl DoubleAccess {
    pub(crate) fn new() -> Self {
        Self {
            memory: MemoryCloud::new(),
            faults: Faults::new(),
            identity: Arc::new(MemoryIdentity::new(ACCOUNT)),
            bucket: Arc::new(MemoryObjectStore::new()),
            roles: Arc::new(MemoryRoles::new()),
            keys: Arc::new(MemoryKeys::new()),
            secrets: Arc::new(MemorySecrets::new()),
        }
    }
}

#[async_trait]
impl CloudAccess for DoubleAccess {
    async fn compute(&self, _place: &Place) -> Result<Arc<dyn Compute>> {
        Ok(Arc::new(Faulty::new(self.memory.compute(), self.faults.clone())))
    }

    async fn databases(&self, _place: &Place) -> Result<Arc<dyn Databases>> {
        Ok(Arc::new(Faulty::new(self.memory.databases(), self.faults.clone())))
    }

    async fn buckets(&self, place: &Place) -> Result<Arc<dyn Buckets>> {
        Ok(Arc::new(Faulty::new(self.memory.buckets(&place.region), self.faults.clone())))
    }

    async fn roles(&self, _account: &Account) -> Result<Arc<dyn Roles>> {
        Ok(Arc::new(Faulty::new(self.roles.clone(), self.faults.clone())))
    }

    async fn account_keys(&self, _place: &Place) -> Result<Arc<dyn Keys>> {
        Ok(Arc::new(Faulty::new(self.keys.clone(), self.faults.clone())))
    }

    async fn identity(&self, _account: &Account) -> Result<Arc<dyn Identity>> {
        Ok(Arc::new(Faulty::new(self.identity.clone(), self.faults.clone())))
    }

    async fn keys(&self, _region: &str) -> Result<Arc<dyn Keys>> {
        Ok(self.keys.clone())
    }

    async fn secrets(&self, _region: &str) -> Result<Arc<dyn Secrets>> {
        Ok(self.secrets.clone())
    }

    async fn bucket(&self, _bucket: &str, _region: &str) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(Faulty::new(self.bucket.clone(), self.faults.clone())))
    }
}
