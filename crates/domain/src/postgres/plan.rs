//! How a database is cut into streams: small tables stay in `pg_dump`'s archive, a large one becomes a stream of its
//! own, a very large one several, by ranges of its pages.

use super::clients;
use super::manifest::PageRange;

/// Tables of at least this many bytes get a stream of their own, unless the job says otherwise.
pub const LARGE_TABLE_BYTES: u64 = 16 << 20;

/// Tables of at least this many bytes are split, unless the job says otherwise.
pub const SPLIT_TABLE_BYTES: u64 = 512 << 20;

/// Most ranges a table is split into: enough for the last one to end with the others, few enough to be read in order.
const MOST_RANGES: u64 = 64;

/// First major version that reads a ctid range without reading the table.
const TID_RANGE_SCAN: u32 = 14;

/// A table as the catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// Its oid.
    pub oid: u32,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// Bytes of its rows, overlong values included, indexes not.
    pub bytes: u64,
    /// Pages of its main fork.
    pub pages: u64,
    /// Columns a dump has, in order; generated ones are not among them.
    pub columns: Vec<String>,
    /// Whether the server can read it by ctid (heap tables).
    pub heap: bool,
    /// Where its rows must be restored into, if not itself.
    pub load_into: Option<(String, String)>,
}

/// From which size on tables leave the archive and are split. Zero means the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// For a stream of its own.
    pub large: u64,
    /// For several.
    pub split: u64,
}

impl Thresholds {
    /// Zero stands for the default.
    pub fn new(large: u64, split: u64) -> Self {
        let or = |value, default| if value == 0 { default } else { value };
        Self { large: or(large, LARGE_TABLE_BYTES), split: or(split, SPLIT_TABLE_BYTES) }
    }
}

/// A table that leaves the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTable {
    /// The table.
    pub table: TableFacts,
    /// Its streams; `None` is the whole table.
    pub ranges: Vec<Option<PageRange>>,
}

/// Chooses the tables that leave the archive, largest first.
pub fn cut(tables: Vec<TableFacts>, thresholds: Thresholds, server_version_num: u32) -> Vec<PlannedTable> {
    let can_split = clients::major(server_version_num) >= TID_RANGE_SCAN;
    let mut large: Vec<_> = tables
        .into_iter()
        // `COPY` cannot name no column at all, and such a table's rows are counted, not kept.
        .filter(|table| table.bytes >= thresholds.large && !table.columns.is_empty())
        .collect();
    large.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.oid.cmp(&b.oid)));
    large
        .into_iter()
        .map(|table| {
            let split = can_split && table.heap && table.bytes >= thresholds.split;
            let ranges = if split { ranges(table.bytes, table.pages, thresholds.split) } else { vec![None] };
            PlannedTable { table, ranges }
        })
        .collect()
}

/// Cuts pages into ranges of about half the splitting size each, in equal parts; the last one has no end, for what the
/// table may have grown by.
fn ranges(bytes: u64, pages: u64, split: u64) -> Vec<Option<PageRange>> {
    let wanted = bytes.div_ceil((split / 2).max(1)).clamp(1, MOST_RANGES).min(pages.max(1));
    if wanted < 2 {
        return vec![None];
    }
    (0..wanted)
        .map(|index| {
            let bound = |index: u64| {
                // Pages fit in 32 bits, and there are few ranges.
                pages * index / wanted
            };
            Some(PageRange { from: bound(index), to: (index + 1 < wanted).then(|| bound(index + 1)) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(oid: u32, bytes: u64) -> TableFacts {
        TableFacts {
            oid,
            schema: "public".into(),
            name: format!("t{oid}"),
            bytes,
            pages: bytes / 8192,
            columns: vec!["a".into()],
            heap: true,
            load_into: None,
        }
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn tables_leave_the_archive_by_size() {
        let thresholds = Thresholds::new(10 * MIB, 100 * MIB);
        let tables = vec![table(1, 9 * MIB), table(2, 10 * MIB), table(3, 200 * MIB)];
        let plan = cut(tables, thresholds, 150_000);
        let shape: Vec<_> = plan.iter().map(|planned| (planned.table.oid, planned.ranges.len())).collect();
        assert_eq!(shape, [(3, 4), (2, 1)]);
    }

    #[test]
    fn only_heaps_of_servers_that_scan_by_range_are_split() {
        let thresholds = Thresholds::new(MIB, MIB);
        let split = |facts: TableFacts, version| cut(vec![facts], thresholds, version)[0].ranges.len() > 1;
        assert!(split(table(1, 100 * MIB), 140_000));
        assert!(!split(table(1, 100 * MIB), 130_000));
        assert!(!split(TableFacts { heap: false, ..table(1, 100 * MIB) }, 150_000));
    }

    #[test]
    fn a_table_without_columns_stays_in_the_archive() {
        let bare = TableFacts { columns: Vec::new(), ..table(1, 100 * MIB) };
        assert!(cut(vec![bare], Thresholds::new(1, 1), 150_000).is_empty());
    }

    #[test]
    fn zero_is_the_default() {
        assert_eq!(Thresholds::new(0, 0), Thresholds { large: LARGE_TABLE_BYTES, split: SPLIT_TABLE_BYTES });
    }

    proptest! {
        #[test]
        fn ranges_cover_every_page_once(bytes in 1_u64..1 << 45, pages in 0_u64..1 << 32, split in 1_u64..1 << 40) {
            let ranges = ranges(bytes, pages, split);
            prop_assert!(ranges.len() as u64 <= MOST_RANGES);
            let mut next = 0;
            for (index, range) in ranges.iter().enumerate() {
                let Some(range) = range else {
                    prop_assert_eq!(ranges.len(), 1);
                    continue;
                };
                prop_assert_eq!(range.from, next);
                match range.to {
                    Some(to) => { prop_assert!(to > range.from); next = to; }
                    None => prop_assert_eq!(index, ranges.len() - 1),
                }
            }
        }
    }
}
