//! What the newest record says of each object.

use jiff::Timestamp;

use super::log::Stored;
use super::plan::Fate;
use super::record::Names;
use crate::ids::{IndexId, ListId, PackId};

/// The fates of packs, list pages and index objects, in order of their names.
#[derive(Default)]
pub(super) struct Fates {
    packs: Vec<(PackId, Fate)>,
    lists: Vec<(ListId, Fate)>,
    /// Replaced by others.
    indexes: Vec<IndexId>,
}

impl Fates {
    pub(super) fn of(stored: Option<&Stored>) -> Self {
        let mut fates = Self::default();
        let Some(Stored { record, modified }) = stored else { return fates };
        for marked in &record.marked {
            // What was marked with this very record can be known to others only since the store has it.
            let since = if marked.since == record.written { marked.since.max(*modified) } else { marked.since };
            fates.add(&marked.names, Fate::Marked(since));
        }
        let (packs, lists) = (record.settled.packs as usize, record.settled.lists as usize);
        let fate = |settled| if settled { Fate::Settled } else { Fate::Condemned };
        let condemned = &record.condemned;
        fates.packs.extend(condemned.packs.iter().enumerate().map(|(at, id)| (*id, fate(at < packs))));
        fates.lists.extend(condemned.lists.iter().enumerate().map(|(at, id)| (*id, fate(at < lists))));
        fates.indexes.clone_from(&record.settled.indexes);
        fates.indexes.sort_unstable();
        fates.packs.sort_unstable_by_key(|(id, _)| *id);
        fates.lists.sort_unstable_by_key(|(id, _)| *id);
        fates
    }

    fn add(&mut self, names: &Names, fate: Fate) {
        self.packs.extend(names.packs.iter().map(|id| (*id, fate)));
        self.lists.extend(names.lists.iter().map(|id| (*id, fate)));
    }

    pub(super) fn pack(&self, id: &PackId) -> Fate {
        find(&self.packs, id)
    }

    /// Whether the index object is being deleted, because others say what it says.
    pub(super) fn is_replaced(&self, id: &IndexId) -> bool {
        self.indexes.binary_search(id).is_ok()
    }

    pub(super) fn list(&self, id: &ListId) -> Fate {
        find(&self.lists, id)
    }
}

fn find<I: Ord>(fates: &[(I, Fate)], id: &I) -> Fate {
    fates.binary_search_by(|(other, _)| other.cmp(id)).map_or(Fate::Open, |at| fates[at].1)
}

/// Names that were marked at the same time belong together in a record.
pub(super) fn by_time<T>(marks: Vec<(Timestamp, T)>, mut add: impl FnMut(&mut Names, T)) -> Vec<super::record::Marked> {
    let mut groups: std::collections::BTreeMap<Timestamp, Names> = std::collections::BTreeMap::new();
    for (since, mark) in marks {
        add(groups.entry(since).or_default(), mark);
    }
    groups.into_iter().map(|(since, names)| super::record::Marked { since, names }).collect()
}
