//! Packs that nothing new relies on, by their numbers in the local table of packs. Almost always empty.

use std::collections::HashSet;

/// Why a pack is not to be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// An index object names it, and the store does not have it.
    Missing,
    /// A prune has marked it. It can still be read, and gets rid of its mark where a point needs it.
    Marked,
}

/// All packs in doubt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doubtful {
    missing: HashSet<u32>,
    marked: HashSet<u32>,
}

impl Doubtful {
    pub(crate) fn insert(&mut self, pack: u32, doubt: Doubt) {
        match doubt {
            Doubt::Missing => self.missing.insert(pack),
            Doubt::Marked => self.marked.insert(pack),
        };
    }

    pub(crate) fn is_missing(&self, pack: u32) -> bool {
        self.missing.contains(&pack)
    }

    /// Whether it is in doubt for whatever reason.
    pub(crate) fn contains(&self, pack: u32) -> bool {
        self.missing.contains(&pack) || self.marked.contains(&pack)
    }
}
