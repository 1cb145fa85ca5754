//! Every test of the workspace.

use anyhow::Result;
use e2e::bin;

use crate::{build, setup};

/// Major versions that tests have instances of.
const POSTGRESQL: [&str; 3] = ["15", "16", "18"];

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests whose names contain this.
    filter: Option<String>,
}

/// Builds everything and runs the tests, with `cargo nextest`: it bounds each test's time, and the number of stages at once.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run()?;
    setup::require_root("the tests start a local cloud in network namespaces of its own, which")?;
    build::binaries()?;
    setup::postgresql(&POSTGRESQL, None)?;
    setup::reader()?;
    setup::nextest()?;
    setup::require_package("freetds-bin", "a client of SQL Server that is not Haulier's")?;
    // Said here too: what a test that passes prints is not shown.
    let _ = bin::sample_dumps();
    let _ = bin::sample_backups();
    let profile = if std::env::var_os("CI").is_some() { "ci" } else { "default" };
    let mut command = build::cargo();
    command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--profile", profile]);
    build::run(command.args(&arguments.filter))
}
