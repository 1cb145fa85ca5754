//! Prune: what no restore point needs is deleted, safely beside backups and restores that run.
//!
//! Two runs delete an object. The first *marks* it in the prune record; from then on writers do not rely on it and readers
//! prefer another place. A later run *condemns* it, once it has been marked for the grace period and every session that
//! began before is over, and deletes it; unless a point has come to need it, then its mark goes. See `plan.rs`.
//!
//! What makes it safe, without relying on clocks, and however long a run stalls between two of its calls:
//! 1. The record is whole and numbered; a run that finds the next number taken stops before it has deleted anything.
//! 2. After the record that condemns is written, the points are listed once more. What no new one needs is *settled* by a
//!    further record, and only what a record settles is deleted.
//! 3. What is settled is given up for good: no later run takes it back, no writer relies on it, no point that needs it is
//!    published. So it does no harm when whoever settled it deletes it late. This holds for index objects too, which are
//!    settled when others have been written that say the same.
//! 4. Whoever publishes a point reads the record's number before it verifies and after the point is written. If it has
//!    changed, it verifies again, and takes the point back if something it needs is condemned or gone. So of a prune and a
//!    publication at once, at least one sees the other.
//!
//! A list page alone has the same name when it is written again, by a writer that knows neither of the mark nor of the
//! record. Honest ones are known to the coordinator; for the others, deleting looks at the record before each batch.
//!
//! The grace period and the start of the oldest session only keep (4) from ever refusing an honest backup.
//!
//! Order: copies of what is repacked, their index object, the record that condemns, index objects without what goes, the
//! record that settles, then index objects that have been replaced, then packs and list pages. A run that is killed anywhere
//! leaves what it had decided in the record, and the next one goes on.

mod fates;
mod locks;
pub(crate) mod log;
pub(crate) mod marks;
mod plan;
mod record;
mod repack;
mod run;
mod sorter;
mod survey;
mod sweep;
mod usage;
mod walk;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use self::plan::{Amount, PruneFigures};

/// How a prune is to go about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// The time.
    pub now: Timestamp,
    /// How long an object is marked before it is deleted.
    pub grace: SignedDuration,
    /// When the oldest session began that works in the domain and still runs; nothing that was marked later than five minutes
    /// before is deleted, and nothing stored since is marked.
    pub oldest_session: Option<Timestamp>,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What a prune is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunePhase {
    /// Reading index objects.
    Index,
    /// Following points to what they need.
    Points,
    /// Copying out of packs that are mostly dead.
    Repack,
    /// Deleting.
    Delete,
}

/// Is told the phase, how much of it is done, and of how much.
pub(crate) type Teller<'a> = dyn Fn(PrunePhase, u64, u64) + Send + Sync + 'a;

/// What a prune has done, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Points there are.
    pub points: u64,
    /// The figures.
    pub figures: PruneFigures,
    /// Index objects written anew.
    pub index_objects: u64,
    /// Chunks that points need and that no index object knows: damage, for a check to tell more about.
    pub chunks_missing: u64,
}
