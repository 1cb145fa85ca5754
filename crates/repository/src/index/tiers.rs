//! Sorted segments in tiers: where a tier is full, its segments become one of the next, so that there are few to look into
//! and each entry is rewritten once per tier.

use std::sync::Arc;

/// Segments of a tier before they become one of the next.
const FULL: usize = 8;

/// Immutable segments, oldest first, each with its tier. Tiers never rise from older to newer.
pub(crate) struct Tiers<S>(Vec<(u32, Arc<S>)>);

/// The newest segments of [`Tiers`], which are to become one.
pub(crate) struct Merging<S> {
    pub(crate) segments: Vec<Arc<S>>,
    tier: u32,
}

impl<S> Default for Tiers<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S> Tiers<S> {
    /// All of them, oldest first.
    pub(crate) fn segments(&self) -> Vec<Arc<S>> {
        self.0.iter().map(|(_, segment)| Arc::clone(segment)).collect()
    }

    /// Adds the newest one.
    pub(crate) fn push(&mut self, segment: S) {
        self.0.push((0, Arc::new(segment)));
    }

    /// The newest tier where it is full.
    pub(crate) fn full(&self) -> Option<Merging<S>> {
        let (tier, _) = self.0.last()?;
        let newest = self.0.iter().rev().take_while(|(other, _)| other == tier).count();
        (newest >= FULL).then(|| self.newest(newest))
    }

    /// Everything, where that is more than one segment.
    pub(crate) fn everything(&self) -> Option<Merging<S>> {
        (self.0.len() > 1).then(|| self.newest(self.0.len()))
    }

    fn newest(&self, count: usize) -> Merging<S> {
        let newest = &self.0[self.0.len() - count..];
        let tier = newest.iter().map(|(tier, _)| tier + 1).max().unwrap_or_default();
        Merging { segments: newest.iter().map(|(_, segment)| Arc::clone(segment)).collect(), tier }
    }

    /// Puts what was made of the newest segments in their place. None may have been added meanwhile.
    pub(crate) fn replace(&mut self, merging: &Merging<S>, merged: S) {
        self.0.truncate(self.0.len() - merging.segments.len());
        self.0.push((merging.tier, Arc::new(merged)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_a_tier_become_one_of_the_next() {
        let mut tiers = Tiers::default();
        for number in 0..100 {
            tiers.push(vec![number]);
            while let Some(merging) = tiers.full() {
                let merged = merging.segments.iter().flat_map(|segment| segment.iter().copied()).collect();
                tiers.replace(&merging, merged);
            }
        }
        let lengths: Vec<usize> = tiers.segments().iter().map(|segment| segment.len()).collect();
        assert_eq!(lengths, [64, 8, 8, 8, 8, 1, 1, 1, 1]);
        assert!(tiers.segments().iter().flat_map(|segment| segment.iter().copied()).eq(0..100));

        let all = tiers.everything().unwrap();
        tiers.replace(&all, Vec::new());
        assert_eq!(tiers.segments().len(), 1);
        assert!(tiers.everything().is_none());
    }
}
