//! `cargo xtask bench`: how long the product takes beside the stock tools, and how much memory.
//!
//! One run measures everything, round by round and turn by turn, so that whatever else the machine does hits all
//! contestants alike; what counts are the ratios. Binaries come from the release profile. All contestants read the same
//! database of the same instance over the same network, TLS included.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::stage::Stage;

use crate::{build, say, setup};

mod child;
mod contest;
mod crowd;
mod machine;
mod measure;
mod native;
mod peers;
mod report;
mod session;
mod stock;
mod storage;
mod torture;

use contest::Contest;
use report::Report;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    contest: Option<Other>,
    /// Print the results as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Megabytes of dump that the small database makes; the large one makes five times as many.
    #[arg(long, default_value_t = 300)]
    megabytes: u32,
    /// Rounds with the small database. The large one has one.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Other contests than the one against the stock tools.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Measures how native backups of SQL Server pass between the temporary bucket and the repository, beside a plain copy.
    Native(native::Arguments),
    /// Measures the repository beside restic, rustic, borg and bupstash.
    Peers(peers::Arguments),
    /// Stores random streams while writers and prunes are killed, and compares every restore point with what it should be.
    Torture(torture::Arguments),
}

/// How many times larger the large database is.
const FACTOR: u32 = 5;

/// Where the binaries come from; set where they have been built already.
const BINARIES: &str = "HAULIER_BIN_DIR";

/// Builds in the release profile, then measures with what was built.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.contest {
        Some(Other::Native(arguments)) => return native::run(arguments),
        Some(Other::Peers(arguments)) => return peers::run(arguments),
        Some(Other::Torture(arguments)) => return torture::run(arguments),
        None => {}
    }
    ensure!(arguments.rounds > 0, "a median needs a round");
    setup::run()?;
    setup::require_package("zstd", "what pg_dump is piped through for comparison")?;
    setup::require_root("the local cloud's network namespaces, which")?;
    with_release_binaries(|| measure_all(arguments))
}

/// Measures with binaries of the release profile: builds them first, unless somebody has said where they are.
fn with_release_binaries(measure: impl FnOnce() -> Result<()>) -> Result<()> {
    if std::env::var_os(BINARIES).is_some() {
        return measure();
    }
    say("building Haulier in the release profile (the first time takes many minutes)");
    build::run(build::cargo().args(["build", "--workspace", "--bins", "--release"]))?;
    // Beside the folder that this program came from.
    let release = bin::folder()?.parent().context("binaries lie two folders deep")?.join("release");
    // The rest runs in a process of its own that finds the binaries through its environment.
    let program = std::env::current_exe().context("the path of the running program")?;
    build::run(Command::new(program).args(std::env::args_os().skip(1)).env(BINARIES, release))
}

fn measure_all(arguments: &Arguments) -> Result<()> {
    let machine = machine::describe()?;
    say("\n# A cloud with two RDS PostgreSQL instances");
    let mut stage = Stage::set()?;
    say("\n# The local S3 by itself");
    let storage = storage::measure(&stage)?;
    let small = Contest::hold(&stage, "small", arguments.megabytes, arguments.rounds)?;
    let large = Contest::hold(&stage, "large", arguments.megabytes * FACTOR, 1)?;
    stage.assert_nothing_left().context("after the contests")?;
    say(&format!("\n# {} sessions at once", crowd::SESSIONS));
    let crowd = crowd::gather(&mut stage)?;
    let report = Report { machine, storage, small, large, crowd };
    say(&report.table());
    if arguments.json {
        print(&report.json().to_string());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(line: &str) {
    println!("{line}");
}
