//! The emulator's virtual environment.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::installer::{InstallError, Subject};

/// What is installed, pinned: the front's tests know what this version gets wrong.
const REQUIREMENT: &str = "moto[server]==5.2.5";

const EMULATOR: Subject = Subject {
    what: "the AWS emulator (moto, from PyPI)",
    remedy: "Let pip reach a package index (its settings name one), and start again.",
};

/// Makes sure that `dir` is a virtual environment with the emulator in it, and says so when it has to install. Several
/// processes may ask at once: one installs, under a lock file beside the directory, the others wait.
pub async fn ensure_installed(dir: &Path) -> Result<(), InstallError> {
    if is_installed(dir) {
        return Ok(());
    }
    let _lock = EMULATOR.lock(&dir.with_extension("lock")).await?;
    if is_installed(dir) {
        return Ok(());
    }
    tracing::info!(dir = %dir.display(), "installing the AWS emulator {REQUIREMENT} from PyPI into a virtual environment");
    EMULATOR.run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir)).await?;
    let pip = dir.join("bin/pip");
    EMULATOR.run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", REQUIREMENT])).await?;
    // Written last: an installation that was cut short is begun anew.
    let marker = marker(dir);
    std::fs::write(&marker, REQUIREMENT).map_err(EMULATOR.preparing(&marker))
}

fn marker(dir: &Path) -> PathBuf {
    dir.join("haulier-requirement")
}

fn is_installed(dir: &Path) -> bool {
    std::fs::read_to_string(marker(dir)).is_ok_and(|installed| installed == REQUIREMENT)
}
