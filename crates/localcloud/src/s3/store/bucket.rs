//! A bucket: its settings, and how it lies on disk.
//!
//! ```text
//! <bucket>/bucket.json         settings
//! <bucket>/objects/<digest>    one record per version, named by the SHA-256 of its key and its id
//! <bucket>/data/<name>         bytes; immutable, unique names
//! <bucket>/uploads/<id>/…      multipart uploads under way
//! ```
//!
//! The index in memory is what requests see; the disk follows it so that a restart finds the same. Every change of the
//! index happens under one commit lock: condition, record on disk, index. So of any number of conditional writers
//! exactly one wins. Readers never wait for the disk.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::files;
use super::index::Index;
use super::lock::ObjectLock;
use super::record::{Blob, Object, Record, Tags};
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

/// How objects are encrypted that do not say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultEncryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// Key of KMS's, if one is named.
    pub key: Option<String>,
    /// Whether one data key serves the bucket.
    pub bucket_key: bool,
}

impl Default for DefaultEncryption {
    fn default() -> Self {
        Self { algorithm: "AES256".to_owned(), key: None, bucket_key: false }
    }
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
    /// Who owns objects that others put: `BucketOwnerPreferred`. None where that was deleted.
    #[serde(default)]
    pub ownership: Option<String>,
    /// Default encryption.
    #[serde(default)]
    pub encryption: DefaultEncryption,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
    /// Versioning.
    #[serde(default)]
    pub versioning: Versioning,
    /// Object Lock, if it is on.
    #[serde(default)]
    pub object_lock: Option<ObjectLock>,
}

/// Whether a bucket keeps versions. Once it has begun to, it can only pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It never has.
    #[default]
    Never,
    /// It does.
    Enabled,
    /// It has, and keeps those that there are.
    Suspended,
}

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    folder: PathBuf,
    data: PathBuf,
    settings: RwLock<Arc<Settings>>,
    pub(super) index: RwLock<Index>,
    sequence: AtomicU64,
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
        let mut objects = Vec::new();
        for path in files::records(&bucket.records_folder())? {
            let record: Record = files::read_record(&path)?;
            used.extend(record.segments.iter().map(|segment| segment.file.clone()));
            objects.push(bucket.object(record));
        }
        let index = Index::of(objects);
        let mut uploads = BTreeMap::new();
        for path in files::entries(&folder.join("uploads"))? {
            if let Some(upload) = Upload::open(&path, &bucket.data, &mut used)? {
                uploads.insert(upload.id().to_owned(), Arc::new(upload));
            }
        }
        bucket.sweep(&used)?;
        bucket.sequence.store(index.last_sequence(), Ordering::Release);
        *write(&bucket.index) = index;
        *write(&bucket.uploads) = uploads;
        Ok(bucket)
    }

    fn assemble(folder: &Path, name: &str, settings: Settings) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            data: folder.join("data"),
            settings: RwLock::new(Arc::new(settings)),
            index: RwLock::default(),
            sequence: AtomicU64::new(0),
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

    pub(super) fn records_folder(&self) -> PathBuf {
        self.folder.join("objects")
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(super) fn uploads_folder(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&read(&self.settings))
    }

    /// Changes the settings, unless the change refuses.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings) -> Result<()>) -> Result<()> {
        let _commit = self.lock()?;
        let mut settings = Settings::clone(&self.settings());
        change(&mut settings)?;
        files::write_record(&self.folder.join("bucket.json"), &settings)?;
        *write(&self.settings) = Arc::new(settings);
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

    pub(super) fn object(&self, record: Record) -> Object {
        let blob = Blob::new(&self.data, record.segments.clone());
        Object { record: Arc::new(record), blob: Arc::new(blob) }
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
