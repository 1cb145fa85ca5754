//! Object Lock of S3, for [`super::object_store`].

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ObjectLockRule,
};
use jiff::Timestamp;

use super::error::{failed, incomplete};
use crate::error::{CloudError, ErrorKind, Result};
use crate::object_lock::{BucketLock, Destruction, Hidden, Retention, RetentionMode};

/// One object of a bucket.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) client: &'a Client,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

/// Versions and delete markers of one key.
#[derive(Default)]
struct Versions {
    objects: Vec<String>,
    markers: Vec<String>,
}

impl Place<'_> {
    fn target(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Asks for the longer period at once: that is one call where most are.
    pub(super) async fn retain(&self, wanted: &Retention) -> Result<()> {
        let denied = match self.put_retention(wanted).await {
            Err(error) if error.kind == ErrorKind::Denied => error,
            result => return result,
        };
        // Refused is also what would make a period shorter or less strict.
        match self.retention().await? {
            Some(present) if present.covers(wanted) => Ok(()),
            Some(present) if present.mode > wanted.mode => {
                self.put_retention(&Retention { mode: present.mode, ..*wanted }).await
            }
            _ => Err(denied),
        }
    }

    async fn put_retention(&self, retention: &Retention) -> Result<()> {
        let asked = ObjectLockRetention::builder()
            .mode(match retention.mode {
                RetentionMode::Governance => ObjectLockRetentionMode::Governance,
                RetentionMode::Compliance => ObjectLockRetentionMode::Compliance,
            })
            .retain_until_date(whole_seconds(retention.until))
            .build();
        let call = self.client.put_object_retention().bucket(self.bucket).key(self.key).retention(asked);
        call.send().await.map(drop).map_err(|error| failed("PutObjectRetention", self.target(), error))
    }

    pub(super) async fn retention(&self) -> Result<Option<Retention>> {
        let answer = self.client.get_object_retention().bucket(self.bucket).key(self.key).send().await;
        let retention = match answer.map_err(|error| failed("GetObjectRetention", self.target(), error)) {
            Ok(answer) => answer.retention,
            Err(error) if says_no_lock(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(retention) = retention else { return Ok(None) };
        let mode = retention.mode().and_then(|mode| mode_of(mode.as_str()));
        let until = retention.retain_until_date().and_then(timestamp);
        match (mode, until) {
            (Some(mode), Some(until)) => Ok(Some(Retention { mode, until })),
            (None, None) => Ok(None),
            _ => Err(incomplete("GetObjectRetention", self.target(), "mode or date")),
        }
    }

    /// Versions first: a delete marker that went before them would bring back into sight what cannot be destroyed.
    pub(super) async fn destroy(&self) -> Result<Destruction> {
        let versions = self.versions().await?;
        let mut end = Destruction::Done;
        for version in &versions.objects {
            match self.delete_version(version).await {
                Ok(()) => {}
                Err(error) if self.is_protected(&error, version).await? => end = Destruction::Protected,
                Err(error) => return Err(error),
            }
        }
        if end == Destruction::Done {
            for marker in &versions.markers {
                self.delete_version(marker).await?;
            }
        }
        Ok(end)
    }

    /// Nothing but a delete marker hides an object whose versions are there.
    pub(super) async fn reveal(&self) -> Result<bool> {
        let versions = self.versions().await?;
        if versions.objects.is_empty() {
            return Ok(false);
        }
        for marker in &versions.markers {
            self.delete_version(marker).await?;
        }
        Ok(!versions.markers.is_empty())
    }

    async fn delete_version(&self, version: &str) -> Result<()> {
        let call = self.client.delete_object().bucket(self.bucket).key(self.key).version_id(version);
        call.send().await.map(drop).map_err(|error| failed("DeleteObject", self.target(), error))
    }

    /// Whether a lock is why a version was not deleted, and not a lack of permission. S3 says so in words alone; the
    /// version itself is asked where they are others.
    async fn is_protected(&self, error: &CloudError, version: &str) -> Result<bool> {
        if error.kind != ErrorKind::Denied {
            return Ok(false);
        }
        if error.message.contains("object lock") {
            return Ok(true);
        }
        let call = self.client.head_object().bucket(self.bucket).key(self.key).version_id(version);
        let head = call.send().await.map_err(|error| failed("HeadObject", self.target(), error))?;
        let held = head.object_lock_legal_hold_status().is_some_and(|status| status.as_str() == "ON");
        let until = head.object_lock_retain_until_date().and_then(timestamp);
        Ok(held || until.is_some_and(|until| until > Timestamp::now()))
    }

    async fn versions(&self) -> Result<Versions> {
        let mut found = Versions::default();
        let (mut key, mut id) = (None, None);
        loop {
            let call = self.client.list_object_versions().bucket(self.bucket).prefix(self.key);
            let page = call.set_key_marker(key).set_version_id_marker(id).send().await;
            let page = page.map_err(|error| failed("ListObjectVersions", self.target(), error))?;
            let own = |key: Option<&str>| key == Some(self.key);
            let of_key = page.versions().iter().filter(|version| own(version.key()));
            found.objects.extend(of_key.filter_map(|version| version.version_id.clone()));
            let of_key = page.delete_markers().iter().filter(|marker| own(marker.key()));
            found.markers.extend(of_key.filter_map(|marker| marker.version_id.clone()));
            // Of all keys that begin like this one it is the first.
            if page.is_truncated() != Some(true) || page.next_key_marker() != Some(self.key) {
                return Ok(found);
            }
            (key, id) = (page.next_key_marker, page.next_version_id_marker);
        }
    }
}

/// Objects under a delete marker. A marker that is the latest version of its key is listed before what it hides.
pub(super) async fn hidden(client: &Client, bucket: &str, prefix: &str, limit: usize) -> Result<Vec<Hidden>> {
    let mut markers: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut found: BTreeMap<String, Hidden> = BTreeMap::new();
    let (mut key, mut id) = (None, None);
    loop {
        let call = client.list_object_versions().bucket(bucket).prefix(prefix);
        let page = call.set_key_marker(key).set_version_id_marker(id).send().await;
        let page = page.map_err(|error| failed("ListObjectVersions", format!("s3://{bucket}/{prefix}"), error))?;
        for marker in page.delete_markers().iter().filter(|marker| marker.is_latest() == Some(true)) {
            let since = marker.last_modified().and_then(timestamp).unwrap_or(Timestamp::UNIX_EPOCH);
            markers.extend(marker.key().map(|key| (key.to_owned(), since)));
        }
        for version in page.versions() {
            let Some((key, since)) = version.key().and_then(|key| markers.remove_entry(key)) else { continue };
            let size = u64::try_from(version.size().unwrap_or_default()).unwrap_or(0);
            found.insert(key.clone(), Hidden { key, size, since });
        }
        if found.len() >= limit || page.is_truncated() != Some(true) {
            return Ok(found.into_values().take(limit).collect());
        }
        (key, id) = (page.next_key_marker, page.next_version_id_marker);
    }
}

/// Object Lock of a bucket, if it has one.
pub(super) async fn of_bucket(client: &Client, bucket: &str) -> Result<Option<BucketLock>> {
    let answer = client.get_object_lock_configuration().bucket(bucket).send().await;
    let target = format!("s3://{bucket}");
    match answer.map_err(|error| failed("GetObjectLockConfiguration", target, error)) {
        Ok(answer) => Ok(answer.object_lock_configuration.map(|configuration| {
            let default = configuration.rule().and_then(ObjectLockRule::default_retention);
            let default = default.and_then(DefaultRetention::mode).and_then(|mode| mode_of(mode.as_str()));
            BucketLock { default }
        })),
        Err(error) if error.code.as_deref() == Some("ObjectLockConfigurationNotFoundError") => Ok(None),
        Err(error) => Err(error),
    }
}

/// S3's word for the mode, as a write says it.
pub(super) fn write_mode(mode: RetentionMode) -> ObjectLockMode {
    match mode {
        RetentionMode::Governance => ObjectLockMode::Governance,
        RetentionMode::Compliance => ObjectLockMode::Compliance,
    }
}

/// Never before the time that was asked for.
pub(super) fn whole_seconds(until: Timestamp) -> DateTime {
    let more = i64::from(until.subsec_nanosecond() > 0);
    DateTime::from_secs(until.as_second().saturating_add(more))
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn mode_of(name: &str) -> Option<RetentionMode> {
    match name {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// The object was never given a retention, or its bucket cannot give one.
fn says_no_lock(error: &CloudError) -> bool {
    let code = error.code.as_deref();
    code == Some("NoSuchObjectLockConfiguration")
        || (code == Some("InvalidRequest") && error.message.contains("Object Lock Configuration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_never_made_shorter_on_the_way() {
        for (until, second) in [("1970-01-01T00:00:10Z", 10), ("1970-01-01T00:00:10.000000001Z", 11)] {
            assert_eq!(whole_seconds(until.parse().unwrap()).secs(), second, "{until}");
        }
    }
}
