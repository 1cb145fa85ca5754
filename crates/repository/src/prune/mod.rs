//! Prune: what no restore point needs is deleted, safely beside backups and restores that run.
//!
//! Two runs delete an object. The first *marks* it in the prune record; from then on writers do not rely on it and readers
//! prefer another place. A later run *condemns* it, once it has been marked for the grace period and every session that
//! began before is over, and deletes it; unless a point has come to need it, then its mark goes. See `plan.rs`.
//!
//! What makes it safe, without relying on clocks, but for a run that stalls while it deletes and another that goes on
//! meanwhile, since deleting does not look at the record again:
//! 1. The record is whole and numbered; a run that finds the next number taken stops before it has deleted anything.
//! 2. Nothing is deleted that the newest record does not condemn.
//! 3. After the record that condemns is written, the points are listed once more; whatever a new one needs is taken out of
//!    the record (by a further one) before anything is deleted.
//! 4. Whoever publishes a point reads the record's number before it verifies and after the point is written. If it has
//!    changed, it verifies again, and takes the point back if something it needs is condemned or gone. So of a prune and a
//!    publication at once, at least one sees the other.
//!
//! The grace period and the start of the oldest session only keep (4) from ever refusing an honest backup.
//!
//! Order: copies of what is repacked, their index object, the record, then index objects without what goes, then packs and
//! list pages. A run that is killed anywhere leaves what it had decided in the record, and the next one goes on.

mod fates;
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
