//! A bucket: its settings and its objects.
//!
//! ```text
//! <bucket>/bucket.json         settings
//! <bucket>/objects/<digest>    one record per object, named by the SHA-256 of its key
//! <bucket>/data/<name>         bytes; immutable, unique names
//! <bucket>/uploads/<id>/…      multipart uploads under way
//! ```
//!
//! The index in memory is what requests see; the disk follows it so that a restart finds the same. Every change of the
//! index happens under one commit lock: condition, record on disk, index. So of any number of conditional writers
//! exactly one wins. Readers never wait for the disk.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::condition::Condition;
use super::error::{Error, Result};
use super::files::{self, StagedFile};
use super::listing::{self, Page, Query};
use super::record::{Blob, Object, Record, Segment, Tags};
use super::upload::Upload;

/// The four switches of a public access block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    /// Refuse public ACLs.
    pub block_public_acls: bool,
    /// Ignore public ACLs.
    pub ignore_public_acls: bool,
    /// Refuse public bucket policies.
    pub block_public_policy: bool,
    /// Restrict buckets that have public policies.
    pub restrict_public_buckets: bool,
}

/// Settings of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Region it was created in.
    pub region: String,
    /// When it was created.
    pub created: Timestamp,
    /// Bucket policy, as it was put.
    #[serde(default)]
    pub policy: Option<String>,
    /// Public access block, if set.
    #[serde(default)]
    pub public_access_block: Option<PublicAccessBlock>,
    /// Lifecycle configuration, as S3's own XML.
    #[serde(default)]
    pub lifecycle: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    folder: PathBuf,
    data: PathBuf,
    settings: RwLock<Arc<Settings>>,
    objects: RwLock<BTreeMap<String, Object>>,
    pub(super) uploads: RwLock<BTreeMap<String, Arc<Upload>>>,
    commit: Mutex<()>,
    gone: AtomicBool,
}

impl Bucket {
    pub(super) fn create(folder: &Path, name: &str, settings: Settings) -> Result<Self> {
        for part in ["objects", "data", "uploads"] {
            files::make_folder(&folder.join(part))?;
        }
        files::write_record(&folder.join("bucket.json"), &settings)?;
        Ok(Self::assemble(folder, name, settings))
    }

    pub(super) fn open(folder: &Path, name: &str) -> Result<Self> {
        let bucket = Self::assemble(folder, name, files::read_record(&folder.join("bucket.json"))?);
        let mut used = HashSet::new();
        let mut objects = BTreeMap::new();
        for path in files::records(&folder.join("objects"))? {
            let record: Record = files::read_record(&path)?;
            used.extend(record.segments.iter().map(|segment| segment.file.clone()));
            objects.insert(record.key.clone(), bucket.object(record));
        }
        let mut uploads = BTreeMap::new();
        for path in files::entries(&folder.join("uploads"))? {
            if let Some(upload) = Upload::open(&path, &bucket.data, &mut used)? {
                uploads.insert(upload.id().to_owned(), Arc::new(upload));
            }
        }
        bucket.sweep(&used)?;
        *write(&bucket.objects) = objects;
        *write(&bucket.uploads) = uploads;
        Ok(bucket)
    }

    fn assemble(folder: &Path, name: &str, settings: Settings) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            data: folder.join("data"),
            settings: RwLock::new(Arc::new(settings)),
            objects: RwLock::default(),
            uploads: RwLock::default(),
            commit: Mutex::new(()),
            gone: AtomicBool::new(false),
        }
    }

    /// Data files that no record names were left by a process that died.
    fn sweep(&self, used: &HashSet<String>) -> Result<()> {
        for path in files::entries(&self.data)? {
            let known = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| used.contains(name));
            if !known {
                std::fs::remove_file(&path).map_err(Error::disk("sweeping", &path))?;
            }
        }
        Ok(())
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where bytes are staged and stay.
    pub fn data_folder(&self) -> &Path {
        &self.data
    }

    pub(super) fn uploads_folder(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&read(&self.settings))
    }

    /// Changes the settings.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let _commit = self.lock()?;
        let mut settings = Settings::clone(&self.settings());
        change(&mut settings);
        files::write_record(&self.folder.join("bucket.json"), &settings)?;
        *write(&self.settings) = Arc::new(settings);
        Ok(())
    }

    /// The object under `key`.
    pub fn get(&self, key: &str) -> Result<Object> {
        read(&self.objects).get(key).cloned().ok_or_else(|| Error::NoSuchKey(key.to_owned()))
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        read(&self.objects).len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A page of the objects.
    pub fn list(&self, query: &Query) -> Page<Object> {
        listing::page(&read(&self.objects), query)
    }

    /// Writes an object whose bytes are staged; `record.segments` is filled in here.
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
            .map(|(path, length)| Ok((StagedFile::link(&self.data, &path)?, length)))
            .collect::<Result<Vec<_>>>()?;
        self.put(record, staged, condition)
    }

    /// Replaces the tags of an object, leaving the rest of it alone.
    pub fn tag(&self, key: &str, tags: Tags) -> Result<()> {
        let _commit = self.lock()?;
        let object = self.get(key)?;
        let record = Record { tags, ..Record::clone(&object.record) };
        files::write_record(&self.record_path(key), &record)?;
        write(&self.objects).insert(key.to_owned(), Object { record: Arc::new(record), blob: object.blob });
        Ok(())
    }

    /// Deletes the object under `key`; that there is none is no error without a condition.
    pub fn delete(&self, key: &str, condition: &Condition) -> Result<()> {
        let _commit = self.lock()?;
        self.check(key, condition)?;
        if !read(&self.objects).contains_key(key) {
            return Ok(());
        }
        let path = self.record_path(key);
        std::fs::remove_file(&path).map_err(Error::disk("removing", &path))?;
        if let Some(object) = write(&self.objects).remove(key) {
            object.blob.retire();
        }
        Ok(())
    }

    /// Marks the bucket as gone if nothing is in it; from then on no write gets in.
    pub(super) fn close(&self) -> Result<()> {
        let _commit = self.lock()?;
        if !self.is_empty() {
            return Err(Error::BucketNotEmpty(self.name.clone()));
        }
        self.gone.store(true, Ordering::Release);
        Ok(())
    }

    /// Held while the index changes.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, ()>> {
        let guard = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        if self.gone.load(Ordering::Acquire) { Err(Error::NoSuchBucket(self.name.clone())) } else { Ok(guard) }
    }

    pub(super) fn check(&self, key: &str, condition: &Condition) -> Result<()> {
        condition.check(key, read(&self.objects).get(key).map(|object| object.record.etag.as_str()))
    }

    /// Makes a record the object under its key. Its data files are there already.
    pub(super) fn publish(&self, _commit: &MutexGuard<'_, ()>, record: Record) -> Result<Arc<Record>> {
        files::write_record(&self.record_path(&record.key), &record)?;
        let object = self.object(record);
        let record = Arc::clone(&object.record);
        if let Some(replaced) = write(&self.objects).insert(record.key.clone(), object) {
            replaced.blob.retire();
        }
        Ok(record)
    }

    fn object(&self, record: Record) -> Object {
        let blob = Blob::new(&self.data, record.segments.clone());
        Object { record: Arc::new(record), blob: Arc::new(blob) }
    }

    fn record_path(&self, key: &str) -> PathBuf {
        self.folder.join("objects").join(hex::encode(Sha256::digest(key.as_bytes())))
    }
}

/// Reads what a panicking writer cannot have left half-changed: every change under these locks is one assignment.
pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// The writing side of [`read`].
pub(super) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
