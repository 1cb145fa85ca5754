//! How the memory a domain may use is divided. Pure arithmetic, so that the bound can be read and tested.
//!
//! With `memory` bytes granted and `threads` cores, a writer holds at most:
//!
//! | what | how much |
//! |---|---|
//! | packs being filled or uploaded | `pack_buffers` times `pack_target` and a sixteenth |
//! | batches of chunks in work | (`threads` + streams) times `batch` and the longest chunk, plain, and as much encoded |
//! | windows of the chunkers | streams times 1 MiB and the longest chunk (1 MiB for rows of tables, 6 where they are dense); as many more each as the chunks of batches in work lie in, and no more than four are kept when those are gone |
//! | list pages being filled | streams times about 0.6 MiB |
//! | bases of deltas, read ahead | `bases`, and those of the batches in work |
//! | index filter | `filter` |
//! | index rows held in memory | `index_rows` times about 100 bytes, twice; as many sketch entries |
//!
//! and a reader `prefetch` groups of `group` plain bytes and their sealed form, per stream; beside that all streams being read
//! together `bases` bytes of bases that are kept, and `bases_at_work` of those that chunks are being made on. A reader needs no
//! packs: it has memory for more bases at work than a writer.

const MIB: usize = 1 << 20;

/// The largest pack that is ever written.
pub(crate) const LARGEST_PACK: usize = 64 * MIB;

/// The memory that [`crate::DomainConfig`] grants by default: an agent with four streams stays under 300 MiB.
pub(crate) const DEFAULT: usize = 192 * MIB;

/// The division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Packs that may exist at once: one being filled, the others being uploaded.
    pub(crate) pack_buffers: usize,
    /// Length at which a pack is full.
    pub(crate) pack_target: usize,
    /// Plain bytes of a batch: what one job of the pool works on.
    pub(crate) batch: usize,
    /// Bytes of the filter in front of the index.
    pub(crate) filter: usize,
    /// Rows the index holds in memory before it spills.
    pub(crate) index_rows: usize,
    /// Rows an index object holds before it is written.
    pub(crate) index_object_rows: usize,
    /// Plain bytes of the bases that are kept or read ahead.
    pub(crate) bases: usize,
    /// Plain bytes of the bases that all readers together are working on.
    pub(crate) bases_at_work: usize,
    /// Groups a reader fetches ahead.
    pub(crate) prefetch: usize,
    /// Plain bytes of such a group.
    pub(crate) group: usize,
}

impl Plan {
    /// Divides `memory`: half for packs, an eighth for bases, a sixth for the filter, a twelfth for index rows.
    pub(crate) fn new(memory: usize) -> Self {
        let memory = memory.max(16 * MIB);
        let pack_buffers = 3;
        let pack_target = (memory / 2 / pack_buffers).clamp(2 * MIB, 32 * MIB);
        Self {
            pack_buffers,
            pack_target,
            batch: MIB,
            filter: memory / 6,
            index_rows: (memory / 12 / 100 / 2).clamp(1 << 12, 1 << 17),
            index_object_rows: (memory / 12 / 100 / 2).clamp(1 << 12, 1 << 16),
            bases: (memory / 8).clamp(4 * MIB, 64 * MIB),
            bases_at_work: (memory / 6).clamp(8 * MIB, 128 * MIB),
            prefetch: 6,
            group: (memory / 96).clamp(256 << 10, 2 * MIB),
        }
    }

    /// What a writer with that many streams holds at most, by the table above.
    #[cfg(test)]
    fn writer_bound(&self, threads: usize, streams: usize) -> usize {
        self.pack_buffers * (self.pack_target + self.pack_target / 16)
            + self.bases
            + (threads + streams) * 3 * (self.batch + MIB)
            + streams * (2 * MIB + 600 * 1024)
            + self.filter
            + (self.index_rows + self.index_object_rows) * 100 * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_four_streams_stays_well_under_its_bound() {
        let plan = Plan::new(DEFAULT);
        assert_eq!(plan.pack_target, 32 * MIB);
        let bound = plan.writer_bound(4, 4);
        assert!(bound < 280 * MIB, "{} MiB", bound / MIB);
    }

    #[test]
    fn the_bound_follows_what_is_granted() {
        for granted in [16, 64, 128, 192, 1024] {
            let plan = Plan::new(granted * MIB);
            assert!(plan.pack_target <= LARGEST_PACK);
            let packs_and_index = plan.pack_buffers * plan.pack_target + plan.filter + plan.index_rows * 200;
            assert!(packs_and_index <= granted * MIB, "{granted}: {packs_and_index}");
        }
    }
}
