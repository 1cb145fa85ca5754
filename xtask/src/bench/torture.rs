//! `cargo xtask bench torture`: random streams through the repository while writers and prunes are killed. What it does lies
//! in `crates/bench`, whose own test is a small one; nothing is timed, so the binaries are those of the tests.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::bin;

use super::child::BENCH;
use crate::build;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Options of `haulier-bench torture`: `--seed`, `--streams`, `--largest`, `--volume`, `--writers`, `--folder`, `--json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Builds it, then lets it run.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    build::binaries()?;
    let program = bin::path(BENCH).context("the program that does it")?;
    build::run(Command::new(program).arg("torture").args(&arguments.options))
}
