//! The prune record: what has been decided so far, whole in one object.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::seal::{SealedKind, open_object, seal_object};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{IndexId, ListId, PackId};
use crate::json;

const VERSION: u32 = 1;

/// Packs and list pages by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) packs: Vec<PackId>,
    pub(crate) lists: Vec<ListId>,
}

impl Names {
    pub(crate) fn is_empty(&self) -> bool {
        self.packs.is_empty() && self.lists.is_empty()
    }

    /// These, and then those of `other`.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.packs.extend(other.packs);
        self.lists.extend(other.lists);
        self
    }

    /// Without what `other` names.
    pub(crate) fn without(mut self, other: &Self) -> Self {
        let (packs, lists): (HashSet<_>, HashSet<_>) = (other.packs.iter().collect(), other.lists.iter().collect());
        self.packs.retain(|id| !packs.contains(id));
        self.lists.retain(|id| !lists.contains(id));
        self
    }
}

/// What is deleted for good. Nobody comes to rely on it again, so that whoever has set out to delete it may do so at any
/// later time, whatever others have done meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// So many of the packs that are condemned, from the first.
    pub(crate) packs: u64,
    /// So many of the list pages.
    pub(crate) lists: u64,
    /// Index objects; others say what they say.
    pub(crate) indexes: Vec<IndexId>,
}

/// What was marked at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marked {
    /// When.
    pub(crate) since: Timestamp,
    #[serde(flatten)]
    pub(crate) names: Names,
}

/// `prune/<number>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// One more than that of the record it follows.
    pub(crate) number: u64,
    /// When it was written, by the clock of who wrote it.
    pub(crate) written: Timestamp,
    /// Nothing new may rely on these. What was marked with this very record has its time of writing.
    pub(crate) marked: Vec<Marked>,
    /// These are to be deleted: a later run may still find that one is needed, but for those that are settled.
    pub(crate) condemned: Names,
    /// Which of them are settled. Records of earlier versions settle nothing.
    #[serde(default)]
    pub(crate) settled: Settled,
}

impl Record {
    /// A record that condemns `open` and goes on with what is `settled`, index objects by their names included.
    pub(crate) fn new(
        number: u64,
        written: Timestamp,
        marked: Vec<Marked>,
        (settled, indexes): (Names, Vec<IndexId>),
        open: Names,
    ) -> Self {
        let counts = Settled { packs: settled.packs.len() as u64, lists: settled.lists.len() as u64, indexes };
        Self { version: VERSION, number, written, marked, condemned: settled.and(open), settled: counts }
    }

    pub(crate) fn seal(&self, keys: &DomainKeys) -> Result<Bytes> {
        let plain = serde_json::to_vec(self).map_err(|error| Error::Invalid(format!("the prune record: {error}")))?;
        let sealer = keys.new_sealer(SealedKind::Prune)?;
        seal_object(&sealer, &plain, &self.number.to_string()).map(Bytes::from)
    }

    pub(crate) fn open(keys: &DomainKeys, number: u64, object: &str, body: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Needs {
            version: u32,
        }
        let plain = open_object(keys, SealedKind::Prune, object, body, &number.to_string())?;
        let Needs { version } = json::parse(ObjectKind::Prune, object, &plain)?;
        if version != VERSION {
            let needs = format!("version {version} of prune records");
            return Err(Error::Unsupported { kind: ObjectKind::Prune, object: object.to_owned(), needs });
        }
        let record: Self = json::parse(ObjectKind::Prune, object, &plain)?;
        if record.number == number {
            Ok(record)
        } else {
            Err(Error::damaged(ObjectKind::Prune, object, "it is the record of another number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::DomainKey;

    #[test]
    fn a_record_comes_back_under_its_own_number_alone() {
        let keys = DomainKeys::derive(&"dom-a".parse().unwrap(), &DomainKey::generate().unwrap());
        let names = Names { packs: vec![PackId([1; 32])], lists: vec![ListId([2; 32])] };
        let since = "2026-11-20T12:00:00Z".parse().unwrap();
        let marked = vec![Marked { since, names: names.clone() }];
        let record = Record::new(7, since, marked, (names, vec![IndexId([3; 32])]), Names::default());
        let body = record.seal(&keys).unwrap();
        assert_eq!(Record::open(&keys, 7, "prune/7", &body).unwrap(), record);
        assert!(matches!(Record::open(&keys, 8, "prune/8", &body), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_record_that_settles_nothing_says_nothing_of_it() {
        let old = r#"{"version":1,"number":3,"written":"2026-11-20T12:00:00Z","marked":[],
            "condemned":{"packs":[],"lists":[]}}"#;
        let record: Record = serde_json::from_str(old).unwrap();
        assert_eq!((record.number, record.settled), (3, Settled::default()));
    }
}
