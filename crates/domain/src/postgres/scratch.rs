//! How much disk a scratch server needs to hold a restored database, known before anything is restored.

/// The cluster itself, its write-ahead log, and some room.
const BASE: u64 = 1 << 30;
/// The machine's system, clients and servers of every major version, and what the worker keeps beside the scratch server.
const SYSTEM: u64 = 12 << 30;
/// Smallest and largest root volume that is asked for, in GiB.
const VOLUMES: (u64, u64) = (20, 16_384);
const GIB: u64 = 1 << 30;

/// Bytes that a restored database takes at most. `dumped` are the bytes of its rows as text; `on_server` is what it took
/// where it came from, indexes included.
pub fn disk(dumped: u64, on_server: Option<u64>) -> u64 {
    // A fresh copy has no bloat; what sorting takes while indexes are built comes on top. Where the size on the server is
    // not known, rows take up to twice their text, and indexes as much again as the text.
    let data = on_server.map_or(dumped.saturating_mul(3), |bytes| bytes.saturating_add(bytes / 2));
    data.max(dumped).saturating_add(BASE)
}

/// Root volume in GiB for a worker whose scratch server needs so much, where the point has so many bytes in all: the
/// repository's local index grows with those.
pub fn root_volume_gib(needed: u64, point_bytes: u64) -> u32 {
    let bytes = needed.saturating_add(needed / 10).saturating_add(point_bytes / 1024).saturating_add(SYSTEM);
    u32::try_from(bytes.div_ceil(GIB).clamp(VOLUMES.0, VOLUMES.1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_on_the_server_is_trusted_before_the_text() {
        assert_eq!(disk(10 * GIB, None), 31 * GIB);
        assert_eq!(disk(10 * GIB, Some(20 * GIB)), 31 * GIB);
        assert_eq!(disk(10 * GIB, Some(4 * GIB)), 11 * GIB);
        assert_eq!(disk(0, Some(0)), GIB);
        assert_eq!(disk(u64::MAX, None), u64::MAX);
    }

    #[test]
    fn a_volume_holds_the_system_and_the_scratch_server_within_what_ec2_gives() {
        assert_eq!(root_volume_gib(GIB, 0), 20);
        assert_eq!(root_volume_gib(100 * GIB, 0), 122);
        assert_eq!(root_volume_gib(u64::MAX, u64::MAX), 16_384);
    }
}
