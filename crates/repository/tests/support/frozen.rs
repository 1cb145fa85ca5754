//! What is in the frozen fixtures.

use std::path::{Path, PathBuf};

use haulier_repository::{Chunking, StreamKind};

use super::{noise, rows};

/// The folder of one of them.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/fixtures").join(name)
}

/// The streams of `format-1`: name, kind, how it is cut, content.
pub(crate) fn streams() -> Vec<(&'static str, StreamKind, Chunking, Vec<u8>)> {
    vec![
        ("empty", StreamKind::Document, Chunking::around(16 << 10), Vec::new()),
        ("rows", StreamKind::TableRows, Chunking::around(64 << 10), rows(60_000, 1)),
        ("noise", StreamKind::Pages, Chunking::around(16 << 10), noise(9_000, 2)),
        ("paged", StreamKind::Archive, Chunking::around(256), rows(20_000, 3)),
    ]
}

/// `format-1-deltas` and `format-1-copies`: the rows of a first day, and those of a second one that is stored as deltas on it.
pub(crate) fn days() -> [Vec<u8>; 2] {
    let first = rows(150_000, 4);
    let mut second = first.clone();
    for at in [20_000, 70_000, 110_000] {
        second.splice(at..at + 10, *b"another day");
    }
    [first, second]
}
