//! What a worker touches with the session's credentials: objects, secrets, database tokens, instances of SQL Server.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::aws::{AwsCloud, SharedCredentials, rds_auth_token};
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::secrets::Secrets;
use haulier_domain::failure::Failure;
use haulier_domain::secret::SecretString;

use crate::cause::chain;
use crate::mover::Instance;
use crate::mover::login::LoginProvider;
use crate::sqlserver::{self, tds::TdsServer};

/// What of the cloud a worker touches.
#[async_trait]
pub trait Ports: Send + Sync + std::fmt::Debug {
    /// A bucket.
    async fn object_store(&self, credentials: &SharedCredentials, bucket: &str, region: &str) -> Arc<dyn ObjectStore>;
    /// Secrets Manager in a Region.
    async fn secrets(&self, credentials: &SharedCredentials, region: &str) -> Arc<dyn Secrets>;
    /// An instance of SQL Server; `key` names the work on the instance.
    async fn sql_server(
        &self,
        instance: &Instance,
        login: Arc<dyn LoginProvider>,
        ca_bundle: &Path,
        key: &str,
    ) -> Result<Arc<dyn sqlserver::Server>, Failure> {
        Ok(Arc::new(TdsServer::new(instance.clone(), login, ca_bundle, key)?))
    }
    /// How long work with SQL Server waits for what.
    fn pace(&self) -> sqlserver::Pace {
        sqlserver::Pace::default()
    }
    /// A token for IAM database authentication.
    async fn database_token(
        &self,
        credentials: &SharedCredentials,
        host: &str,
        port: u16,
        user: &str,
        region: &str,
    ) -> Result<SecretString, Failure>;
}

/// AWS itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct AwsPorts;

#[async_trait]
impl Ports for AwsPorts {
    async fn object_store(&self, credentials: &SharedCredentials, bucket: &str, region: &str) -> Arc<dyn ObjectStore> {
        AwsCloud::with_shared_credentials(credentials.clone(), region).await.object_store(bucket, region)
    }

    async fn secrets(&self, credentials: &SharedCredentials, region: &str) -> Arc<dyn Secrets> {
        AwsCloud::with_shared_credentials(credentials.clone(), region).await.secrets(region)
    }

    async fn database_token(
        &self,
        credentials: &SharedCredentials,
        host: &str,
        port: u16,
        user: &str,
        region: &str,
    ) -> Result<SecretString, Failure> {
        rds_auth_token(credentials, host, port, user, region).await.map_err(|error| {
            let what = format!("signing a database token for {user} at {host}");
            Failure::new("db-token-unsignable", what, chain(&error), "run the session again").retryable()
        })
    }
}
