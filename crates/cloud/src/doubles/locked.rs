//! Versions and retention of [`super::object_store`].

use jiff::{SignedDuration, Timestamp};

use super::errors::{not_found, refused};
use super::object_store::{Bucket, Object};
use crate::error::{ErrorKind, Result};
use crate::object_lock::{BucketLock, Destruction, Hidden, Retention};

impl Bucket {
    pub(super) fn lock(&self) -> Option<BucketLock> {
        self.locked.then(BucketLock::default)
    }

    fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }

    pub(super) fn set_ahead(&mut self, ahead: SignedDuration) {
        self.ahead = ahead;
    }

    /// Refuses a period that the bucket could not give.
    pub(super) fn check(&self, operation: &'static str, key: &str, retention: &Retention) -> Result<()> {
        let refusal = |code: &str, message: &str| Err(refused(operation, key, ErrorKind::Invalid, code, message));
        if !self.locked {
            return refusal("InvalidRequest", "Bucket is missing Object Lock Configuration");
        }
        if retention.until <= self.now() {
            return refusal("InvalidArgument", "The retain until date must be in the future!");
        }
        Ok(())
    }

    pub(super) fn retain(&mut self, key: &str, wanted: &Retention) -> Result<()> {
        self.check("PutObjectRetention", key, wanted)?;
        let now = self.now();
        let object = self.objects.get_mut(key);
        let object = object.ok_or_else(|| not_found("PutObjectRetention", key, "NoSuchKey"))?;
        let kept = match object.retention.filter(|present| present.until > now) {
            Some(present) if present.covers(wanted) => present,
            Some(present) if present.mode < wanted.mode => {
                let message = "Access Denied because object protected by object lock.";
                return Err(refused("PutObjectRetention", key, ErrorKind::Denied, "AccessDenied", message));
            }
            Some(present) => Retention { mode: present.mode, ..*wanted },
            None => *wanted,
        };
        object.retention = Some(kept);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(object) = self.objects.remove(key).filter(|_| self.locked) {
            self.hidden.entry(key.to_owned()).or_default().push(object);
        }
    }

    pub(super) fn destroy(&mut self, key: &str) -> Destruction {
        let now = self.now();
        let is_kept = |object: &Object| object.retention.is_some_and(|retention| retention.until > now);
        if let Some(hidden) = self.hidden.get_mut(key) {
            hidden.retain(is_kept);
            if hidden.is_empty() {
                self.hidden.remove(key);
            }
        }
        if self.objects.get(key).is_some_and(|object| !is_kept(object)) {
            self.objects.remove(key);
        }
        let left = self.hidden.contains_key(key) || self.objects.contains_key(key);
        if left { Destruction::Protected } else { Destruction::Done }
    }
    pub(super) fn out_of_sight(&self, prefix: &str, limit: usize) -> Vec<Hidden> {
        let under = self.hidden.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let hidden = under.filter(|(key, _)| !self.objects.contains_key(*key));
        hidden
            .filter_map(|(key, versions)| {
                let newest = versions.last()?;
                Some(Hidden { key: key.clone(), size: newest.body.len() as u64, since: newest.modified })
            })
            .take(limit)
            .collect()
    }

    pub(super) fn reveal(&mut self, key: &str) -> bool {
        if self.objects.contains_key(key) {
            return false;
        }
        let Some(mut versions) = self.hidden.remove(key) else { return false };
        let newest = versions.pop();
        if !versions.is_empty() {
            self.hidden.insert(key.to_owned(), versions);
        }
        newest.is_some_and(|object| self.objects.insert(key.to_owned(), object).is_none())
    }
}
