//! `cargo xtask bench native`: native backups of SQL Server between the temporary bucket and the repository and back, beside a
//! plain copy of the same bytes from one bucket into another.
//!
//! Every way is a child of its own, moved by a worker's own code, in the local cloud's S3. Without compression, with zstd, and
//! with deltas on an earlier point, so that the share of each can be told apart. What comes back must be what went in, or
//! the run fails. An aim that is missed is reported, and fails nothing.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use e2e::cloud::Cloud;

use super::machine;
use crate::{empty, say, setup};

mod figures;
mod report;
mod turns;

use report::Report;
use turns::Table;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the results as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Megabytes of the file.
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
    /// Rounds with everything.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Folder of the local cloud; emptied first, and removed afterwards. Eight times the file must fit.
    #[arg(long, default_value = "/var/tmp/haulier-bench-native")]
    dir: PathBuf,
}

/// Builds in the release profile, then measures with what was built.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.rounds > 0, "a median needs a round");
    ensure!(arguments.megabytes > 0, "there must be something to move");
    setup::run()?;
    setup::require_package("zstd", "its version among what is told of the machine")?;
    setup::require_root("the local cloud's network namespaces, which")?;
    super::with_release_binaries(|| measure(arguments))
}

fn measure(arguments: &Arguments) -> Result<()> {
    let machine = machine::describe()?;
    empty(&arguments.dir)?;
    say("\n# A cloud with an S3");
    let cloud = Cloud::start(&arguments.dir.join("cloud"))?;
    let (bytes, turns) = hold(&cloud, arguments)?;
    cloud.stop()?;
    std::fs::remove_dir_all(&arguments.dir).with_context(|| format!("removing {}", arguments.dir.display()))?;
    let report = Report { machine, bytes, rounds: arguments.rounds, turns };
    say(&report.table());
    if arguments.json {
        super::print(&report.json().to_string());
    }
    Ok(())
}

/// All rounds, and how many bytes the file has.
fn hold(cloud: &Cloud, arguments: &Arguments) -> Result<(u64, Vec<turns::Turn>)> {
    say(&format!("\n# A file of {} MB, and two later states of it", arguments.megabytes));
    let table = Table::set(cloud, &arguments.dir, arguments.megabytes)?;
    let mut turns = Vec::new();
    for round in 0..arguments.rounds {
        say(&format!("\n# Round {}", round + 1));
        turns.extend(table.round(round)?);
    }
    Ok((table.bytes(), turns))
}
