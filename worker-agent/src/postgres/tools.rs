//! The client tools on board, and which of them fit a server.

use std::path::{Path, PathBuf};

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clients;

/// Programs of a scratch server.
const SERVER: [&str; 2] = ["initdb", "postgres"];

/// Client tools of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tools {
    /// Folder of the binaries.
    pub(super) bin: PathBuf,
    /// Their major version.
    pub(super) major: u32,
    /// Whether they are newer than asked for.
    pub(super) newer: bool,
}

/// Majors whose clients are found under these folders.
pub fn majors_on_board(roots: &[PathBuf]) -> Vec<u32> {
    let mut majors: Vec<_> = installed(roots).into_iter().map(|(major, _)| major).collect();
    majors.sort_unstable();
    majors.dedup();
    majors
}

/// Finds the tools for a server of this major version.
pub(super) fn find(roots: &[PathBuf], wanted: u32, what: &str) -> Result<Tools, Failure> {
    let installed = installed(roots);
    let majors: Vec<_> = installed.iter().map(|(major, _)| *major).collect();
    let chosen = clients::choose(wanted, &majors).and_then(|choice| {
        let bin = installed.iter().find(|(major, _)| *major == choice.major).map(|(_, bin)| bin.clone())?;
        Some(Tools { bin, major: choice.major, newer: choice.newer })
    });
    chosen.ok_or_else(|| {
        Failure::new(
            "pg-client-missing",
            what,
            format!("this worker has PostgreSQL clients of {majors:?}, and {wanted} or newer is needed"),
            format!("build a worker image with the PostgreSQL {wanted} clients"),
        )
    })
}

/// Finds the server programs of exactly this major version.
pub(super) fn find_server(roots: &[PathBuf], wanted: u32, what: &str) -> Result<PathBuf, Failure> {
    let has_server = |bin: &Path| SERVER.iter().all(|program| bin.join(program).is_file());
    let bins: Vec<_> = installed(roots).into_iter().filter(|(_, bin)| has_server(bin)).collect();
    bins.iter().find(|(major, _)| *major == wanted).map(|(_, bin)| bin.clone()).ok_or_else(|| {
        let majors: Vec<_> = bins.iter().map(|(major, _)| *major).collect();
        Failure::new(
            "pg-server-missing",
            what,
            format!("this worker has PostgreSQL servers of {majors:?}, and the point is of {wanted}"),
            format!("build a worker image with the PostgreSQL {wanted} server, as `ami/` does"),
        )
    })
}

fn installed(roots: &[PathBuf]) -> Vec<(u32, PathBuf)> {
    roots
        .iter()
        .filter_map(|root| std::fs::read_dir(root).ok())
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            is_complete(&bin).then_some((major, bin))
        })
        .collect()
}

fn is_complete(bin: &Path) -> bool {
    ["pg_dump", "pg_restore"].iter().all(|tool| bin.join(tool).is_file())
}
