//! Whether this machine's disk can hold the largest database of a point, asked before anything is restored.

use std::path::Path;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::{Database, Manifest};
use haulier_domain::postgres::scratch;
use nix::sys::statvfs::statvfs;

use super::super::failures;

const GIB: f64 = (1_u64 << 30) as f64;

/// Refuses a point that the folder's disk is too small for.
pub(super) fn must_hold(folder: &Path, manifest: &Manifest, what: &str) -> Result<(), Failure> {
    super::make_private(folder).map_err(|error| failures::local("making the scratch folder", folder, &error))?;
    let disk = statvfs(folder).map_err(|error| failures::local("asking for room on the disk", folder, &error))?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    let largest =
        manifest.databases.iter().map(|database| (needed(database), database)).max_by_key(|(bytes, _)| *bytes);
    match largest {
        Some((needed, database)) if needed > free => Err(too_small(what, &database.name, needed, free)),
        _ => Ok(()),
    }
}

fn needed(database: &Database) -> u64 {
    let streams = database.tables.iter().flat_map(|table| &table.streams);
    let dumped = database.archive_bytes + streams.map(|stream| stream.bytes).sum::<u64>();
    scratch::disk(dumped, database.server_bytes)
}

fn too_small(what: &str, database: &str, needed: u64, free: u64) -> Failure {
    Failure::new(
        "verify-disk-too-small",
        what,
        format!(
            "database {database:?} may need {:.1} GiB, and {:.1} GiB are free on the worker's disk",
            needed as f64 / GIB,
            free as f64 / GIB
        ),
        "give the worker a larger root volume, or an instance type with a larger disk; the coordinator asks for a volume of \
         the point's size where it may",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_names_database_need_and_room() {
        let failure = too_small("verifying", "shop", 3 << 30, 1 << 29);
        assert_eq!(failure.code, "verify-disk-too-small");
        assert!(failure.cause.contains("\"shop\" may need 3.0 GiB, and 0.5 GiB are free"), "{}", failure.cause);
    }
}
