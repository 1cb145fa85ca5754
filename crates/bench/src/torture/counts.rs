//! What happened, in figures.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::plan::Terms;

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Counts {
    began: Instant,
    pub(super) took: Duration,
    /// Writers that were started, and of them those that were killed.
    pub(super) writes: u64,
    pub(super) writes_killed: u64,
    /// Points that a killed writer had created, and that were not whole.
    pub(super) withdrawn: u64,
    pub(super) refused: u64,
    pub(super) prunes: u64,
    pub(super) prunes_killed: u64,
    pub(super) prunes_overlapped: u64,
    /// Prunes at the end until nothing was left to delete.
    pub(super) prunes_to_rest: u64,
    /// What prunes say that they deleted; those that were killed say nothing.
    pub(super) freed_objects: u64,
    pub(super) freed_bytes: u64,
    pub(super) repacked: u64,
    pub(super) rescued: u64,
    pub(super) published: u64,
    pub(super) bytes_stored: u64,
    pub(super) chunks_delta: u64,
    pub(super) removed: u64,
    pub(super) verified: u64,
    pub(super) verified_bytes: u64,
    /// Reads that were begun anew, because a prune that waited for nobody had taken the pack from under them.
    pub(super) reads_repeated: u64,
    pub(super) most_bytes: u64,
    pub(super) left_bytes: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            took: Duration::ZERO,
            writes: 0,
            writes_killed: 0,
            withdrawn: 0,
            refused: 0,
            prunes: 0,
            prunes_killed: 0,
            prunes_overlapped: 0,
            prunes_to_rest: 0,
            freed_objects: 0,
            freed_bytes: 0,
            repacked: 0,
            rescued: 0,
            published: 0,
            bytes_stored: 0,
            chunks_delta: 0,
            removed: 0,
            verified: 0,
            verified_bytes: 0,
            reads_repeated: 0,
            most_bytes: 0,
            left_bytes: 0,
        }
    }

    /// A prune has reported.
    pub(super) fn pruned(&mut self, report: &Value) {
        let figure = |name: &str, field: &str| report["figures"][name][field].as_u64().unwrap_or_default();
        self.freed_objects += figure("freed_now", "objects");
        self.freed_bytes += figure("freed_now", "bytes");
        self.repacked += figure("repacked", "objects");
        self.rescued += figure("rescued", "objects");
    }

    /// A writer has published.
    pub(super) fn stored(&mut self, said: &Value) {
        let total = |name: &str| said["totals"][name].as_u64().unwrap_or_default();
        self.bytes_stored += total("bytes_stored");
        self.chunks_delta += total("chunks_delta");
    }

    pub(super) fn stop(&mut self) {
        self.took = self.began.elapsed();
    }

    pub(super) fn lines(&self) -> String {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        format!(
            "{} writers, {} of them killed; {} publications refused, {} points withdrawn\n\
             {} prunes, {} of them killed, {} stopped because another was at work; {} objects of {} MB deleted, {} packs repacked, {} rescued\n\
             {} points published, {} removed, {} of {} MB compared and the same; {} chunks were deltas\n\
             {} MB at most, {} MB at the end, {:.0} seconds",
            self.writes,
            self.writes_killed,
            self.refused,
            self.withdrawn,
            self.prunes,
            self.prunes_killed,
            self.prunes_overlapped,
            self.freed_objects,
            megabytes(self.freed_bytes),
            self.repacked,
            self.rescued,
            self.published,
            self.removed,
            self.verified,
            megabytes(self.verified_bytes),
            self.chunks_delta,
            megabytes(self.most_bytes),
            megabytes(self.left_bytes),
            self.took.as_secs_f64(),
        )
    }

    pub(super) fn json(&self, terms: &Terms) -> Value {
        json!({
            "seed": terms.seed,
            "streams": terms.streams,
            "largest_megabytes": terms.largest,
            "writes": self.writes,
            "writes_killed": self.writes_killed,
            "points_withdrawn": self.withdrawn,
            "publications_refused": self.refused,
            "prunes": self.prunes,
            "prunes_killed": self.prunes_killed,
            "prunes_overlapped": self.prunes_overlapped,
            "prunes_to_rest": self.prunes_to_rest,
            "objects_deleted": self.freed_objects,
            "bytes_deleted": self.freed_bytes,
            "packs_repacked": self.repacked,
            "objects_rescued": self.rescued,
            "points_published": self.published,
            "points_removed": self.removed,
            "points_verified": self.verified,
            "bytes_verified": self.verified_bytes,
            "reads_repeated": self.reads_repeated,
            "bytes_stored": self.bytes_stored,
            "chunks_delta": self.chunks_delta,
            "folder_bytes_at_most": self.most_bytes,
            "folder_bytes_at_the_end": self.left_bytes,
            "seconds": self.took.as_secs_f64(),
            "all_the_same": true,
        })
    }
}
