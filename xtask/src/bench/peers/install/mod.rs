//! Getting the peers, each as new as this machine's package sources give it, into a folder outside the clone. What is
//! there already is used as it is. One that cannot be had is reported with the reason, and the others take part.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use e2e::process;
use serde::Serialize;

use super::contestant::{Contestant, Tool};
use crate::{say, setup};

mod debian;

/// One that does not take part.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Absent {
    pub(super) tool: Tool,
    pub(super) reason: String,
}

/// Gets all peers.
pub(super) fn all() -> Result<(Vec<Contestant>, Vec<Absent>)> {
    let folder = folder()?;
    say(&format!("peers are kept in {}; remove one there to have it fetched anew", folder.display()));
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for tool in Tool::PEERS {
        match get(tool, &folder.join(tool.name())) {
            Ok(contestant) => {
                say(&format!("  {} ({})", contestant.version, contestant.source));
                present.push(contestant);
            }
            Err(error) => {
                let reason = format!("{error:#}");
                say(&format!("  {} is absent: {reason}", tool.name()));
                absent.push(Absent { tool, reason });
            }
        }
    }
    Ok((present, absent))
}

/// Beside other caches of this user.
fn folder() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).context("there is no home")?;
    Ok(cache.join("haulier").join("peers"))
}

fn get(tool: Tool, folder: &Path) -> Result<Contestant> {
    let (program, source) = match tool {
        Tool::Haulier => (crate::bench::child::BENCH.into(), "this source tree"),
        Tool::Restic => (folder.join("usr/bin/restic"), "Debian's newest suite, from this machine's mirror"),
        Tool::Rustic => (folder.join("bin/rustic"), "crates.io, built here without its optional features"),
        Tool::Borg => (folder.join("bin/borg"), "PyPI, built here"),
        Tool::Bupstash => (folder.join("bin/bupstash"), "crates.io, built here"),
    };
    if !program.is_file() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        match tool {
            Tool::Haulier => {}
            Tool::Restic => debian::newest("restic", folder)?,
            Tool::Rustic => cargo("rustic-rs", &["--no-default-features"], folder)?,
            Tool::Borg => borg(folder)?,
            Tool::Bupstash => {
                setup::require_package("libsodium-dev", "what bupstash encrypts with")?;
                cargo("bupstash", &[], folder)?;
            }
        }
    }
    let question = if matches!(tool, Tool::Restic | Tool::Bupstash) { "version" } else { "--version" };
    let version = process::output(Command::new(&program).arg(question))?.trim().to_owned();
    Ok(Contestant { tool, version, source: source.to_owned(), program })
}

/// Builds the newest release of a crate, with the versions it was released with.
fn cargo(package: &str, more: &[&str], folder: &Path) -> Result<()> {
    setup::require_package("pkg-config", "how build scripts find libraries")?;
    say(&format!("building {package} with cargo install (minutes)"));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["install", package, "--locked", "--quiet"]).args(more).arg("--root").arg(folder);
    // What this workspace is built with is none of its business.
    let build = folder.join("build");
    command.current_dir(folder).env_remove("RUSTFLAGS").arg("--target-dir").arg(&build);
    process::output(&mut command)?;
    std::fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))
}

/// Builds Borg in a virtual environment: PyPI has it as source.
fn borg(folder: &Path) -> Result<()> {
    let why = "what Borg is built with";
    for package in
        ["python3-dev", "libssl-dev", "libacl1-dev", "liblz4-dev", "libzstd-dev", "libxxhash-dev", "pkg-config"]
    {
        setup::require_package(package, why)?;
    }
    say("building Borg from PyPI, in a virtual environment of its own");
    process::output(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/pip"));
    process::output(pip.args(["install", "--quiet", "borgbackup"])).map(drop)
}
