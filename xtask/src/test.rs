//! Every test of the workspace.

use std::process::Command;

use anyhow::Result;
use e2e::process;

use crate::{build, setup};

/// Major versions that tests have instances of.
const POSTGRESQL: [&str; 3] = ["15", "16", "18"];

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose names contain this.
    filter: Option<String>,
}

/// Builds everything and runs the tests, with `cargo nextest` where it is installed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run()?;
    setup::require_root("the tests start a local cloud in network namespaces of its own, which")?;
    build::binaries()?;
    setup::postgresql(&POSTGRESQL, None)?;
    setup::reader()?;
    let nextest = process::output(Command::new("cargo").args(["nextest", "--version"])).is_ok();
    let mut command = build::cargo();
    if nextest {
        let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
        command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--profile", profile]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast"]);
    }
    build::run(command.args(&arguments.filter))
}
