//! The prune record: what has been decided so far, whole in one object.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto::domain_keys::DomainKeys;
use crate::crypto::seal::{SealedKind, open_object, seal_object};
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{ListId, PackId};
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
    /// These are being deleted.
    pub(crate) condemned: Names,
}

impl Record {
    pub(crate) fn new(number: u64, written: Timestamp, marked: Vec<Marked>, condemned: Names) -> Self {
        Self { version: VERSION, number, written, marked, condemned }
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
        let record = Record::new(7, since, marked, names);
        let body = record.seal(&keys).unwrap();
        assert_eq!(Record::open(&keys, 7, "prune/7", &body).unwrap(), record);
        assert!(matches!(Record::open(&keys, 8, "prune/8", &body), Err(Error::Damaged { .. })));
    }
}
