//! What a writer or reader has to know of pruning: which packs and list pages are not to be relied on by anything new.

use super::log;
use super::record::Names;
use crate::crypto::domain_keys::DomainKeys;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::{ListId, PackId};
use crate::layout::DomainLayout;
use crate::store::Store;

/// What the newest prune record names, as sorted ids: 32 bytes each, at most as many as a record holds.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    number: Option<u64>,
    packs: Vec<PackId>,
    lists: Vec<ListId>,
    condemned: Names,
    /// Why nothing is known.
    fault: Option<Fault>,
}

/// What is wrong with a record that cannot be read.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Damaged { object: String, what: String },
    Unsupported { object: String, needs: String },
}

impl Marks {
    /// Reads the newest record. Whoever means to write reads it before anything else of the domain. A record that cannot be
    /// opened is no failure yet: who only reads needs none. See [`Marks::known`].
    pub(crate) async fn read(store: &Store, layout: &DomainLayout, keys: &DomainKeys) -> Result<Self> {
        let mut record = match log::newest(store, layout, keys).await {
            Ok(Some(stored)) => stored.record,
            Ok(None) => return Ok(Self::default()),
            Err(Error::Damaged { object, what, .. }) => return Ok(Self::unknown(Fault::Damaged { object, what })),
            Err(Error::Unsupported { object, needs, .. }) => {
                return Ok(Self::unknown(Fault::Unsupported { object, needs }));
            }
            Err(error) => return Err(error),
        };
        let names = || record.marked.iter().map(|marked| &marked.names).chain([&record.condemned]);
        let mut packs: Vec<PackId> = names().flat_map(|names| names.packs.iter().copied()).collect();
        let mut lists: Vec<ListId> = names().flat_map(|names| names.lists.iter().copied()).collect();
        packs.sort_unstable();
        lists.sort_unstable();
        record.condemned.packs.sort_unstable();
        record.condemned.lists.sort_unstable();
        Ok(Self { number: Some(record.number), packs, lists, condemned: record.condemned, fault: None })
    }

    fn unknown(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// That the record could be read. Without it nobody can tell what is about to be deleted, so that nothing new may rely on
    /// what is stored.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Unsupported`], which name the record.
    pub(crate) fn known(&self) -> Result<()> {
        let kind = ObjectKind::Prune;
        match &self.fault {
            None => Ok(()),
            Some(Fault::Damaged { object, what }) => Err(Error::damaged(kind, object, what)),
            Some(Fault::Unsupported { object, needs }) => {
                Err(Error::Unsupported { kind, object: object.clone(), needs: needs.clone() })
            }
        }
    }

    /// Whether the other ones are of the same record, in the same state.
    pub(crate) fn are_as(&self, others: &Self) -> bool {
        (self.number, &self.fault) == (others.number, &others.fault)
    }

    /// The number of the record, if there is one.
    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// Whether it may be deleted at any moment, or has been.
    pub(crate) fn condemns_pack(&self, id: &PackId) -> bool {
        self.condemned.packs.binary_search(id).is_ok()
    }

    pub(crate) fn condemns_list(&self, id: &ListId) -> bool {
        self.condemned.lists.binary_search(id).is_ok()
    }

    pub(crate) fn has_pack(&self, id: &PackId) -> bool {
        self.packs.binary_search(id).is_ok()
    }

    pub(crate) fn has_list(&self, id: &ListId) -> bool {
        self.lists.binary_search(id).is_ok()
    }
}
