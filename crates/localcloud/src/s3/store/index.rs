//! Every version of every key of a bucket, in memory. Pure.
//!
//! What most requests see is the `current` objects: of each key the newest version, unless that is a delete marker.

use std::collections::BTreeMap;

use super::listing::{self, Page, Query};
use super::record::Object;

/// The versions of a bucket.
#[derive(Debug, Default)]
pub(super) struct Index {
    current: BTreeMap<String, Object>,
    /// Oldest first; never empty.
    versions: BTreeMap<String, Vec<Object>>,
}

impl Index {
    /// Of versions in any order.
    pub(super) fn of(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut versions: BTreeMap<String, Vec<Object>> = BTreeMap::new();
        for object in objects {
            versions.entry(object.record.key.clone()).or_default().push(object);
        }
        for list in versions.values_mut() {
            list.sort_by_key(|object| object.record.version.sequence);
        }
        let mut index = Self { current: BTreeMap::new(), versions };
        for key in index.versions.keys().cloned().collect::<Vec<_>>() {
            index.settle(&key);
        }
        index
    }

    /// The object under a key.
    pub(super) fn current(&self, key: &str) -> Option<&Object> {
        self.current.get(key)
    }

    /// The newest version of a key, a delete marker perhaps.
    pub(super) fn newest(&self, key: &str) -> Option<&Object> {
        self.versions.get(key)?.last()
    }

    /// One version of a key.
    pub(super) fn version(&self, key: &str, id: &str) -> Option<&Object> {
        self.versions.get(key)?.iter().find(|object| object.record.version.id == id)
    }

    /// Adds a version as the newest of its key; gives the one of the same id that it replaces.
    pub(super) fn insert(&mut self, object: Object) -> Option<Object> {
        let key = object.record.key.clone();
        let list = self.versions.entry(key.clone()).or_default();
        let replaced = list.iter().position(|other| other.record.version.id == object.record.version.id);
        let replaced = replaced.map(|place| list.remove(place));
        list.push(object);
        self.settle(&key);
        replaced
    }

    /// Puts another record in the place of the version of the same id.
    pub(super) fn amend(&mut self, object: Object) {
        let key = object.record.key.clone();
        let same = |other: &&mut Object| other.record.version.id == object.record.version.id;
        if let Some(place) = self.versions.get_mut(&key).and_then(|list| list.iter_mut().find(same)) {
            *place = object;
        }
        self.settle(&key);
    }

    /// Takes a version out.
    pub(super) fn remove(&mut self, key: &str, id: &str) -> Option<Object> {
        let list = self.versions.get_mut(key)?;
        let place = list.iter().position(|object| object.record.version.id == id)?;
        let removed = list.remove(place);
        if list.is_empty() {
            self.versions.remove(key);
        }
        self.settle(key);
        Some(removed)
    }

    /// Number of objects, as a listing counts them.
    pub(super) fn len(&self) -> usize {
        self.current.len()
    }

    /// Whether there is no version and no delete marker either.
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The highest sequence number.
    pub(super) fn last_sequence(&self) -> u64 {
        self.versions.values().flatten().map(|object| object.record.version.sequence).max().unwrap_or(0)
    }

    /// A page of the objects.
    pub(super) fn page(&self, query: &Query) -> Page<Object> {
        listing::page(&self.current, query)
    }

    /// A page of keys with all their versions, newest first.
    pub(super) fn keys(&self, query: &Query) -> Page<Vec<Object>> {
        let mut page = listing::page(&self.versions, query);
        for (_, versions) in &mut page.entries {
            versions.reverse();
        }
        page
    }

    fn settle(&mut self, key: &str) {
        match self.newest(key).filter(|object| !object.record.version.marker).cloned() {
            Some(object) => self.current.insert(key.to_owned(), object),
            None => self.current.remove(key),
        };
    }
}
