//! Who takes turns at moving the file, and how.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::bin;
use e2e::cloud::Cloud;
use e2e::sqlserver::PAGE;
use serde::Serialize;
use serde_json::Value;

use crate::bench::child::{AGENT_ENVIRONMENT, BENCH, Child, Taken};
use crate::say;

/// What the file goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// From one bucket into another by the SDK as it comes, and nothing else.
    PlainCopy,
    /// The same without a signature of the bodies, as we upload.
    UnsignedCopy,
    /// Into the repository as it is.
    Uncompressed,
    /// Into an empty repository, as a first backup.
    Zstd,
    /// As a second backup: one page of a hundred is another.
    Changed,
    /// As a second backup: one page of five is another, so that hardly a chunk is as it was and nearly all are deltas.
    Rewritten,
}

impl Way {
    /// Those that lead through the repository.
    pub(super) const THROUGH: [Self; 4] = [Self::Uncompressed, Self::Zstd, Self::Changed, Self::Rewritten];
    /// Those that do not.
    pub(super) const COPIES: [Self; 2] = [Self::PlainCopy, Self::UnsignedCopy];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PlainCopy => "plain_copy",
            Self::UnsignedCopy => "unsigned_copy",
            Self::Uncompressed => "uncompressed",
            Self::Zstd => "zstd",
            Self::Changed => "changed",
            Self::Rewritten => "rewritten",
        }
    }

    /// The same for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::PlainCopy => "plain copy",
            Self::UnsignedCopy => "plain copy, bodies unsigned",
            Self::Uncompressed | Self::Zstd | Self::Changed | Self::Rewritten => self.name(),
        }
    }

    /// The state of the file: its key.
    fn state(self) -> &'static str {
        match self {
            Self::PlainCopy | Self::UnsignedCopy | Self::Uncompressed | Self::Zstd => "day-1",
            Self::Changed => "changed",
            Self::Rewritten => "rewritten",
        }
    }

    fn repository(self) -> &'static str {
        if self == Self::Uncompressed { UNCOMPRESSED } else { COMPRESSED }
    }

    fn base(self) -> Option<&'static str> {
        matches!(self, Self::Changed | Self::Rewritten).then_some(Self::Zstd.name())
    }
}

/// States of the file, and how many pages of a thousand have changed since the first.
const STATES: [(&str, u64); 3] = [("day-1", 0), ("changed", 10), ("rewritten", 200)];

/// Where the files lie.
const TEMPORARY: &str = "native-temporary";
/// Where they go.
const COPIES: &str = "native-copies";
/// The repositories.
const UNCOMPRESSED: &str = "native-uncompressed";
const COMPRESSED: &str = "native-compressed";

/// One turn.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Turn {
    pub(super) way: Way,
    /// Out of the temporary bucket: into the repository, or straight into the other bucket.
    pub(super) there: Taken,
    /// Out of the repository into a bucket.
    pub(super) back: Option<Taken>,
    /// What the repository's writer counted.
    pub(super) written: Option<Value>,
}

/// Where turns are taken.
pub(super) struct Table {
    folder: PathBuf,
    program: PathBuf,
    environment: Vec<(String, OsString)>,
    pages: u64,
    /// By state: SHA-256.
    digests: BTreeMap<&'static str, String>,
}

impl Table {
    /// Makes the buckets and the file in all its states.
    pub(super) fn set(cloud: &Cloud, folder: &Path, megabytes: u64) -> Result<Self> {
        for bucket in [TEMPORARY, COPIES, UNCOMPRESSED, COMPRESSED] {
            cloud.create_bucket(bucket)?;
        }
        let environment = cloud.environment().into_iter().map(|(name, value)| (name, value.into())).collect();
        let pages = (megabytes * 1_000_000).div_ceil(PAGE);
        let program = bin::path(BENCH)?;
        let mut table = Self { folder: folder.to_owned(), program, environment, pages, digests: BTreeMap::new() };
        for (state, changed) in STATES {
            let (pages, changed) = (pages.to_string(), changed.to_string());
            let object = ["--bucket", TEMPORARY, "--key", state];
            table.done(&[&["make"][..], &object[..], &["--count", &pages, "--changed", &changed]].concat())?;
            let digest = table.digest(TEMPORARY, state)?;
            table.digests.insert(state, digest);
        }
        Ok(table)
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.pages * PAGE
    }

    /// Everybody's turn. Each round begins with another.
    pub(super) fn round(&self, round: usize) -> Result<Vec<Turn>> {
        for repository in [UNCOMPRESSED, COMPRESSED] {
            self.done(&["create", repository])?;
        }
        // A second backup needs a first one.
        let mut order: [&[Way]; 3] =
            [&[Way::PlainCopy, Way::UnsignedCopy], &[Way::Uncompressed], &[Way::Zstd, Way::Changed, Way::Rewritten]];
        order.rotate_left(round % 3);
        let turns = order.into_iter().flatten().map(|way| self.turn(*way)).collect::<Result<_>>()?;
        for repository in [UNCOMPRESSED, COMPRESSED] {
            self.done(&["empty", repository])?;
        }
        Ok(turns)
    }

    fn turn(&self, way: Way) -> Result<Turn> {
        let state = way.state();
        let from = ["--bucket", TEMPORARY, "--key", state];
        let turn = if Way::COPIES.contains(&way) {
            let mut copy = [&["copy"][..], &from[..], &["--to", COPIES]].concat();
            copy.extend((way == Way::UnsignedCopy).then_some("--unsigned"));
            let (there, _) = self.run(&copy)?;
            Turn { way, there, back: None, written: None }
        } else {
            let point = ["--repository", way.repository(), "--point", way.name()];
            let mut fetch = [&["fetch"][..], &from[..], &point[..]].concat();
            if let Some(base) = way.base() {
                fetch.extend(["--base", base]);
            }
            fetch.extend((way == Way::Uncompressed).then_some("--uncompressed"));
            let (there, written) = self.run_as_agent(&fetch)?;
            let written = serde_json::from_str(&written).context("reading what the writer counted")?;
            let to = ["--bucket", COPIES, "--key", state];
            let (back, _) = self.run_as_agent(&[&["deliver"][..], &to[..], &point[..]].concat())?;
            Turn { way, there, back: Some(back), written: Some(written) }
        };
        let arrived = self.digest(COPIES, state)?;
        ensure!(self.digests.get(state) == Some(&arrived), "{way:?}: what arrived is not what was sent");
        self.done(&["empty", COPIES])?;
        let back = turn.back.map(|back| format!(", back {:.2} s", back.wall)).unwrap_or_default();
        say(&format!("{:<12} {:.2} s{back}", way.name(), turn.there.wall));
        Ok(turn)
    }

    fn digest(&self, bucket: &str, key: &str) -> Result<String> {
        self.run(&["digest", "--bucket", bucket, "--key", key]).map(|(_, digest)| digest)
    }

    fn done(&self, arguments: &[&str]) -> Result<()> {
        self.run(arguments).map(drop)
    }

    fn run(&self, arguments: &[&str]) -> Result<(Taken, String)> {
        self.run_in(self.environment.clone(), arguments)
    }

    /// The same with the allocator that a worker has.
    fn run_as_agent(&self, arguments: &[&str]) -> Result<(Taken, String)> {
        let allocator = AGENT_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.into()));
        self.run_in([self.environment.clone(), allocator.into()].concat(), arguments)
    }

    fn run_in(&self, environment: Vec<(String, OsString)>, arguments: &[&str]) -> Result<(Taken, String)> {
        let arguments = ["native"].iter().chain(arguments).map(OsString::from).collect();
        Child { program: self.program.clone(), arguments, environment }.told(&self.folder)
    }
}
