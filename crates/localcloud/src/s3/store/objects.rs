//! What is done to the objects of a bucket, versions and locks included.
//!
//! Without versioning an object has one version, whose id is `null`. With it every write adds a version, and a delete
//! that names none adds a marker, under which the object is as if it were gone. Where versioning is suspended, writes and
//! markers take the place of the version `null`.

use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::bucket::{Bucket, Versioning, read, write};
use super::condition::Condition;
use super::error::{Error, Result};
use super::files::{self, StagedFile};
use super::listing::{Page, Query};
use super::lock::{Lock, Retention};
use super::record::{Attributes, NULL_VERSION, Object, Record, Segment, Tags, Version, fresh_etag};
use super::version_listing::{self, VersionPage, VersionPlace};

/// What a delete did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was removed, or the delete marker that was made.
    pub version: Option<String>,
    /// Whether that is a delete marker.
    pub marker: bool,
}

/// Who deletes what.
#[derive(Debug, Clone, Default)]
pub struct Deletion {
    /// One version for good, or whatever is there out of sight.
    pub version: Option<String>,
    /// What must hold of the object.
    pub condition: Condition,
    /// Whether the caller may bypass governance, and has said that he does.
    pub bypass: bool,
}

impl Bucket {
    /// An object: its newest version, or the one named.
    pub fn get(&self, key: &str, version: Option<&str>) -> Result<Object> {
        let index = read(&self.index);
        match version {
            None => index.current(key).cloned().ok_or_else(|| match index.newest(key) {
                Some(marker) => Error::Hidden { key: key.to_owned(), marker: marker.record.version.id.clone() },
                None => Error::NoSuchKey(key.to_owned()),
            }),
            Some(id) => match index.version(key, id) {
                Some(object) if object.record.version.marker => Err(Error::IsMarker(id.to_owned())),
                Some(object) => Ok(object.clone()),
                None => Err(Error::NoSuchVersion(id.to_owned())),
            },
        }
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        read(&self.index).len()
    }

    /// Whether there is nothing: no version and no delete marker.
    pub fn is_empty(&self) -> bool {
        read(&self.index).is_empty()
    }

    /// A page of the objects.
    pub fn list(&self, query: &Query) -> Page<Object> {
        read(&self.index).page(query)
    }

    /// A page of all versions.
    pub fn list_versions(&self, query: &Query, after: Option<VersionPlace>) -> VersionPage {
        version_listing::page(&read(&self.index), query, after)
    }

    /// Writes an object whose bytes are staged; `record.segments` and its version are filled in here.
    pub fn put(
        &self,
        mut record: Record,
        staged: Vec<(StagedFile, u64)>,
        condition: &Condition,
    ) -> Result<Arc<Record>> {
        let commit = self.lock()?;
        self.check(&record.key, condition)?;
        record.segments =
            staged.iter().map(|(file, length)| Segment { file: file.name().to_owned(), length: *length }).collect();
        let written = self.publish(&commit, record)?;
        for (file, _) in staged {
            file.keep();
        }
        Ok(written)
    }

    /// Writes a copy of `source` under the key, attributes and tags of `record`. No byte is copied: the new object
    /// gets names of its own for the same immutable files.
    pub fn copy(&self, source: &Object, record: Record, condition: &Condition) -> Result<Arc<Record>> {
        let staged = source
            .blob
            .files()
            .map(|(path, length)| Ok((StagedFile::link(self.data_folder(), &path)?, length)))
            .collect::<Result<Vec<_>>>()?;
        self.put(record, staged, condition)
    }

    /// Replaces the tags of a version, leaving the rest of it alone.
    pub fn tag(&self, key: &str, version: Option<&str>, tags: Tags) -> Result<Arc<Record>> {
        let commit = self.lock()?;
        self.amend(&commit, key, version, |record| {
            record.tags = tags;
            Ok(())
        })
    }

    /// Changes the retention of a version, within what the one in force allows.
    pub fn retain(
        &self,
        key: &str,
        version: Option<&str>,
        wanted: Option<Retention>,
        now: Timestamp,
        bypass: bool,
    ) -> Result<()> {
        let commit = self.lock()?;
        let change = |record: &mut Record| {
            record.lock.check_retention(wanted.as_ref(), now, bypass)?;
            record.lock.retention = wanted;
            Ok(())
        };
        self.amend(&commit, key, version, change).map(drop)
    }

    /// Sets or lifts the legal hold of a version.
    pub fn hold(&self, key: &str, version: Option<&str>, hold: bool) -> Result<()> {
        let commit = self.lock()?;
        let change = |record: &mut Record| {
            record.lock.legal_hold = Some(hold);
            Ok(())
        };
        self.amend(&commit, key, version, change).map(drop)
    }

    /// Deletes; that there is nothing to delete is no error without a condition.
    pub fn delete(&self, key: &str, deletion: &Deletion, now: Timestamp) -> Result<Deleted> {
        let commit = self.lock()?;
        self.check(key, &deletion.condition)?;
        if let Some(id) = &deletion.version {
            let removed = self.remove(&commit, key, id, deletion.bypass, now)?;
            return Ok(Deleted { version: Some(id.clone()), marker: removed });
        }
        match self.settings().versioning {
            Versioning::Never => {
                self.remove(&commit, key, NULL_VERSION, deletion.bypass, now)?;
                Ok(Deleted::default())
            }
            Versioning::Enabled | Versioning::Suspended => {
                let marker = self.publish(&commit, marker(key, now))?;
                Ok(Deleted { version: Some(marker.version.id.clone()), marker: true })
            }
        }
    }

    /// Removes one version for good; tells whether it was a delete marker.
    fn remove(&self, _commit: &MutexGuard<'_, ()>, key: &str, id: &str, bypass: bool, now: Timestamp) -> Result<bool> {
        let Some(object) = read(&self.index).version(key, id).cloned() else { return Ok(false) };
        object.record.lock.check_delete(now, bypass)?;
        let path = self.record_path(key, id);
        std::fs::remove_file(&path).map_err(Error::disk("removing", &path))?;
        write(&self.index).remove(key, id);
        object.blob.retire();
        Ok(object.record.version.marker)
    }

    /// Changes the record of a version in its place.
    fn amend(
        &self,
        _commit: &MutexGuard<'_, ()>,
        key: &str,
        version: Option<&str>,
        change: impl FnOnce(&mut Record) -> Result<()>,
    ) -> Result<Arc<Record>> {
        let object = self.get(key, version)?;
        let mut record = Record::clone(&object.record);
        change(&mut record)?;
        files::write_record(&self.record_path(key, &record.version.id), &record)?;
        let record = Arc::new(record);
        write(&self.index).amend(Object { record: Arc::clone(&record), blob: object.blob });
        Ok(record)
    }

    pub(super) fn check(&self, key: &str, condition: &Condition) -> Result<()> {
        condition.check(key, read(&self.index).current(key).map(|object| object.record.etag.as_str()))
    }

    /// Makes a record the newest version of its key. Its data files are there already.
    pub(super) fn publish(&self, _commit: &MutexGuard<'_, ()>, mut record: Record) -> Result<Arc<Record>> {
        record.version.sequence = self.next_sequence();
        record.version.id = match self.settings().versioning {
            Versioning::Enabled => fresh_etag(),
            Versioning::Never | Versioning::Suspended => NULL_VERSION.to_owned(),
        };
        files::write_record(&self.record_path(&record.key, &record.version.id), &record)?;
        let object = self.object(record);
        let record = Arc::clone(&object.record);
        if let Some(replaced) = write(&self.index).insert(object) {
            replaced.blob.retire();
        }
        Ok(record)
    }

    fn record_path(&self, key: &str, version: &str) -> PathBuf {
        let mut digest = Sha256::new_with_prefix(key);
        if version != NULL_VERSION {
            digest.update([0]);
            digest.update(version);
        }
        self.records_folder().join(hex::encode(digest.finalize()))
    }
}

fn marker(key: &str, now: Timestamp) -> Record {
    Record {
        key: key.to_owned(),
        etag: String::new(),
        size: 0,
        modified: now,
        parts: None,
        checksum: None,
        attributes: Attributes::default(),
        tags: Tags::new(),
        version: Version { marker: true, ..Version::default() },
        lock: Lock::default(),
        segments: Vec::new(),
    }
}
