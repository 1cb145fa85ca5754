//! What a writer or reader has to know of pruning: which packs and list pages are not to be relied on by anything new.

use super::log;
use super::record::Names;
use crate::crypto::domain_keys::DomainKeys;
use crate::error::Result;
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
}

impl Marks {
    /// Reads the newest record. Whoever means to write reads it before anything else of the domain.
    pub(crate) async fn read(store: &Store, layout: &DomainLayout, keys: &DomainKeys) -> Result<Self> {
        let Some(record) = log::newest(store, layout, keys).await? else { return Ok(Self::default()) };
        let mut record = record.record;
        let names = || record.marked.iter().map(|marked| &marked.names).chain([&record.condemned]);
        let mut packs: Vec<PackId> = names().flat_map(|names| names.packs.iter().copied()).collect();
        let mut lists: Vec<ListId> = names().flat_map(|names| names.lists.iter().copied()).collect();
        packs.sort_unstable();
        lists.sort_unstable();
        record.condemned.packs.sort_unstable();
        record.condemned.lists.sort_unstable();
        Ok(Self { number: Some(record.number), packs, lists, condemned: record.condemned })
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
