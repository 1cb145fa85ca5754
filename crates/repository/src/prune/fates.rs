//! What the newest record says of each object.

use jiff::Timestamp;

use super::log::Stored;
use super::plan::Fate;
use super::record::Names;
use crate::ids::{ListId, PackId};

/// The fates of packs and list pages, in order of their names.
#[derive(Default)]
pub(super) struct Fates {
    packs: Vec<(PackId, Fate)>,
    lists: Vec<(ListId, Fate)>,
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
        fates.add(&record.condemned, Fate::Condemned);
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
