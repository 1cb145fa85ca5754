//! Buckets and objects on disk, without any protocol: blocking calls over plain types.

mod bucket;
mod condition;
mod error;
mod files;
mod index;
mod listing;
mod lock;
mod objects;
mod record;
mod upload;
mod version_listing;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};

pub use bucket::{Bucket, DefaultEncryption, PublicAccessBlock, Settings, Versioning};
pub use condition::{Condition, Matches};
pub use error::{Error, Result};
pub use files::StagedFile;
pub use listing::{Page, Place, Query};
pub use lock::{DefaultRetention, Lock, Mode, ObjectLock, Period, Retention};
pub use objects::{Deleted, Deletion};
pub(crate) use record::fresh_etag;
pub use record::{Attributes, Blob, NULL_VERSION, Object, Record, Segment, Tags, Version};
pub use upload::{ChosenPart, Completion, Part, Upload, UploadRecord};
pub use version_listing::{VersionEntry, VersionPage, VersionPlace};

/// Every bucket of the account.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
    changing: Mutex<()>,
    /// How many seconds the storage's clock is ahead of the host's.
    ahead: AtomicI64,
}

impl Store {
    /// Opens the storage in `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> Result<Self> {
        // A folder of its own within the one given: what is unfinished in it is swept.
        let folder = folder.join("buckets");
        files::make_folder(&folder)?;
        let mut buckets = BTreeMap::new();
        for path in files::entries(&folder)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
            // A bucket without its settings was being made or deleted when the process died.
            if path.join("bucket.json").exists() {
                buckets.insert(name.clone(), Arc::new(Bucket::open(&path, &name)?));
            } else {
                std::fs::remove_dir_all(&path).map_err(Error::disk("sweeping", &path))?;
            }
        }
        Ok(Self { folder, buckets: RwLock::new(buckets), changing: Mutex::new(()), ahead: AtomicI64::new(0) })
    }

    /// The time by which retentions hold or are over.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// Moves that time ahead of the host's, by as much as is said here and not by more each time.
    pub fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::Relaxed);
    }

    /// The bucket of that name.
    pub fn bucket(&self, name: &str) -> Result<Arc<Bucket>> {
        bucket::read(&self.buckets).get(name).cloned().ok_or_else(|| Error::NoSuchBucket(name.to_owned()))
    }

    /// Every bucket, by name.
    pub fn buckets(&self) -> Vec<Arc<Bucket>> {
        bucket::read(&self.buckets).values().cloned().collect()
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, name: &str, settings: Settings) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bucket(name).is_ok() {
            return Err(Error::BucketAlreadyOwnedByYou(name.to_owned()));
        }
        let made = Bucket::create(&self.folder.join(name), name, settings)?;
        bucket::write(&self.buckets).insert(name.to_owned(), Arc::new(made));
        Ok(())
    }

    /// Deletes an empty bucket, with the multipart uploads under way in it.
    pub fn delete_bucket(&self, name: &str) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.bucket(name)?.close()?;
        bucket::write(&self.buckets).remove(name);
        let folder = self.folder.join(name);
        // The settings first: without them a later start sweeps what is left.
        let settings = folder.join("bucket.json");
        std::fs::remove_file(&settings).map_err(Error::disk("removing", &settings))?;
        std::fs::remove_dir_all(&folder).map_err(Error::disk("removing", &folder))
    }
}
