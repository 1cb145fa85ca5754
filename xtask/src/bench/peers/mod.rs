//! `cargo xtask bench peers`: Haulier's repository beside restic, rustic, borg and bupstash, on the same data, machine and
//! run.
//!
//! Streams first: each contestant is a child that is fed the same bytes from the same files, so that its bytes stored,
//! processor time and memory are its own. Then whole backups of the live database, on the clock. Whatever is read back
//! must be what was stored, or the run fails. An aim that is missed is reported, and fails nothing.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use e2e::stage::Stage;

use super::machine;
use crate::{say, setup};

mod contestant;
mod data;
mod database;
mod figures;
mod install;
mod live;
mod report;
mod rounds;

use contestant::Contestant;
use figures::Contest;
use report::Report;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the results as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Megabytes of dump that the mixed database makes. pgbench's scale is a twentieth of it, the file of pages has two
    /// fifths of it.
    #[arg(long, default_value_t = 2000)]
    megabytes: u64,
    /// Rounds with everything.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Leave out whole backups of the live database.
    #[arg(long)]
    streams_only: bool,
}

/// Builds in the release profile, then measures with what was built.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(arguments.rounds > 0, "a median needs a round");
    ensure!(arguments.megabytes > 0, "there must be something to store");
    setup::run()?;
    setup::require_package("zstd", "the floor of what a day's changes take")?;
    setup::require_root("the local cloud's network namespaces, which")?;
    super::with_release_binaries(|| measure(arguments))
}

fn measure(arguments: &Arguments) -> Result<()> {
    let machine = machine::describe()?;
    say("\n# The peers");
    let (peers, absent) = install::all()?;
    let contestants: Vec<Contestant> = [Contestant::haulier()?].into_iter().chain(peers.iter().cloned()).collect();
    say("\n# A cloud with two RDS PostgreSQL instances, for the databases");
    let stage = Stage::set()?;
    let folder = stage.folder().join("peers");
    let streams = folder.join("streams");
    std::fs::create_dir_all(&streams).with_context(|| format!("creating {}", streams.display()))?;
    let mut left_out = Vec::new();

    let (mixed, data) = data::mixed(&stage, arguments.megabytes, &streams)?;
    let stages = data::stages(&data.day_1)?;
    let quarter = data::quarter(&data.day_1, &streams)?;
    let seat = contestants[0].seat(&folder)?;
    seat.create()?;
    let quarter = seat.store("quarter", data.kind, None).fed(Some(&quarter.file), seat.folder())?;
    let mut contests = Vec::new();
    let mut hold = |data: rounds::DataSet| {
        let turns = rounds::hold(&data, &contestants, arguments.rounds, &folder)?;
        remove(&data)?;
        contests.push(Contest::new(data, turns));
        anyhow::Ok(())
    };
    hold(data)?;
    hold(data::pgbench(&stage, (arguments.megabytes / 20).max(1), &streams)?)?;
    hold(data::pages((arguments.megabytes * 2 / 5).max(1), &streams)?)?;
    match data::chain()? {
        // Those files are not ours to remove.
        Some(data) => {
            let turns = rounds::hold(&data, &contestants, arguments.rounds, &folder)?;
            contests.push(Contest::new(data, turns));
        }
        None => left_out.push("real backups of SQL Server: there are none on this machine".to_owned()),
    }
    let live = if arguments.streams_only {
        left_out.push("whole backups of the live database, as asked".to_owned());
        Vec::new()
    } else {
        live::hold(&stage, &mixed, &peers, arguments.rounds, &folder)?
    };
    let verdicts = figures::verdicts(&contests, &live, Some(quarter));
    let report = Report {
        machine,
        contestants,
        absent,
        rounds: arguments.rounds,
        rows: mixed.facts,
        contests,
        live,
        quarter: Some(quarter),
        stages,
        left_out,
        verdicts,
    };
    say(&report.markdown());
    if arguments.json {
        super::print(&report.json().to_string());
    }
    Ok(())
}

/// Frees the disk of streams that nobody needs any more.
fn remove(data: &rounds::DataSet) -> Result<()> {
    let files: Vec<&PathBuf> = data.later.iter().map(|later| &later.input.file).chain([&data.day_1.file]).collect();
    for file in files {
        std::fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    }
    Ok(())
}
