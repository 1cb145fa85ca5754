//! What the installations of third-party parts have in common: one at a time under a lock, and errors that say what to do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{Flock, FlockArg};
use tokio::process::Command;

/// Longest part of a program's output that an error carries.
const OUTPUT_LIMIT: usize = 4000;

/// What is installed, and what its user does where that fails.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub(crate) what: &'static str,
    pub(crate) remedy: &'static str,
}

/// Why something could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A place on disk cannot be prepared.
    #[error("cannot prepare {path} for {what}")]
    Prepare {
        /// What was to be installed.
        what: &'static str,
        /// What was touched.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {program}, which installs {what}: is the package python3-venv installed?")]
    Run {
        /// What was to be installed.
        what: &'static str,
        /// Its name.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed while installing {}:\n{output}\n{}", subject.what, subject.remedy)]
    Failed {
        /// What was to be installed.
        subject: Subject,
        /// Its name.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// What was fetched is not what it was when its version was chosen.
    #[error("{what} cannot be put together: {cause}\n{}", subject.remedy)]
    Unfit {
        /// What was to be installed.
        subject: Subject,
        /// The part of it.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl Subject {
    /// Names a path in an error.
    pub(crate) fn preparing(self, path: &Path) -> impl Fn(io::Error) -> InstallError + '_ {
        move |source| InstallError::Prepare { what: self.what, path: path.to_owned(), source }
    }

    pub(crate) fn unfit(self, what: impl Into<String>, cause: impl Into<String>) -> InstallError {
        InstallError::Unfit { subject: self, what: what.into(), cause: cause.into() }
    }

    /// Waits for the installations of other processes in the same place; others wait until the lock is dropped.
    pub(crate) async fn lock(self, path: &Path) -> Result<Flock<File>, InstallError> {
        let prepare = self.preparing(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(&prepare)?;
        }
        let file = File::create(path).map_err(&prepare)?;
        tokio::task::spawn_blocking(move || Flock::lock(file, FlockArg::LockExclusive))
            .await
            .map_err(|error| prepare(io::Error::other(error)))?
            .map_err(|(_, errno)| prepare(errno.into()))
    }

    /// Runs one of the installing programs to its good end and gives what it printed on standard output.
    pub(crate) async fn run(self, command: &mut Command) -> Result<String, InstallError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| InstallError::Run { what: self.what, program: program.clone(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let printed = [output.stdout, output.stderr].concat();
        let tail = printed.len().saturating_sub(OUTPUT_LIMIT);
        let output = String::from_utf8_lossy(&printed[tail..]).into_owned();
        Err(InstallError::Failed { subject: self, program, output })
    }
}
