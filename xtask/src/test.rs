//! Every test of the workspace.

use std::process::Command;

use anyhow::Result;
use e2e::{bin, process};

use crate::{build, say, setup};

/// Major versions that tests have instances of.
const POSTGRESQL: [&str; 3] = ["15", "16", "18"];

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose names contain this.
    filter: Option<String>,
}

/// Builds everything and runs the tests: with `cargo nextest` where it is installed, since its build alone takes as long as
/// many of the tests.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run()?;
    setup::require_root("the tests start a local cloud in network namespaces of its own, which")?;
    build::binaries()?;
    setup::postgresql(&POSTGRESQL, None)?;
    setup::reader()?;
    setup::require_package("freetds-bin", "a client of SQL Server that is not Haulier's")?;
    // Said here too: what a test that passes prints is not shown.
    let _ = bin::sample_dumps();
    let _ = bin::sample_backups();
    let nextest = process::output(Command::new("cargo").args(["nextest", "--version"])).is_ok();
    let mut command = build::cargo();
    if nextest {
        let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
        command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--profile", profile]);
    } else {
        say("cargo-nextest is not installed: `cargo test` takes longer, and bounds no test's time");
        command.args(["test", "--workspace", "--no-fail-fast"]);
    }
    command.args(&arguments.filter);
    if !nextest {
        // As many as in .config/nextest.toml: a stage of the end-to-end tests keeps a core busy.
        command.args(["--", "--test-threads", "2"]);
    }
    build::run(&mut command)
}
