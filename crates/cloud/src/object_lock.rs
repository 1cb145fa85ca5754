//! What keeps objects from being destroyed: retention periods, as S3's Object Lock knows them.
//!
//! A bucket with Object Lock keeps versions. [`ObjectStore::delete`] there only puts an object out of sight;
//! [`ObjectStore::destroy`] removes its bytes, and cannot while a retention holds.
//!
//! [`ObjectStore::delete`]: crate::object_store::ObjectStore::delete
//! [`ObjectStore::destroy`]: crate::object_store::ObjectStore::destroy

pub use haulier_domain::immutability::RetentionMode;
use jiff::Timestamp;

/// A period in which an object cannot be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retention {
    /// How strictly.
    pub mode: RetentionMode,
    /// Its end.
    pub until: Timestamp,
}

/// Object Lock of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketLock {
    /// Mode of the retention that the bucket gives to every new object that brings none, if it gives one.
    pub default: Option<RetentionMode>,
}

/// What became of an object that was to be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destruction {
    /// Nothing of it is left, or there was nothing.
    Done,
    /// A retention or a legal hold protects it: it is where it was.
    Protected,
}

/// An object that a delete has put out of sight, in a bucket that keeps versions: its bytes are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The full key within the bucket.
    pub key: String,
    /// Length of what is hidden, in bytes.
    pub size: u64,
    /// When it was put out of sight.
    pub since: Timestamp,
}

impl Retention {
    /// Whether an object under this one is kept at least as long and as strictly as the other asks.
    pub fn covers(&self, other: &Self) -> bool {
        self.mode >= other.mode && self.until >= other.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_and_stricter_covers() {
        use RetentionMode::{Compliance, Governance};
        let of = |mode, second| Retention { mode, until: Timestamp::from_second(second).unwrap() };
        for (one, other, covers) in [
            (of(Governance, 5), of(Governance, 5), true),
            (of(Compliance, 6), of(Governance, 5), true),
            (of(Governance, 6), of(Compliance, 5), false),
            (of(Compliance, 4), of(Compliance, 5), false),
        ] {
            assert_eq!(one.covers(&other), covers, "{one:?} {other:?}");
        }
    }
}
