//! Running a contestant as a child and learning what it took, and what it gave.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use e2e::bin;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::measure::settle;

/// Our own part among the children.
pub(super) const BENCH: &str = "haulier-bench";

/// How the agent's allocator is set up, by `ami/boot`.
pub(super) const AGENT_ENVIRONMENT: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "3145728"), ("MALLOC_TRIM_THRESHOLD_", "67108864")];

/// What a run took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Taken {
    /// Seconds on the clock.
    pub(super) wall: f64,
    /// Seconds of processor of all its processes.
    pub(super) processor: f64,
    /// Bytes that the largest of its processes had resident at most.
    pub(super) peak: u64,
}

/// A command with its surroundings.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(String, OsString)>,
}

impl Child {
    /// Runs it with a file as its standard input.
    pub(super) fn fed(&self, input: Option<&Path>, folder: &Path) -> Result<Taken> {
        self.measured(input, folder, Stdio::null(), |_| Ok(())).map(|(taken, ())| taken)
    }

    /// Runs it and gives the SHA-256 of what it writes to its standard output.
    pub(super) fn digested(&self, folder: &Path) -> Result<(Taken, String)> {
        self.measured(None, folder, Stdio::piped(), |child| {
            digest(child.stdout.take().context("the child's standard output")?)
        })
    }

    /// Runs it and gives what it writes to its standard output: a few words.
    pub(super) fn told(&self, folder: &Path) -> Result<(Taken, String)> {
        self.measured(None, folder, Stdio::piped(), |child| {
            let output = child.stdout.take().context("the child's standard output")?;
            std::io::read_to_string(output).context("reading what a child says")
        })
    }

    fn measured<T>(
        &self,
        input: Option<&Path>,
        folder: &Path,
        output: Stdio,
        meanwhile: impl FnOnce(&mut std::process::Child) -> Result<T>,
    ) -> Result<(Taken, T)> {
        let (report, log) = (folder.join("taken.json"), folder.join("stderr"));
        let mut command = Command::new(bin::path(BENCH)?);
        command.arg("measure").arg("--report").arg(&report);
        if let Some(input) = input {
            command.arg("--stdin").arg(input);
        }
        command.arg("--").arg(&self.program).args(&self.arguments).envs(self.environment.iter().cloned());
        let errors = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // What was written before is on disk first, so that nobody pays for another.
        settle()?;
        let mut child = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        let given = meanwhile(&mut child);
        let status = child.wait().with_context(|| format!("waiting for {}", self.program.display()))?;
        if !status.success() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{} {:?} failed: {}", self.program.display(), self.arguments, said.trim());
        }
        let taken = std::fs::read(&report).with_context(|| format!("reading {}", report.display()))?;
        Ok((serde_json::from_slice(&taken).context("reading what a child took")?, given?))
    }
}

/// SHA-256 of everything a reader gives, in hexadecimal digits.
pub(super) fn digest(mut from: impl std::io::Read) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer).context("reading what is to be digested")? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// Bytes of all files under a folder: everything that is stored counts.
pub(super) fn stored(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        let meta = entry.metadata().with_context(|| format!("looking at {}", entry.path().display()))?;
        total += if meta.is_dir() { stored(&entry.path())? } else { meta.len() };
    }
    Ok(total)
}

/// The length of a file and the SHA-256 of its content.
pub(super) fn identity(file: &Path) -> Result<(u64, String)> {
    let open = File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let length = open.metadata().with_context(|| format!("looking at {}", file.display()))?.len();
    Ok((length, digest(open.take(length))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(&b""[..]).unwrap(), empty);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&b"abc"[..]).unwrap(), abc);
    }
}
