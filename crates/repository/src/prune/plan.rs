//! What a prune is to do. A plain function over plain data: what lies in the domain, what of it is needed, what was marked
//! when, and the time.
//!
//! An object that nothing needs is *marked*: from then on nothing new relies on it. It is *condemned*, that is deleted,
//! by a later run, once it has been marked for the grace period and every session that may not know of the mark is over.
//! A marked object that turns out to be needed after all (a session that began before the mark has used it) is *rescued*:
//! its mark goes. What a run has *settled* is never rescued, because that run may be about to delete it: what is needed of
//! such a pack is copied. A pack that is needed for less than half of its bytes is *repacked*: what is needed is copied, and it is
//! marked at once.
//!
//! In an immutable repository, what nothing needs and S3 keeps locked is left as it is, and told of with the date.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::usage::Standing;
use crate::ids::{ListId, PackId};
use crate::pack::builder::OVERHEAD;

/// Most entries of a kind that a record holds. What goes beyond waits for the next run.
pub(super) const MOST: usize = 1 << 18;
/// How far the clocks of coordinator and workers may lie apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackFacts {
    pub(super) id: PackId,
    pub(super) size: u64,
    /// When the store took it.
    pub(super) modified: Timestamp,
    /// Bytes of it that are needed: sealed chunks that have their home here, and their rows in its table.
    pub(super) used: u64,
    /// No index object names it, and chunks are missing: it may be what holds them.
    pub(super) sought: bool,
    pub(super) fate: Fate,
    /// Where nothing needs it: until when it is locked, if it is.
    pub(super) locked: Option<Timestamp>,
}

/// A list page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListFacts {
    pub(super) id: ListId,
    pub(super) size: u64,
    /// When the store took it.
    pub(super) modified: Timestamp,
    /// Whether a point needs it.
    pub(super) live: bool,
    pub(super) fate: Fate,
    /// Where nothing needs it: until when it is locked, if it is.
    pub(super) locked: Option<Timestamp>,
}

/// What earlier runs have decided of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Open,
    /// It is marked since then.
    Marked(Timestamp),
    /// It is to be deleted, unless it turns out to be needed.
    Condemned,
    /// It is being deleted, perhaps this moment.
    Settled,
}

impl Fate {
    pub(super) fn standing(self) -> Standing {
        match self {
            Self::Open => Standing::Kept,
            Self::Marked(_) => Standing::Marked,
            Self::Condemned | Self::Settled => Standing::Condemned,
        }
    }
}

/// What decides beside the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) now: Timestamp,
    pub(super) grace: SignedDuration,
    /// When the oldest session began that works in the domain and still runs.
    pub(super) oldest_session: Option<Timestamp>,
}

impl Terms {
    /// Whether what was marked then may be deleted now.
    fn due(&self, since: Timestamp) -> bool {
        let graced = since.saturating_add(self.grace).is_ok_and(|until| until <= self.now);
        let known = |session| since.saturating_add(SKEW).is_ok_and(|known| known < session);
        graced && self.oldest_session.is_none_or(known)
    }

    /// Whether an object may be one that a running session has stored and not yet named.
    fn young(&self, modified: Timestamp) -> bool {
        modified >= self.oldest_session.unwrap_or(self.now).min(self.now)
    }

    fn verdict(&self, needed: bool, fate: Fate, modified: Timestamp, locked: Option<Timestamp>) -> Verdict {
        let locked = locked.filter(|until| *until > self.now);
        match fate {
            Fate::Open if needed || self.young(modified) => Verdict::Keep,
            // Until it can be deleted, writers may as well use it. Marked so early that the grace period ends with the lock.
            Fate::Open => match locked.filter(|until| self.graced(self.now) < *until) {
                Some(until) => Verdict::Locked(until),
                None => Verdict::Mark,
            },
            Fate::Settled => Verdict::Finish,
            Fate::Marked(_) | Fate::Condemned if needed => Verdict::Rescue,
            Fate::Marked(since) if locked.is_some() || !self.due(since) => Verdict::Wait(since),
            // Somebody has locked it since, or S3 would not let it go.
            Fate::Condemned if locked.is_some() => Verdict::Wait(self.now),
            Fate::Marked(_) | Fate::Condemned => Verdict::Condemn,
        }
    }

    /// When the grace period of what was marked then is over.
    fn graced(&self, since: Timestamp) -> Timestamp {
        since.saturating_add(self.grace).unwrap_or(Timestamp::MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Mark,
    Wait(Timestamp),
    Locked(Timestamp),
    Rescue,
    Condemn,
    Finish,
}

/// How many objects, and how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// What a prune finds and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PruneFigures {
    /// Packs and list pages there were.
    pub stored: Amount,
    /// Bytes of packs and list pages that points need.
    pub live_bytes: u64,
    /// Deleted by this run: marked long enough ago.
    pub freed_now: Amount,
    /// To be deleted by later runs: marked now or not long ago.
    pub freed_later: Amount,
    /// Of them, those that this run marks.
    pub marked: Amount,
    /// Of those to be deleted later, what is locked: nothing needs it, and S3 lets nobody delete it yet.
    pub locked: Amount,
    /// When the last of these locks ends.
    pub locked_until: Option<Timestamp>,
    /// Packs needed for less than half: what is needed of them is copied.
    pub repacked: Amount,
    /// Bytes that are copied for that.
    pub repacked_bytes: u64,
    /// Needed again after they had been marked.
    pub rescued: Amount,
    /// When the earliest of what is marked or locked can be deleted, unless a session older than its mark still runs then.
    pub next_due: Option<Timestamp>,
}

/// What is to be done. Numbers are places in the tables that were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// Marked by an earlier run, and still so.
    pub(super) waiting: Vec<(Timestamp, Object)>,
    /// To be marked now, those to be repacked included.
    pub(super) mark: Vec<Object>,
    /// To be deleted.
    pub(super) condemn: Vec<Object>,
    /// Being deleted by an earlier run, which may have stopped.
    pub(super) finish: Vec<Object>,
    /// Packs to be repacked.
    pub(super) repack: Vec<u32>,
    pub(super) figures: PruneFigures,
}

/// A pack or a list page by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Pack(u32),
    List(u32),
}

impl Object {
    /// The number of the pack, if it is one.
    pub(super) fn pack(self) -> Option<u32> {
        match self {
            Self::Pack(number) => Some(number),
            Self::List(_) => None,
        }
    }
}

impl Plan {
    /// Leaves packs alone that should have been repacked and could not be read.
    pub(super) fn leave(&mut self, unreadable: &[u32], packs: &[PackFacts]) {
        for number in unreadable {
            let pack = &packs[*number as usize];
            self.repack.retain(|other| other != number);
            let figures = &mut self.figures;
            let mut less = vec![&mut figures.repacked];
            figures.repacked_bytes -= pack.used;
            if pack.fate == Fate::Settled {
                // It goes either way.
                figures.live_bytes -= pack.used;
            } else {
                self.mark.retain(|object| *object != Object::Pack(*number));
                less.extend([&mut figures.marked, &mut figures.freed_later]);
                figures.live_bytes += pack.size - pack.used;
            }
            for amount in less {
                amount.objects -= 1;
                amount.bytes -= pack.size;
            }
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.mark.is_empty() && self.condemn.is_empty() && self.finish.is_empty() && self.figures.rescued.objects == 0
    }

    fn pack(&mut self, number: u32, pack: &PackFacts, terms: &Terms) {
        self.figures.stored.add(pack.size);
        let mut verdict = terms.verdict(pack.used > 0 || pack.sought, pack.fate, pack.modified, pack.locked);
        let copied = match verdict {
            Verdict::Finish => pack.used > 0,
            Verdict::Keep | Verdict::Rescue => {
                let room = self.mark.len() + self.waiting.len() < MOST;
                mostly_dead(pack) && !terms.young(pack.modified) && room
            }
            _ => false,
        };
        if copied {
            self.figures.repacked.add(pack.size);
            self.figures.repacked_bytes += pack.used;
            self.figures.live_bytes += pack.used;
            self.repack.push(number);
            if verdict != Verdict::Finish {
                verdict = Verdict::Mark;
            }
        } else if pack.used > 0 {
            self.figures.live_bytes += pack.size;
        }
        self.decide(verdict, Object::Pack(number), pack.size, pack.locked, terms);
    }

    fn list(&mut self, number: u32, list: &ListFacts, terms: &Terms) {
        self.figures.stored.add(list.size);
        let verdict = terms.verdict(list.live, list.fate, list.modified, list.locked);
        if list.live && verdict != Verdict::Finish {
            self.figures.live_bytes += list.size;
        }
        self.decide(verdict, Object::List(number), list.size, list.locked, terms);
    }

    fn decide(&mut self, verdict: Verdict, object: Object, bytes: u64, locked: Option<Timestamp>, terms: &Terms) {
        let figures = &mut self.figures;
        let locked = locked.filter(|until| *until > terms.now);
        if let (Some(until), Verdict::Mark | Verdict::Wait(_) | Verdict::Locked(_) | Verdict::Finish) =
            (locked, verdict)
        {
            figures.locked.add(bytes);
            figures.locked_until = figures.locked_until.max(Some(until));
        }
        match verdict {
            Verdict::Keep => {}
            // There is no room to write it down: left for the next run.
            Verdict::Mark if self.mark.len() + self.waiting.len() >= MOST => {}
            Verdict::Mark => {
                figures.marked.add(bytes);
                figures.freed_later.add(bytes);
                note_due(&mut figures.next_due, terms.graced(terms.now), locked);
                self.mark.push(object);
            }
            Verdict::Finish => {
                // What was locked since it was settled goes with a later run.
                let amount = if locked.is_some() { &mut figures.freed_later } else { &mut figures.freed_now };
                amount.add(bytes);
                self.finish.push(object);
            }
            Verdict::Condemn if self.condemn.len() + self.finish.len() < MOST => {
                figures.freed_now.add(bytes);
                self.condemn.push(object);
            }
            Verdict::Condemn => {
                figures.freed_later.add(bytes);
                self.waiting.push((terms.now, object));
            }
            Verdict::Wait(since) => {
                figures.freed_later.add(bytes);
                note_due(&mut figures.next_due, terms.graced(since), locked);
                self.waiting.push((since, object));
            }
            Verdict::Locked(until) => {
                figures.freed_later.add(bytes);
                note_due(&mut figures.next_due, until, None);
            }
            Verdict::Rescue => figures.rescued.add(bytes),
        }
    }
}

fn note_due(next: &mut Option<Timestamp>, graced: Timestamp, locked: Option<Timestamp>) {
    let due = locked.map_or(graced, |until| until.max(graced));
    *next = (*next).into_iter().chain([due]).min();
}

/// Whether so little of a pack is needed that copying it pays: a copy has less than half of its length. One that is needed in
/// full is no such pack, however small its chunks are beside their rows, or else each run would copy it once more.
fn mostly_dead(pack: &PackFacts) -> bool {
    pack.used > 0 && pack.used + (OVERHEAD as u64) < pack.size / 2
}

/// Decides.
pub(super) fn plan(packs: &[PackFacts], lists: &[ListFacts], terms: &Terms) -> Plan {
    let mut plan = Plan::default();
    // What is settled comes first, so that the record has room for it.
    for settled in [true, false] {
        for (number, pack) in (0..).zip(packs).filter(|(_, pack)| (pack.fate == Fate::Settled) == settled) {
            plan.pack(number, pack, terms);
        }
        for (number, list) in (0..).zip(lists).filter(|(_, list)| (list.fate == Fate::Settled) == settled) {
            plan.list(number, list, terms);
        }
    }
    plan.repack.sort_unstable();
    plan
}

#[cfg(test)]
mod tests;
