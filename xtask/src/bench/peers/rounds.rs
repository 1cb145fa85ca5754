//! Streams into repositories, round by round: each contestant in turn stores day 1, then each state that followed it, and
//! reads that back. Every round begins with another contestant.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::process;
use serde::Serialize;

use super::contestant::{Contestant, Kind, Seat, Tool};
use crate::bench::child::Taken;
use crate::say;

/// A stream in a file.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Input {
    #[serde(skip)]
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Input {
    /// What is in a file.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let (bytes, sha256) = crate::bench::child::identity(file)?;
        ensure!(bytes > 0, "{} is empty", file.display());
        Ok(Self { file: file.to_owned(), bytes, sha256 })
    }
}

/// A state that followed day 1.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Later {
    pub(super) name: &'static str,
    pub(super) input: Input,
    /// What `zstd -3` makes of the changed rows alone, where there are rows.
    pub(super) floor: Option<u64>,
}

/// A stream, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DataSet {
    pub(super) name: &'static str,
    #[serde(skip)]
    pub(super) kind: Kind,
    /// Whether it is large enough for times to mean something.
    pub(super) timed: bool,
    pub(super) day_1: Input,
    pub(super) later: Vec<Later>,
}

/// One contestant's turn with one stream.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Turn {
    pub(super) contestant: Tool,
    /// Bytes in the repository after day 1.
    pub(super) stored: u64,
    pub(super) day_1: Taken,
    /// In the order of the data set.
    pub(super) later: Vec<LaterTurn>,
}

/// What it did with a later state.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LaterTurn {
    pub(super) name: &'static str,
    /// Bytes that the repository grew by.
    pub(super) added: u64,
    pub(super) store: Taken,
    pub(super) read: Taken,
}

/// All turns with one data set.
pub(super) fn hold(data: &DataSet, contestants: &[Contestant], rounds: usize, folder: &Path) -> Result<Vec<Turn>> {
    say(&format!("\n# {}: {} MB on day 1, rounds: {rounds}", data.name, data.day_1.bytes / 1_000_000));
    let mut turns = Vec::new();
    for round in 0..rounds {
        for place in 0..contestants.len() {
            let contestant = &contestants[(place + round) % contestants.len()];
            let turn = turn(data, contestant, folder)
                .with_context(|| format!("{} with {}", contestant.tool.name(), data.name))?;
            say(&line(&turn));
            turns.push(turn);
        }
    }
    Ok(turns)
}

fn turn(data: &DataSet, contestant: &Contestant, folder: &Path) -> Result<Turn> {
    let seat = contestant.seat(folder)?;
    seat.create()?;
    let scratch = seat.folder().to_owned();
    let empty = seat.stored()?;
    let day_1 = seat.store("day-1", data.kind, None).fed(Some(&data.day_1.file), &scratch)?;
    let stored = seat.stored()?;
    ensure!(stored > empty, "it stored nothing");
    let kept = folder.join(format!("{}-kept", contestant.tool.name()));
    copy(seat.folder(), &kept)?;
    let mut later = Vec::new();
    for (number, state) in data.later.iter().enumerate() {
        if number > 0 {
            copy(&kept, seat.folder())?;
        }
        later.push(later_turn(&seat, data, state, stored, &scratch).with_context(|| format!("at {}", state.name))?);
    }
    for folder in [seat.folder(), &kept] {
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(Turn { contestant: contestant.tool, stored, day_1, later })
}

fn later_turn(seat: &Seat<'_>, data: &DataSet, state: &Later, before: u64, scratch: &Path) -> Result<LaterTurn> {
    let store = seat.store("day-2", data.kind, Some("day-1")).fed(Some(&state.input.file), scratch)?;
    let added = seat.stored()?.saturating_sub(before);
    let (read, sha256) = seat.read("day-2").digested(scratch)?;
    ensure!(sha256 == state.input.sha256, "what was read back is not what was stored: {sha256}");
    Ok(LaterTurn { name: state.name, added, store, read })
}

/// Makes `to` what `from` is, modes and times included.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to).with_context(|| format!("removing {}", to.display()))?;
    }
    process::output(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(from).arg(to)).map(drop)
}

fn line(turn: &Turn) -> String {
    let mut text = format!(
        "{:<9} day 1: {:>8.1} MB stored, {:>6.1} s processor, {:>6.1} s",
        turn.contestant.name(),
        turn.stored as f64 / 1e6,
        turn.day_1.processor,
        turn.day_1.wall
    );
    for later in &turn.later {
        text.push_str(&format!(
            "; {}: {:.2} MB added, {:.1} s processor, read {:.1} s",
            later.name,
            later.added as f64 / 1e6,
            later.store.processor,
            later.read.processor
        ));
    }
    text
}
