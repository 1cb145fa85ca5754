//! The AWS adapters: the only place in Haulier that names an AWS SDK. One feature a service, so that a binary links
//! what it uses and no more.
//!
//! Every client gets the same settings: an explicit behaviour version, five attempts with back-off, and time limits on
//! connecting and on each attempt (the SDK has none of its own for reading).

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

mod credentials;
mod error;

#[cfg(feature = "s3")]
mod buckets;
#[cfg(feature = "ec2")]
mod compute;
#[cfg(feature = "rds")]
mod databases;
#[cfg(feature = "sts")]
mod identity;
#[cfg(feature = "sts")]
mod instance;
#[cfg(feature = "kms")]
mod keys;
#[cfg(feature = "s3")]
mod object_lock;
#[cfg(feature = "s3")]
mod object_store;
#[cfg(feature = "iam")]
mod roles;
#[cfg(feature = "secrets")]
mod secrets;
#[cfg(feature = "sts")]
mod sign;

pub use credentials::SharedCredentials;
#[cfg(feature = "sts")]
pub use instance::{MetadataError, instance_id};
#[cfg(feature = "s3")]
pub use object_store::S3ObjectStore;
#[cfg(feature = "sts")]
pub use sign::{SignError, rds_auth_token, sign_caller_identity};

/// The SDK's behaviour that Haulier was written against.
pub(crate) fn behavior_version() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// AWS as seen with one set of credentials. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AwsCloud {
    config: SdkConfig,
}

impl AwsCloud {
    /// Credentials and endpoint from the environment: variables, profile, instance profile.
    pub async fn from_environment(region: &str) -> Self {
        let config =
            settings(aws_config::defaults(behavior_version()).region(Region::new(region.to_owned()))).load().await;
        Self { config }
    }

    /// Credentials from a cell that can be refilled while clients live.
    pub async fn with_shared_credentials(credentials: SharedCredentials, region: &str) -> Self {
        let loader = aws_config::defaults(behavior_version())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(aws_config::identity::IdentityCache::no_cache());
        Self { config: settings(loader).load().await }
    }

    /// The same cloud as another principal: a role that is assumed now and again before its credentials end.
    pub async fn assuming(&self, role_arn: &str, session_name: &str, external_id: Option<&str>) -> Self {
        let mut provider =
            aws_config::sts::AssumeRoleProvider::builder(role_arn).session_name(session_name).configure(&self.config);
        if let Some(external_id) = external_id {
            provider = provider.external_id(external_id);
        }
        let provider = SharedCredentialsProvider::new(provider.build().await);
        Self { config: self.config.to_builder().credentials_provider(provider).build() }
    }

    /// EC2 in a Region.
    #[cfg(feature = "ec2")]
    pub fn compute(&self, region: &str) -> Arc<dyn crate::compute::Compute> {
        Arc::new(compute::Ec2::new(&self.in_region(region)))
    }

    /// RDS in a Region.
    #[cfg(feature = "rds")]
    pub fn databases(&self, region: &str) -> Arc<dyn crate::databases::Databases> {
        Arc::new(databases::Rds::new(&self.in_region(region)))
    }

    /// IAM, which has no Regions.
    #[cfg(feature = "iam")]
    pub fn roles(&self) -> Arc<dyn crate::roles::Roles> {
        Arc::new(roles::Iam::new(&self.config))
    }

    /// STS in the Region of these settings.
    #[cfg(feature = "sts")]
    pub fn identity(&self) -> Arc<dyn crate::identity::Identity> {
        Arc::new(identity::Sts::new(&self.config))
    }

    /// KMS in a Region.
    #[cfg(feature = "kms")]
    pub fn keys(&self, region: &str) -> Arc<dyn crate::keys::Keys> {
        Arc::new(keys::Kms::new(&self.in_region(region)))
    }

    /// Secrets Manager in a Region.
    #[cfg(feature = "secrets")]
    pub fn secrets(&self, region: &str) -> Arc<dyn crate::secrets::Secrets> {
        Arc::new(secrets::SecretsManager::new(&self.in_region(region)))
    }

    /// One S3 bucket.
    #[cfg(feature = "s3")]
    pub fn object_store(&self, bucket: &str, region: &str) -> Arc<dyn crate::object_store::ObjectStore> {
        Arc::new(S3ObjectStore::new(&self.in_region(region), bucket))
    }

    /// The buckets of an account in a Region.
    #[cfg(feature = "s3")]
    pub fn buckets(&self, account: &str, region: &str) -> Arc<dyn crate::buckets::Buckets> {
        Arc::new(buckets::S3Buckets::new(&self.in_region(region), region, account))
    }

    fn in_region(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }
}

impl From<SdkConfig> for AwsCloud {
    /// Settings that somebody else has made, retries and time limits included.
    fn from(config: SdkConfig) -> Self {
        Self { config }
    }
}

/// Retries and time limits of every client. Stalled-stream protection is off: it takes our own back-pressure for a dead
/// peer; the limit on a whole attempt stands in for it.
fn settings(loader: aws_config::ConfigLoader) -> aws_config::ConfigLoader {
    loader
        .retry_config(RetryConfig::standard().with_max_attempts(5).with_max_backoff(Duration::from_secs(20)))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .read_timeout(Duration::from_secs(60))
                .operation_attempt_timeout(Duration::from_secs(300))
                .build(),
        )
}
