//! The emulator's virtual environment.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{Flock, FlockArg};
use tokio::process::Command;

/// What is installed, pinned: the front's tests know what this version gets wrong.
const REQUIREMENT: &str = "moto[server]==5.2.5";

/// Why the emulator could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The directory cannot be prepared.
    #[error("cannot prepare {path} for the AWS emulator")]
    Prepare {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {program}: is the package python3-venv installed?")]
    Run {
        /// Its name.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed while installing {REQUIREMENT} from PyPI:\n{output}")]
    Failed {
        /// Its name.
        program: String,
        /// The end of what it printed.
        output: String,
    },
}

/// Makes sure that `dir` is a virtual environment with the emulator in it, and says so when it has to install. Several
/// processes may ask at once: one installs, under a lock file beside the directory, the others wait.
pub async fn ensure_installed(dir: &Path) -> Result<(), InstallError> {
    if is_installed(dir) {
        return Ok(());
    }
    let _lock = lock(dir).await?;
    if is_installed(dir) {
        return Ok(());
    }
    tracing::info!(dir = %dir.display(), "installing the AWS emulator {REQUIREMENT} from PyPI into a virtual environment");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir)).await?;
    let pip = dir.join("bin/pip");
    run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", REQUIREMENT])).await?;
    // Written last: an installation that was cut short is begun anew.
    let marker = marker(dir);
    std::fs::write(&marker, REQUIREMENT).map_err(|source| InstallError::Prepare { path: marker, source })
}

fn marker(dir: &Path) -> PathBuf {
    dir.join("haulier-requirement")
}

fn is_installed(dir: &Path) -> bool {
    std::fs::read_to_string(marker(dir)).is_ok_and(|installed| installed == REQUIREMENT)
}

async fn lock(dir: &Path) -> Result<Flock<File>, InstallError> {
    let path = dir.with_extension("lock");
    let prepare = |source| InstallError::Prepare { path: path.clone(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(prepare)?;
    }
    let file = File::create(&path).map_err(prepare)?;
    tokio::task::spawn_blocking(move || Flock::lock(file, FlockArg::LockExclusive))
        .await
        .map_err(|error| prepare(io::Error::other(error)))?
        .map_err(|(_, errno)| prepare(errno.into()))
}

async fn run(command: &mut Command) -> Result<(), InstallError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| InstallError::Run { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let tail = printed.len().saturating_sub(4000);
    Err(InstallError::Failed { program, output: String::from_utf8_lossy(&printed[tail..]).into_owned() })
}
