//! A bucket of the local cloud, through the S3 SDK.

#![allow(dead_code, reason = "each test uses its part")]

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier, ObjectLockRetention, ObjectLockRetentionMode,
};
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

    /// The lock of an object: its mode, and its end in seconds.
    pub(crate) fn lock(&self, key: &str) -> Result<Option<(String, i64)>> {
        let asked = self.client.get_object_retention().bucket(&self.name).key(key).send();
        match self.runtime.block_on(asked) {
            Ok(answer) => {
                let retention = answer.retention().context("a retention")?;
                let mode = retention.mode().context("a mode")?.as_str().to_owned();
                Ok(Some((mode, retention.retain_until_date().context("a date")?.secs())))
            }
            Err(error) if error.code() == Some("NoSuchObjectLockConfiguration") => Ok(None),
            Err(error) => Err(explained(error)).with_context(|| format!("looking at the lock of {key}")),
        }
    }

    /// Locks an object until then, or as far as governance is bypassed for less long than it was.
    pub(crate) fn set_lock(&self, key: &str, mode: &str, until: i64, bypass: bool) -> Result<()> {
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::from(mode))
            .retain_until_date(DateTime::from_secs(until))
            .build();
        let set = self.client.put_object_retention().bucket(&self.name).key(key).retention(retention);
        let set = set.set_bypass_governance_retention(bypass.then_some(true)).send();
        self.runtime.block_on(set).map_err(explained).with_context(|| format!("locking {key}")).map(drop)
    }

    /// Takes the lock of an object away, bypassing governance.
    pub(crate) fn lift_lock(&self, key: &str) -> Result<()> {
        let none = ObjectLockRetention::builder().build();
        let set = self.client.put_object_retention().bucket(&self.name).key(key).retention(none);
        let set = set.bypass_governance_retention(true).send();
        self.runtime.block_on(set).map_err(explained).with_context(|| format!("unlocking {key}")).map(drop)
    }

    /// The keys of uploads that are neither complete nor given up.
    pub(crate) fn uploads(&self) -> Result<Vec<String>> {
        let listed = self.client.list_multipart_uploads().bucket(&self.name).send();
        let listed = self.runtime.block_on(listed).map_err(explained).context("listing uploads")?;
        Ok(listed.uploads().iter().filter_map(|upload| upload.key().map(str::to_owned)).collect())
    }

    /// Every version of an object, delete markers aside.
    pub(crate) fn versions(&self, key: &str) -> Result<Vec<String>> {
        let listed = self.client.list_object_versions().bucket(&self.name).prefix(key).send();
        let listed = self.runtime.block_on(listed).map_err(explained).context("listing versions")?;
        Ok(listed.versions().iter().filter_map(|version| version.version_id().map(str::to_owned)).collect())
    }

    /// Removes one version of an object.
    pub(crate) fn delete_version(&self, key: &str, version: &str) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.name).key(key).version_id(version).send();
        self.runtime.block_on(delete).map_err(explained).with_context(|| format!("destroying {key}")).map(drop)
    }

    /// Removes an object.
    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.name).key(key).send();
        self.runtime.block_on(delete).map_err(explained).with_context(|| format!("removing {key}")).map(drop)
    }

    /// Removes objects by one call. S3 answers for each: the first that it kept is the error.
    pub(crate) fn delete_together(&self, keys: &[&str]) -> Result<()> {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(*key).build());
        let wanted = Delete::builder().set_objects(Some(objects.collect::<Result<_, _>>()?)).build()?;
        let answer = self.client.delete_objects().bucket(&self.name).delete(wanted).send();
        let answer = self.runtime.block_on(answer).map_err(explained).context("removing together")?;
        match answer.errors().first() {
            Some(kept) => bail!("{}: kept {}", kept.code().unwrap_or("no code"), kept.key().unwrap_or("no key")),
            None => Ok(()),
        }
    }

    /// Copies an object to where there is none.
    pub(crate) fn copy_new(&self, from: &str, to: &str) -> Result<()> {
        let source = format!("{}/{from}", self.name);
        let copy = self.client.copy_object().bucket(&self.name).copy_source(source).key(to).if_none_match("*").send();
        self.runtime.block_on(copy).map_err(explained).with_context(|| format!("copying {from} to {to}")).map(drop)
    }

    /// Copies an object over whatever is there.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<()> {
        let copy = self.client.copy_object().bucket(&self.name).copy_source(format!("{}/{from}", self.name)).key(to);
        let copied = self.runtime.block_on(copy.send()).map_err(explained);
        copied.with_context(|| format!("copying {from} over {to}")).map(drop)
    }

    /// Begins an upload in parts, and gives its id.
    pub(crate) fn begin_upload(&self, key: &str) -> Result<String> {
        let begun = self.client.create_multipart_upload().bucket(&self.name).key(key).send();
        let begun = self.runtime.block_on(begun).map_err(explained).with_context(|| format!("beginning {key}"))?;
        begun.upload_id().map(str::to_owned).context("an upload has an id")
    }

    /// Uploads the one part of an upload.
    pub(crate) fn upload_part(&self, key: &str, upload: &str, content: Vec<u8>) -> Result<CompletedPart> {
        let part = self.client.upload_part().bucket(&self.name).key(key).upload_id(upload).part_number(1);
        let sent = self.runtime.block_on(part.body(content.into()).send()).map_err(explained);
        let sent = sent.with_context(|| format!("a part of {key}"))?;
        Ok(CompletedPart::builder().part_number(1).set_e_tag(sent.e_tag().map(str::to_owned)).build())
    }

    /// Completes an upload over whatever is there.
    pub(crate) fn complete_upload(&self, key: &str, upload: &str, part: CompletedPart) -> Result<()> {
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.name).key(key).upload_id(upload);
        let completed = self.runtime.block_on(complete.multipart_upload(parts).send()).map_err(explained);
        completed.with_context(|| format!("completing {key}")).map(drop)
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
