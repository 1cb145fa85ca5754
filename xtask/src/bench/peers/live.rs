//! Whole backups of the live database, on the clock: Haulier's session from its first step to the end of teardown, and
//! each peer fed by `pg_dump`, and `pg_dump | zstd` into a file.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::oracle;
use e2e::stage::{SOURCE, Stage};
use serde::Serialize;

use super::contestant::{Contestant, Kind, Seat};
use super::data::Mixed;
use super::database::administrator;
use crate::bench::measure::{settle, timed};
use crate::bench::session::{self, Run};
use crate::say;

/// What is compared with, beside the peers.
pub(super) const PIPE: &str = "pg_dump_zstd";

/// One backup.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Backup {
    /// A tool's name, or that of the pipe.
    pub(super) contestant: String,
    /// 1 or 2.
    pub(super) day: u8,
    /// Seconds on the clock.
    pub(super) wall: f64,
    /// Of Haulier's sessions: the part in which data moved, and what the agent took.
    pub(super) agent: Option<Agent>,
}

/// What a worker's agent took.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Agent {
    pub(super) transfer: f64,
    pub(super) processor: f64,
    pub(super) peak: u64,
    pub(super) children_peak: u64,
}

/// Holds all rounds: day 1 by everybody, then day 2 by everybody. Haulier and the peers store day 2 where day 1 is.
pub(super) fn hold(
    stage: &Stage,
    mixed: &Mixed,
    contestants: &[Contestant],
    rounds: usize,
    folder: &Path,
) -> Result<Vec<Backup>> {
    say(&format!("\n# Whole backups of the live database, rounds: {rounds}"));
    let passphrase = stage.cloud.create_secret("bench/live", "correct horse battery staple")?;
    let live = Live { stage, mixed, contestants, passphrase: &passphrase, folder };
    let mut backups = Vec::new();
    for round in 0..rounds {
        backups.extend(live.round(round)?);
    }
    Ok(backups)
}

struct Live<'a> {
    stage: &'a Stage,
    mixed: &'a Mixed,
    contestants: &'a [Contestant],
    passphrase: &'a str,
    folder: &'a Path,
}

impl Live<'_> {
    fn round(&self, round: usize) -> Result<Vec<Backup>> {
        self.prepare(round)?;
        let seats: Vec<Seat> =
            self.contestants.iter().map(|contestant| contestant.seat(self.folder)).collect::<Result<_>>()?;
        seats.iter().try_for_each(Seat::create)?;
        let mut backups = self.day(round, 1, &seats)?;
        self.turn_to(2)?;
        let second = self.day(round, 2, &seats);
        // The next round begins with day 1 again.
        self.turn_to(1)?;
        backups.extend(second?);
        for seat in &seats {
            std::fs::remove_dir_all(seat.folder()).context("removing a repository")?;
        }
        Ok(backups)
    }

    /// A repository and a policy of this round's own.
    fn prepare(&self, round: usize) -> Result<()> {
        let name = &self.mixed.day_1.name;
        let repository = format!("live-{round}");
        let region = &self.stage.cloud.facts().region;
        let create = ["repository", "create", &repository, "--bucket", "backups", "--region", region];
        let with = ["--prefix", &repository, "--passphrase-secret-arn", self.passphrase];
        self.stage.haulier().json(&[&create[..], &with].concat())?;
        self.stage.apply_policy(&format!(
            "repository: {repository}\ndatabases: [{name}]\nresources: {{ include: [{{ ids: [{SOURCE}] }}] }}"
        ))
    }

    /// Every round and day begin with another one.
    fn day(&self, round: usize, day: u8, seats: &[Seat<'_>]) -> Result<Vec<Backup>> {
        let turns = seats.len() + 2;
        (0..turns)
            .map(|place| {
                let backup = match (place + round + usize::from(day)) % turns {
                    0 => self.haulier(day)?,
                    1 => self.pipe(day)?,
                    peer => self.peer(&seats[peer - 2], day)?,
                };
                say(&format!("day {day}, {:<12} {:>7.1} s", backup.contestant, backup.wall));
                Ok(backup)
            })
            .collect()
    }

    fn haulier(&self, day: u8) -> Result<Backup> {
        settle()?;
        let run: Run = session::follow(self.stage, &self.stage.run_policy()?)?;
        let agent = Agent {
            transfer: run.transfer(),
            processor: run.worker.processor,
            peak: run.worker.agent,
            children_peak: run.worker.children,
        };
        Ok(Backup { contestant: "haulier".to_owned(), day, wall: run.wall, agent: Some(agent) })
    }

    fn pipe(&self, day: u8) -> Result<Backup> {
        let file = self.folder.join("live.zst");
        let mut command = piped("zstd -T2 -3 --quiet --force -o \"$0\"");
        let taken = timed(command.arg(&file).env("SOURCE", self.dsn()))?;
        std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        Ok(Backup { contestant: PIPE.to_owned(), day, wall: taken.wall, agent: None })
    }

    fn peer(&self, seat: &Seat<'_>, day: u8) -> Result<Backup> {
        let child = seat.store(&format!("day-{day}"), Kind::Rows, None);
        let mut command = piped("\"$0\" \"$@\"");
        command.arg(&child.program).args(&child.arguments).envs(child.environment.iter().cloned());
        let taken = timed(command.env("SOURCE", self.dsn()))?;
        Ok(Backup { contestant: seat.contestant.tool.name().to_owned(), day, wall: taken.wall, agent: None })
    }

    fn dsn(&self) -> String {
        administrator(&self.mixed.day_1).dsn()
    }

    /// Gives the database of that day the name that everybody backs up.
    fn turn_to(&self, day: u8) -> Result<()> {
        let name = oracle::quote(&self.mixed.day_1.name);
        let (one, two) = (oracle::quote("mixed_day_1"), oracle::quote(&self.mixed.day_2.name));
        let (away, here) = if day == 2 { (one, two) } else { (two, one) };
        administrator(&self.mixed.day_1)
            .sibling("postgres")
            .execute(&format!("ALTER DATABASE {name} RENAME TO {away}; ALTER DATABASE {here} RENAME TO {name};"))
    }
}

/// `pg_dump`, over TLS as workers do, into something.
fn piped(into: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", &format!("pg_dump --dbname=\"$SOURCE\" | {into}")]);
    command.env("PGSSLMODE", "require");
    command
}
