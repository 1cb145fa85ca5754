//! A bucket of the local cloud, through the S3 SDK.

#![allow(dead_code, reason = "each test uses its part")]

use anyhow::{Context, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use e2e::cloud::Facts;
use tokio::runtime::Runtime;

/// One bucket, seen with one set of credentials.
pub(crate) struct Bucket {
    runtime: Runtime,
    client: Client,
    name: String,
}

impl Bucket {
    /// As the account's administrator sees it.
    pub(crate) fn open(facts: &Facts, name: &str) -> Result<Self> {
        Self::open_with(
            facts,
            name,
            Credentials::new(&facts.access_key_id, &facts.secret_access_key, None, None, "test"),
        )
    }

    /// As the holder of these credentials sees it.
    pub(crate) fn open_with(facts: &Facts, name: &str, credentials: Credentials) -> Result<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let configuration = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(facts.region.clone()))
            .endpoint_url(&facts.endpoint)
            .credentials_provider(credentials)
            .build();
        Ok(Self { runtime: Runtime::new()?, client: Client::from_conf(configuration), name: name.to_owned() })
    }

    /// Every key that starts so.
    pub(crate) fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.client.list_objects_v2().bucket(&self.name).prefix(prefix).send();
        let listed = self.runtime.block_on(listed).map_err(explained).context("listing")?;
        Ok(listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    /// An object's content.
    pub(crate) fn get(&self, key: &str) -> Result<Vec<u8>> {
        self.runtime.block_on(async {
            let object = self.client.get_object().bucket(&self.name).key(key).send().await;
            let object = object.map_err(explained).with_context(|| format!("reading {key}"))?;
            Ok(object.body.collect().await?.to_vec())
        })
    }

    /// Writes an object over whatever is there.
    pub(crate) fn put(&self, key: &str, content: Vec<u8>) -> Result<()> {
        let put = self.client.put_object().bucket(&self.name).key(key).body(content.into()).send();
        self.runtime.block_on(put).map_err(explained).with_context(|| format!("writing {key}")).map(drop)
    }

    /// Writes an object where there is none.
    pub(crate) fn put_new(&self, key: &str, content: Vec<u8>) -> Result<()> {
        let put = self.client.put_object().bucket(&self.name).key(key).if_none_match("*").body(content.into()).send();
        self.runtime.block_on(put).map_err(explained).with_context(|| format!("writing {key} anew")).map(drop)
    }

    /// Removes an object.
    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.name).key(key).send();
        self.runtime.block_on(delete).map_err(explained).with_context(|| format!("removing {key}")).map(drop)
    }
}

/// The service's own code, which the SDK's error does not print.
fn explained<E, R>(error: SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or("no code").to_owned();
    anyhow::Error::from(error).context(code)
}
