//! Immutability: objects are stored under a lock of S3, and what a new point takes over from earlier ones has its lock
//! extended before the point is proposed. How long is the business of [`haulier_domain::immutability`]; against whom it helps,
//! that of `docs/adr/0007-immutability.md`.
//!
//! - Packs, index objects, list pages, key objects and `format` are stored under a lock, by [`Store`] itself.
//! - A writer extends what it takes over ([`extend`]): packs and index objects when it is finished, list pages as it meets them.
//!   It asks S3 what each is locked until: a record of that in the repository would be one that a stolen worker could
//!   forge, and locks would run out unseen.
//! - A point is locked when it is published for good, after the second look at the prune record: one that is taken back
//!   must go.
//! - Prune records and proofs are not locked: no point needs them.
//! - In an immutable repository, deleting means destroying the version, which S3 refuses while it is locked. Only index objects
//!   that are replaced, and keys that are removed, go out of sight under a delete marker before their lock ends. So a
//!   marker over anything else is somebody else's work, and is told of ([`Error::Hidden`]) instead of being believed.
//!
//! [`Error::Hidden`]: crate::error::Error::Hidden

pub(crate) mod extend;
pub(crate) mod hidden;
mod keys;

use std::fmt;
use std::sync::Arc;

use haulier_cloud::object_lock::{Destruction, Retention};
use haulier_domain::immutability::Immutability;
use jiff::Timestamp;

use crate::error::{Error, ObjectKind, Result};
use crate::store::Store;

/// What tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// One that a test may move.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// The host's.
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// How a handle on the bucket locks what it stores.
#[derive(Debug, Clone)]
pub(crate) struct Lock {
    pub(crate) terms: Immutability,
    pub(crate) clock: Clock,
}

impl Lock {
    /// The lock of an object that is stored now.
    pub(crate) fn of_new(&self, key: &str) -> Retention {
        let now = self.clock.now();
        Retention { mode: self.terms.mode, until: self.terms.target(now, spread(key, now)) }
    }

    /// The lock that an object has to be given, if the one it has does not do.
    fn extension(&self, key: &str, present: Option<Retention>, needed: Timestamp) -> Option<Retention> {
        let (present, now) = (present.map(|present| (present.mode, present.until)), self.clock.now());
        let until = self.terms.extension(present, needed, now, spread(key, now))?;
        Some(Retention { mode: self.terms.mode, until })
    }
}

/// A number for an object and a time.
fn spread(key: &str, now: Timestamp) -> u16 {
    let hash = blake3::Hasher::new().update(key.as_bytes()).update(&now.as_second().to_le_bytes()).finalize();
    let [first, second, ..] = *hash.as_bytes();
    u16::from_le_bytes([first, second])
}

impl Store {
    /// The time until which an object is locked, if it is.
    pub(crate) async fn locked_until(&self, kind: ObjectKind, key: &str) -> Result<Option<Timestamp>> {
        let Some(lock) = self.lock() else { return Ok(None) };
        let now = lock.clock.now();
        Ok(self.retention(kind, key).await?.map(|retention| retention.until).filter(|until| *until > now))
    }

    /// Keeps an object locked at least until then, if the repository is immutable. Says whether that took extending its lock.
    pub(crate) async fn hold(&self, kind: ObjectKind, key: &str, needed: Timestamp) -> Result<bool> {
        let Some(lock) = self.lock() else { return Ok(false) };
        let Some(wanted) = lock.extension(key, self.retention(kind, key).await?, needed) else { return Ok(false) };
        self.retain(kind, key, &wanted).await.map(|()| true)
    }

    /// Locks an object exactly until then, if the repository is immutable and that is not past: nothing extends it later.
    pub(crate) async fn lock_until(&self, kind: ObjectKind, key: &str, until: Timestamp) -> Result<()> {
        match self.lock().filter(|lock| until > lock.clock.now()) {
            Some(lock) => self.retain(kind, key, &Retention { mode: lock.terms.mode, until }).await,
            None => Ok(()),
        }
    }

    /// Removes an object. Where the repository is immutable, and its lock is not over, it is put out of sight instead.
    pub(crate) async fn remove(&self, key: &str) -> Result<Destruction> {
        let end = self.delete(key).await?;
        if end == Destruction::Protected {
            self.hide(key).await?;
        }
        Ok(end)
    }
}

/// That an object is still locked.
pub(crate) fn still(kind: ObjectKind, key: &str, until: Timestamp) -> Error {
    Error::Locked { kind, object: key.to_owned(), until }
}
