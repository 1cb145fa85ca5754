//! How a backup reads and stores: the bounds of what a policy may say.
//!
//! They keep out what could only be a slip of the pen: thousands of connections, a stream for each row, a table that is
//! split before it is large enough to be read alone. Within them a worker carries out whatever is written.

use super::model::Transfer;
use super::validate::Faults;

/// Tables from this size get a data stream of their own where the policy does not say.
pub const DEFAULT_LARGE_TABLE_BYTES: u64 = 16 << 20;
/// Tables from this size are read over several connections where the policy does not say.
pub const DEFAULT_SPLIT_TABLE_BYTES: u64 = 1 << 30;

const MIB: u64 = 1 << 20;
const MAX_TABLE: u64 = 32 << 40;
const MAX_STREAMS: u32 = 64;
const MAX_LEVEL: i32 = 19;

pub(super) fn check(found: &mut Faults, transfer: &Transfer) {
    let Transfer { parallel_streams, large_table_bytes, split_table_bytes, compression_level } = *transfer;
    if let Some(streams) = parallel_streams.filter(|streams| !(1..=MAX_STREAMS).contains(streams)) {
        let remedy = "write 1 to 64, or remove the key: one stream for each core is the default";
        found.add("transfer.parallel_streams", format!("{streams} streams are out of range"), remedy);
    }
    if let Some(level) = compression_level.filter(|level| !(1..=MAX_LEVEL).contains(level)) {
        found.add("transfer.compression_level", format!("{level} is not a level"), "write 1 to 19");
    }
    let sizes = [("transfer.large_table_bytes", large_table_bytes), ("transfer.split_table_bytes", split_table_bytes)];
    for (field, size) in sizes {
        if let Some(size) = size.filter(|size| !(MIB..=MAX_TABLE).contains(size)) {
            let remedy = "write 1048576 (1 MiB) to 35184372088832 (32 TiB)";
            found.add(field, format!("{size} bytes are out of range"), remedy);
        }
    }
    let (large, split) = (
        large_table_bytes.unwrap_or(DEFAULT_LARGE_TABLE_BYTES),
        split_table_bytes.unwrap_or(DEFAULT_SPLIT_TABLE_BYTES),
    );
    if split < large {
        let field = if split_table_bytes.is_some() { "split_table_bytes" } else { "large_table_bytes" };
        found.add(
            format!("transfer.{field}"),
            format!("tables would be split from {split} bytes, but stand alone from {large} bytes only"),
            "make split_table_bytes at least as large as large_table_bytes",
        );
    }
}
