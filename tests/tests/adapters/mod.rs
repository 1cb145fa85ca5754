//! The product's adapters to AWS, pointed at a local cloud.

#![allow(dead_code, reason = "each test uses its part")]

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use e2e::cloud::Cloud;
use haulier_cloud::aws::AwsCloud;

/// As the account's administrator: through a cell of credentials, since a test must not set variables.
pub(crate) fn of_administrator(cloud: &Cloud) -> AwsCloud {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let facts = cloud.facts();
    let root = Credentials::new(&facts.access_key_id, &facts.secret_access_key, None, None, "test");
    with(cloud, SharedCredentialsProvider::new(root))
}

/// S3 as the account's administrator, for what no port does.
pub(crate) fn s3_of_administrator(cloud: &Cloud) -> aws_sdk_s3::Client {
    let facts = cloud.facts();
    let root = Credentials::new(&facts.access_key_id, &facts.secret_access_key, None, None, "test");
    aws_sdk_s3::Client::new(&settings(cloud, SharedCredentialsProvider::new(root)))
}

/// With these credentials.
pub(crate) fn with(cloud: &Cloud, credentials: SharedCredentialsProvider) -> AwsCloud {
    settings(cloud, credentials).into()
}

fn settings(cloud: &Cloud, credentials: SharedCredentialsProvider) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(cloud.facts().region.clone()))
        .endpoint_url(&cloud.facts().endpoint)
        .credentials_provider(credentials)
        .build()
}
