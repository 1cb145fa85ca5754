//! Following a stream of the base point along, while its successor is written: which of its chunks a new one resembles,
//! judged by place, and where that is not certain by what `recognise` is told of its content.
//!
//! Boundaries follow content, so most of them come again in the new stream, a little earlier or later than the bytes
//! before them say. So the follower keeps an offset into the base stream, moves it by the length of each new chunk, and
//! corrects it at the next boundary of the base stream that lies near. Where a change has destroyed a boundary, a new
//! chunk covers two old ones: it is cut where the old one ended, so that each part has its base; a chunk that is known
//! already is never cut.
//!
//! Lost after an insertion or deletion, the follower is put right by chunks of the base stream whose beginning is recognised
//! (`recognise`), and else by equal ones, by those whose sketch found the base (`note`), and by runs of chunks whose lengths fit
//! a run of the base stream's (`aligned`).

use std::collections::VecDeque;

use crate::ids::ChunkId;
use crate::stream::ChunkRef;

/// How far around the expected place a chunk of exactly the same length is looked for, in chunks.
const REACH: usize = 32;
/// How many chunks in a row must have lengths that fit, by how far away they are: by chance one in fifteen does.
const RUNS: [(usize, usize); 3] = [(3, 2), (REACH, 3), (1_000, 5)];
/// A chunk of this part of its length more or less ends at the boundary.
const TOLERANCE: u64 = 20;
/// Parts smaller than this are not cut off.
pub(crate) const SMALLEST_PART: u64 = 16 << 10;
/// After so many proposals in a row that were no use, nothing is proposed, but for every eighth chunk.
const LOST: u32 = 3;
/// Chunks of the base stream that are kept in memory.
const KEPT: usize = 1 << 16;

/// A chunk of the base stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: ChunkId,
    /// Where it begins.
    pub(crate) start: u64,
    length: u32,
}

impl Entry {
    fn end(&self) -> u64 {
        self.start + u64::from(self.length)
    }
}

/// Where a new chunk was thought to be in the base stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The chunk of the base stream that it should resemble.
    pub(crate) base: Option<ChunkId>,
    at: u64,
    length: u64,
    turn: u32,
}

/// A new chunk, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) length: usize,
    pub(crate) place: Place,
}

/// A chunk as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: ChunkId,
    /// It is stored already.
    pub(crate) known: bool,
}

/// How a chunk is to be cut, and where that leads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) parts: Vec<Part>,
    /// The plan may be another one once it is known which chunk this is.
    pub(crate) doubtful: bool,
    /// The place is a guess: it is worth a look at the content.
    pub(crate) astray: bool,
    /// A lost follower has found its place.
    found: bool,
    /// Of the whole chunk.
    length: u32,
    at: u64,
    sure: bool,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was stored already, under this id.
    Known(ChunkId),
    /// It became a delta on what its place proposed.
    Followed,
    /// The same, but a large one: the place may be wrong.
    Strayed,
    /// It became a delta on this chunk, which its sketch found.
    Similar(ChunkId),
    /// It was stored whole.
    Alone,
}

/// Follows one stream.
#[derive(Debug)]
pub(crate) struct Follower {
    chunks: VecDeque<Entry>,
    /// Where the next chunk is thought to begin.
    at: u64,
    /// That is a boundary.
    sure: bool,
    /// Lengths of the last chunks, the last one first.
    recent: VecDeque<u32>,
    /// Counts how often the follower was put right.
    turn: u32,
    /// Proposals in a row that were no use.
    poor: u32,
    /// How many of the last chunks were new, in 64ths.
    new: u32,
}

impl Follower {
    /// A follower at the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { chunks: VecDeque::new(), at: 0, sure: true, recent: VecDeque::new(), turn: 0, poor: 0, new: 0 }
    }

    /// Takes the next chunks of the base stream.
    pub(crate) fn extend(&mut self, start: u64, chunks: &[ChunkRef]) {
        let mut start = start;
        for chunk in chunks {
            self.chunks.push_back(Entry { id: chunk.id, start, length: chunk.length });
            start += u64::from(chunk.length);
        }
        while self.chunks.len() > KEPT && self.chunks.front().is_some_and(|first| first.end() < self.at) {
            self.chunks.pop_front();
        }
    }

    /// How much of the base stream is known beyond the place that has been reached.
    pub(crate) fn known_ahead(&self) -> u64 {
        self.end().saturating_sub(self.at)
    }

    fn end(&self) -> u64 {
        self.chunks.back().map_or(0, Entry::end)
    }

    /// The entry that covers an offset, or the first one behind it.
    fn index_at(&self, offset: u64) -> usize {
        self.chunks.partition_point(|entry| entry.end() <= offset)
    }

    /// The boundary nearest to an offset.
    fn boundary_near(&self, offset: u64) -> u64 {
        match self.chunks.get(self.index_at(offset)) {
            Some(entry) if offset.abs_diff(entry.start) <= entry.end().abs_diff(offset) => entry.start,
            Some(entry) => entry.end(),
            None => self.end(),
        }
    }

    /// Where a chunk of that length is, and how it is to be cut. Nothing changes before the plan is taken. Which chunk it
    /// is costs a look at all of it, so it is asked for only where it matters.
    pub(crate) fn plan(&self, length: usize, identity: Option<Identity>) -> Plan {
        let long = length as u64;
        let (same, elsewhere) = self.of_length(length, identity);
        let reached = self.at + long;
        let boundary = self.boundary_near(reached);
        // From nowhere certain, one chunk in ten ends near a boundary by chance.
        let sure = self.sure && boundary > self.at && boundary.abs_diff(reached) <= long / TOLERANCE;
        let lost = !self.sure || self.poor > 0;
        let fitting = || if lost { self.aligned(length as u32) } else { None };
        if let Some(entry) = same.or_else(fitting) {
            let place = Place { base: Some(entry.id), at: entry.start, length: long, turn: self.turn };
            let parts = vec![Part { length, place }];
            let (doubtful, astray, found) = (false, same.is_none(), true);
            return Plan { parts, doubtful, astray, found, length: length as u32, at: entry.end(), sure: true };
        }
        let end = if sure { boundary } else { reached };
        let whole = identity.is_some_and(|identity| identity.known);
        let parts = self.cut_into(length, end, sure, whole);
        let doubtful = identity.is_none() && (elsewhere || parts.len() > 1);
        let astray = !(self.sure && sure) || self.poor > 0;
        Plan { parts, doubtful, astray, found: false, length: length as u32, at: end, sure }
    }

    /// The same for a chunk that ends where one of the base stream is known to begin.
    pub(crate) fn plan_to(&self, length: usize, end: u64) -> Plan {
        let parts = self.cut_into(length, end, true, false);
        Plan { parts, doubtful: false, astray: false, found: true, length: length as u32, at: end, sure: true }
    }

    /// The parts of a chunk, up to an offset, which is a boundary where it is `sure`.
    fn cut_into(&self, length: usize, end: u64, sure: bool, whole: bool) -> Vec<Part> {
        let long = length as u64;
        let mut parts = Vec::with_capacity(1);
        let (mut from, mut left) = (self.at, length);
        if (self.sure || sure) && self.poor == 0 && !whole {
            for cut in self.starts_between(self.at, end) {
                // Measured from the end that is a boundary; from both where both are.
                let place = match (self.sure, sure) {
                    (true, true) => (cut - self.at) * long / (end - self.at),
                    (true, false) => cut - self.at,
                    _ => long.saturating_sub(end - cut),
                };
                let part = (place as usize).saturating_sub(length - left);
                if part < SMALLEST_PART as usize || left - part.min(left) < SMALLEST_PART as usize {
                    continue;
                }
                parts.push(Part { length: part, place: self.place(from, part, self.covering(from, cut)) });
                (from, left) = (cut, left - part);
            }
        }
        parts.push(Part { length: left, place: self.place(from, left, self.covering(from, end)) });
        parts
    }

    /// The chunk of the base stream with this id that is nearest.
    pub(crate) fn find(&self, id: &ChunkId) -> Option<Entry> {
        self.near(id, self.at)
    }

    fn near(&self, id: &ChunkId, at: u64) -> Option<Entry> {
        let same = self.chunks.iter().filter(|entry| entry.id == *id);
        same.min_by_key(|entry| entry.start.abs_diff(at)).copied()
    }

    /// So many bytes ahead, this chunk of the base stream begins.
    pub(crate) fn recognise(&mut self, ahead: usize, entry: &Entry) {
        let long = ahead as u64;
        if ahead == 0 || !self.sure || self.poor > 0 || self.at > entry.start {
            self.at = entry.start.saturating_sub(long);
            self.sure = ahead == 0;
        }
        self.poor = 0;
        self.turn += 1;
    }

    /// The boundaries within a stretch, but for those near its ends and near one another.
    fn starts_between(&self, from: u64, to: u64) -> Vec<u64> {
        let mut found = Vec::new();
        let mut last = from;
        for entry in self.chunks.range(self.index_at(from).min(self.chunks.len())..) {
            if entry.start + SMALLEST_PART >= to {
                break;
            }
            if entry.start > last + SMALLEST_PART {
                found.push(entry.start);
                last = entry.start;
            }
        }
        found
    }

    pub(crate) fn take(&mut self, plan: &Plan) {
        self.at = plan.at;
        self.sure = plan.sure;
        if plan.found {
            self.poor = 0;
        }
        self.recent.push_front(plan.length);
        self.recent.truncate(RUNS[RUNS.len() - 1].1);
    }

    /// The chunk of exactly that length, if it is at its place, or is the same; and whether there is one elsewhere.
    fn of_length(&self, length: usize, identity: Option<Identity>) -> (Option<Entry>, bool) {
        let here = self.index_at(self.at);
        if here >= self.chunks.len() {
            return (None, false);
        }
        let near = self.chunks.range(here.saturating_sub(REACH)..(here + REACH).min(self.chunks.len()));
        let mut of_length: Vec<&Entry> = near.filter(|entry| entry.length as usize == length).collect();
        of_length.sort_by_key(|entry| entry.start.abs_diff(self.at));
        let here = of_length.first().filter(|entry| entry.start.abs_diff(self.at) <= length as u64 / TOLERANCE);
        let same = of_length.iter().find(|entry| identity.is_some_and(|identity| identity.id == entry.id));
        (here.or(same).map(|entry| **entry), !of_length.is_empty())
    }

    /// The chunk of the base stream at which its lengths fit those of the last chunks, this one included.
    fn aligned(&self, length: u32) -> Option<Entry> {
        let here = self.index_at(self.at);
        let fits = |new: u32, old: u32| new.abs_diff(old) <= old / TOLERANCE as u32;
        let run_to = |at: usize| {
            let new = std::iter::once(&length).chain(&self.recent);
            let old = self.chunks.range(..=at).rev();
            new.zip(old).take_while(|(new, old)| fits(**new, old.length)).count()
        };
        let far = RUNS[RUNS.len() - 1].0;
        let candidates = here.saturating_sub(far)..(here + far).min(self.chunks.len());
        let fitting = candidates.filter_map(|at| {
            let (run, distance) = (run_to(at), at.abs_diff(here));
            let needed = RUNS.iter().find(|(reach, _)| distance <= *reach)?.1;
            (run >= needed).then_some((run, std::cmp::Reverse(distance), at))
        });
        fitting.max().map(|(_, _, at)| self.chunks[at])
    }

    /// The chunk that covers the middle of a stretch.
    fn covering(&self, from: u64, to: u64) -> Option<ChunkId> {
        self.chunks.get(self.index_at(from + (to - from) / 2)).map(|entry| entry.id)
    }

    fn place(&self, at: u64, length: usize, base: Option<ChunkId>) -> Place {
        let lost = self.poor >= LOST && !self.poor.is_multiple_of(8);
        Place { base: base.filter(|_| !lost), at, length: length as u64, turn: self.turn }
    }

    /// The chunks of the base stream from an offset up to some bytes behind the place that has been reached, where
    /// chunks are new and proposals of use: those that are worth reading ahead.
    pub(crate) fn ahead(&self, from: u64, bytes: u64) -> impl Iterator<Item = ChunkRef> {
        let useful = self.new >= 16 && self.poor < LOST;
        let from = self.index_at(from.max(self.at));
        let until = self.at + bytes;
        let entries =
            self.chunks.range(from.min(self.chunks.len())..).take_while(move |entry| useful && entry.start < until);
        entries.map(|entry| ChunkRef { id: entry.id, length: entry.length })
    }

    /// Where the next chunk is thought to begin.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Learns from what became of a chunk. `whereabouts` is the chunk of the base stream that has the base which a sketch found.
    pub(crate) fn note(&mut self, place: &Place, fate: Fate, whereabouts: Option<ChunkId>) {
        self.new -= self.new / 8;
        self.new += if matches!(fate, Fate::Known(_)) { 0 } else { 8 };
        let found = match fate {
            Fate::Known(id) if place.base == Some(id) => None,
            Fate::Known(id) => Some(id),
            Fate::Similar(_) => {
                self.poor += u32::from(place.base.is_some());
                whereabouts
            }
            Fate::Followed => None,
            Fate::Alone | Fate::Strayed => {
                self.poor += 1;
                return;
            }
        };
        match found {
            Some(id) => self.put_right(place, &id),
            None if matches!(fate, Fate::Similar(_)) => {}
            None => self.poor = 0,
        }
    }

    /// The chunk at `place` turned out to be this one of the base stream.
    fn put_right(&mut self, place: &Place, id: &ChunkId) {
        let Some(entry) = self.near(id, place.at) else { return };
        if place.turn != self.turn {
            return;
        }
        self.poor = 0;
        let moved = entry.start.abs_diff(place.at);
        let tolerance = u64::from(entry.length) / TOLERANCE;
        if moved <= tolerance {
            return;
        }
        let at = if entry.start > place.at { self.at + moved } else { self.at.saturating_sub(moved) };
        let boundary = self.boundary_near(at);
        // Of another length, it may be a part of that chunk, from anywhere.
        self.sure = place.length.abs_diff(entry.length.into()) <= tolerance && boundary.abs_diff(at) <= tolerance;
        self.at = if self.sure { boundary } else { at };
        self.turn += 1;
    }

    /// The ids of the base stream that are known, for whoever looks up what they are deltas on.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ChunkId> {
        self.chunks.iter().map(|entry| entry.id)
    }
}

#[cfg(test)]
mod tests;
