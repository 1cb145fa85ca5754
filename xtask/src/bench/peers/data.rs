//! The streams of the contest: dumps of databases made here, files of database pages, and real backups where there are
//! some.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use e2e::psql::Database;
use e2e::stage::Stage;
use e2e::{bin, process};
use serde_json::{Value, json};

use super::contestant::Kind;
use super::database::{self, administrator};
use super::rounds::{DataSet, Input, Later};
use crate::bench::child::BENCH;
use crate::say;

/// Pages of a thousand that change.
const CHANGED_PAGES: u64 = 10;
/// Bytes that a container puts before the first page on another day.
const SHIFT: usize = 1536;

/// The databases that whole backups are made of.
pub(super) struct Mixed {
    pub(super) day_1: Database,
    pub(super) day_2: Database,
    /// What changed, in rows.
    pub(super) facts: Value,
}

/// Makes the mixed database, a copy of it a day later, and one that rows were only appended to; dumps all three.
pub(super) fn mixed(stage: &Stage, megabytes: u64, folder: &Path) -> Result<(Mixed, DataSet)> {
    say(&format!("\n# A mixed database of about {megabytes} MB, and what became of it"));
    let administrator = administrator(&stage.source);
    // Nobody's turn is to be the one in which the server tidies up, and rows stay where they are.
    administrator.execute("ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf();")?;
    stage.source.execute("CREATE DATABASE mixed")?;
    let day_1 = stage.source.sibling("mixed");
    database::fill(&day_1, megabytes)?;
    settled(&day_1)?;
    let (day_2, appended) = (database::copy(&day_1, "mixed_day_2")?, database::copy(&day_1, "mixed_appended")?);
    let changed_from = database::mark(&day_2)?;
    database::change(&day_2)?;
    database::append(&day_2, megabytes)?;
    let appended_from = database::mark(&appended)?;
    database::append(&appended, megabytes)?;
    for database in [&day_2, &appended] {
        settled(database)?;
    }
    let first = dumped(&day_1, folder, "mixed-day-1")?;
    let data = DataSet {
        name: "mixed",
        kind: Kind::Rows,
        timed: true,
        day_1: first,
        later: vec![
            later("changed", &day_2, changed_from, folder)?,
            later("appended", &appended, appended_from, folder)?,
        ],
    };
    // A database that is not needed any more is disk for others.
    administrator.execute("DROP DATABASE mixed_appended")?;
    let facts = facts(&day_1, &day_2, changed_from)?;
    say(&format!("orders of it: {facts}"));
    Ok((Mixed { day_1, day_2, facts }, data))
}

/// Makes pgbench's database, changes it, and dumps both states.
pub(super) fn pgbench(stage: &Stage, scale: u64, folder: &Path) -> Result<DataSet> {
    say(&format!("\n# pgbench at scale {scale}, and a day of it"));
    let server = administrator(&stage.source);
    server.execute("CREATE DATABASE pgbench")?;
    let database = server.sibling("pgbench");
    database::fill_pgbench(&database, scale)?;
    let day_1 = dumped(&database, folder, "pgbench-day-1")?;
    let mark = database::mark(&database)?;
    database::change_pgbench(&database)?;
    let later = vec![later("changed", &database, mark, folder)?];
    server.execute("DROP DATABASE pgbench")?;
    Ok(DataSet { name: "pgbench", kind: Kind::Rows, timed: true, day_1, later })
}

/// Makes a file of database pages, and the same with one page in a hundred changed, in place and shifted.
pub(super) fn pages(megabytes: u64, folder: &Path) -> Result<DataSet> {
    say(&format!("\n# {megabytes} MB of database pages"));
    let count = (megabytes * 1_000_000 / 8192).max(100).to_string();
    let write = |name: &str, more: &[&str]| {
        let file = folder.join(name);
        let out = File::create(&file).with_context(|| format!("creating {}", file.display()))?;
        let mut command = Command::new(bin::path(BENCH)?);
        let status = command.args(["pages", "--count", &count]).args(more).stdout(out).status();
        anyhow::ensure!(status.context("starting the maker of pages")?.success(), "pages could not be made");
        Input::of(&file)
    };
    let (changed, shift) = (CHANGED_PAGES.to_string(), SHIFT.to_string());
    let day_1 = write("pages-day-1", &[])?;
    let in_place = write("pages-in-place", &["--changed", &changed])?;
    let shifted = write("pages-shifted", &["--changed", &changed, "--shift", &shift])?;
    let later = |name, input| Later { name, input, floor: None };
    let later = vec![later("in-place", in_place), later("shifted", shifted)];
    Ok(DataSet { name: "pages", kind: Kind::Pages, timed: true, day_1, later })
}

/// Real native backups of one database, minutes apart, where this machine has them.
pub(super) fn chain() -> Result<Option<DataSet>> {
    let folder = bin::source().join("../shared/data/bak/chain");
    if !folder.is_dir() {
        say("\n# No real backups of SQL Server on this machine: that contest is left out");
        return Ok(None);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("listing {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("listing {}", folder.display()))?;
    files.sort();
    let named = |part: &str| files.iter().filter(|file| file.to_string_lossy().contains(part)).collect::<Vec<_>>();
    let (full, differential) = (named("_FULL_"), named("_DIFF_"));
    let ([first, second, ..], [difference, ..]) = (full.as_slice(), differential.as_slice()) else {
        say("\n# The folder of real backups has no two full ones and a differential: that contest is left out");
        return Ok(None);
    };
    let later = |name, file: &Path| Ok::<_, anyhow::Error>(Later { name, input: Input::of(file)?, floor: None });
    Ok(Some(DataSet {
        name: "bak-chain",
        kind: Kind::Pages,
        timed: false,
        day_1: Input::of(first)?,
        later: vec![later("next-full", second)?, later("differential", difference)?],
    }))
}

fn settled(database: &Database) -> Result<()> {
    administrator(database).execute("VACUUM ANALYZE; CHECKPOINT;")
}

fn dumped(database: &Database, folder: &Path, name: &str) -> Result<Input> {
    let file = folder.join(name);
    database::dump(database, &file)?;
    Input::of(&file)
}

/// A later state's dump, and what its changed rows alone compress to.
fn later(name: &'static str, database: &Database, mark: u64, folder: &Path) -> Result<Later> {
    let input = dumped(database, folder, &format!("{}-{name}", database.name))?;
    let rows = folder.join("changed-rows");
    database::changed_rows(database, mark, &rows)?;
    let floor = compressed(&rows)?;
    say(&format!("{name}: the changed rows are {} bytes, {floor} after zstd -3", std::fs::metadata(&rows)?.len()));
    Ok(Later { name, input, floor: Some(floor) })
}

/// Bytes that `zstd -3` makes of a file.
fn compressed(file: &Path) -> Result<u64> {
    let small = file.with_extension("zst");
    let out = Stdio::from(File::create(&small).with_context(|| format!("creating {}", small.display()))?);
    let mut zstd = Command::new("zstd");
    let status = zstd.args(["-3", "--quiet", "--stdout"]).arg(file).stdout(out).status().context("starting zstd")?;
    anyhow::ensure!(status.success(), "zstd ended with {status}");
    Ok(std::fs::metadata(&small).with_context(|| format!("looking at {}", small.display()))?.len())
}

/// How many of the largest table's rows changed in which way: the statistics that the data claims to have.
fn facts(day_1: &Database, day_2: &Database, mark: u64) -> Result<Value> {
    let count = |database: &Database, what: &str| -> Result<u64> {
        let sql = format!("SELECT count(*)::text FROM mix.orders WHERE {what}");
        database.value(&sql)?.parse().context("a count is a number")
    };
    let before = count(day_1, "true")?;
    let updated = count(day_2, &format!("xmin::text::bigint > {mark} AND id <= {before}"))?;
    let appended = count(day_2, &format!("id > {before}"))?;
    let deleted = before + appended - count(day_2, "true")?;
    Ok(json!({ "before": before, "updated": updated, "appended": appended, "deleted": deleted }))
}

/// The first quarter of a file, as a file.
pub(super) fn quarter(input: &Input, folder: &Path) -> Result<Input> {
    let file = folder.join("quarter");
    let out = File::create(&file).with_context(|| format!("creating {}", file.display()))?;
    let length = format!("--bytes={}", input.bytes / 4);
    let status = Command::new("head").arg(length).arg(&input.file).stdout(out).status().context("starting head")?;
    anyhow::ensure!(status.success(), "head ended with {status}");
    Input::of(&file)
}

/// The stages' throughput on one thread, over a stream.
pub(super) fn stages(input: &Input) -> Result<Value> {
    let answer = process::output(Command::new(bin::path(BENCH)?).arg("stages").arg(&input.file))?;
    serde_json::from_str(&answer).context("reading the stages' throughput")
}
