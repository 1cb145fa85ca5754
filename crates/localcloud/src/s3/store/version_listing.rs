//! Pages of all versions: keys in order, of each key the newest version first. Pure.

use super::index::Index;
use super::listing::{Place, Query};
use super::record::Object;

/// Where a page of versions begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPlace {
    /// After all versions of this key, or after everything that is rolled up in this prefix.
    Key(Place),
    /// After this version of this key.
    Version(String, String),
}

/// One entry of a page of versions.
#[derive(Debug, Clone)]
pub enum VersionEntry {
    /// A version or a delete marker, and whether it is its key's newest.
    Version(Object, bool),
    /// A rolled-up prefix.
    Prefix(String),
}

/// One page of versions.
#[derive(Debug, Clone)]
pub struct VersionPage {
    /// Its entries, in order.
    pub entries: Vec<VersionEntry>,
    /// Whether more follow.
    pub truncated: bool,
}

impl VersionEntry {
    fn name(&self) -> &str {
        match self {
            Self::Version(object, _) => &object.record.key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// The page that begins `after`; the query's own place is not looked at.
pub(super) fn page(index: &Index, query: &Query, after: Option<VersionPlace>) -> VersionPage {
    let mut entries = Vec::new();
    let place = match after {
        None => None,
        Some(VersionPlace::Key(place)) => Some(place),
        Some(VersionPlace::Version(key, id)) => {
            let rest = Query { prefix: key.clone(), delimiter: String::new(), after: None, most: 1 };
            let first = index.keys(&rest).entries.into_iter().find(|(found, _)| *found == key);
            let versions = first.map(|(_, versions)| versions).unwrap_or_default();
            let behind = versions.iter().position(|object| object.record.version.id == id);
            let behind = behind.map_or(versions.len(), |place| place + 1);
            entries.extend(versions.into_iter().skip(behind).map(|object| VersionEntry::Version(object, false)));
            Some(Place::Key(key))
        }
    };
    // As many keys as entries are enough, since no key is without a version.
    let keys = index.keys(&Query { after: place, ..query.clone() });
    let mut further: Vec<VersionEntry> = keys.prefixes.into_iter().map(VersionEntry::Prefix).collect();
    for (_, versions) in keys.entries {
        further
            .extend(versions.into_iter().enumerate().map(|(place, object)| VersionEntry::Version(object, place == 0)));
    }
    further.sort_by(|one, other| one.name().cmp(other.name()));
    entries.extend(further);
    let truncated = keys.next.is_some() || entries.len() > query.most;
    entries.truncate(query.most);
    VersionPage { entries, truncated: truncated && query.most > 0 }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::record::{Record, Version};
    use super::*;

    fn version(key: &str, id: &str, sequence: u64, marker: bool) -> Object {
        let object = Object::for_tests(Path::new("/nonexistent"), &[]);
        let version = Version { id: id.into(), sequence, marker };
        let record = Record { key: key.into(), version, ..Record::clone(&object.record) };
        Object { record: Arc::new(record), ..object }
    }

    fn shown(entry: &VersionEntry) -> String {
        match entry {
            VersionEntry::Prefix(prefix) => prefix.clone(),
            VersionEntry::Version(object, latest) => {
                let record = &object.record;
                let kind = if record.version.marker { "!" } else { "" };
                format!("{}@{}{kind}{}", record.key, record.version.id, if *latest { "*" } else { "" })
            }
        }
    }

    #[test]
    fn pages_of_every_size_give_the_same_entries_in_order() {
        let index = Index::of([
            version("a", "1", 1, false),
            version("a", "4", 4, true),
            version("a", "2", 2, false),
            version("b/x", "3", 3, false),
            version("b/y", "5", 5, false),
            version("c", "null", 6, false),
        ]);
        for (prefix, delimiter, expected) in [
            ("", "", vec!["a@4!*", "a@2", "a@1", "b/x@3*", "b/y@5*", "c@null*"]),
            ("", "/", vec!["a@4!*", "a@2", "a@1", "b/", "c@null*"]),
            ("b/", "", vec!["b/x@3*", "b/y@5*"]),
            ("z", "", vec![]),
        ] {
            for most in 1..8 {
                let query = Query { prefix: prefix.into(), delimiter: delimiter.into(), after: None, most };
                let (mut seen, mut after) = (Vec::new(), None);
                loop {
                    let page = page(&index, &query, after);
                    seen.extend(page.entries.iter().map(shown));
                    if !page.truncated {
                        break;
                    }
                    after = page.entries.last().map(|entry| match entry {
                        VersionEntry::Prefix(prefix) => VersionPlace::Key(Place::Prefix(prefix.clone())),
                        VersionEntry::Version(object, _) => {
                            VersionPlace::Version(object.record.key.clone(), object.record.version.id.clone())
                        }
                    });
                }
                assert_eq!(seen, expected, "prefix {prefix:?}, delimiter {delimiter:?}, pages of {most}");
            }
        }
    }
}
