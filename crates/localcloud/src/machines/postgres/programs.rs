//! Where PostgreSQL servers of each major version lie, and how they are run: as the `postgres` user, in namespaces of
//! their own, dying with the cloud.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use nix::unistd::User;
use tokio::process::Command;

use crate::packages::{MAJORS, Packages, SERVER};

const ENTER: &str = include_str!("enter.sh");
/// How `enter.sh` shows an instance's folder to the server.
pub(super) const HOME: &str = "/mnt/home";

/// The servers of this host.
#[derive(Debug)]
pub(crate) struct Programs {
    packages: Packages,
    user: User,
}

impl Programs {
    /// Looks for servers, of which there must be one.
    pub(crate) fn find(packages: Packages) -> anyhow::Result<Self> {
        if packages.with(SERVER).is_empty() {
            bail!("no PostgreSQL server found; install one (package postgresql-15)");
        }
        let user = User::from_name("postgres").context("looking for the user postgres")?;
        let user = user.context("the host has no user postgres (package postgresql-common makes it)")?;
        Ok(Self { packages, user })
    }

    /// Major versions at hand.
    pub(super) fn majors(&self) -> Vec<u32> {
        self.packages.with(SERVER).into_keys().collect()
    }

    /// The account that servers run under.
    pub(super) fn user(&self) -> &User {
        &self.user
    }

    /// The folder of a major version's programs.
    pub(super) fn folder(&self, major: u32) -> anyhow::Result<PathBuf> {
        let mut known = self.packages.with(SERVER);
        if let Some(folder) = known.remove(&major) {
            return Ok(folder);
        }
        let known: Vec<_> = known.into_keys().collect();
        let remedy = if MAJORS.contains(&major) {
            format!("; `haulier-localcloud install-postgresql {major}` installs it")
        } else {
            String::new()
        };
        bail!("no PostgreSQL {major} server on this host (found: {known:?}){remedy}")
    }

    /// Refuses a server that cannot ask a directory, which IAM tokens need here.
    pub(super) fn check_directory_support(&self, major: u32) -> anyhow::Result<()> {
        let binary = self.folder(major)?.join("bin/postgres");
        let bytes = std::fs::read(&binary).with_context(|| format!("reading {}", binary.display()))?;
        // The name of the library that the program is linked with.
        ensure!(
            bytes.windows(7).any(|window| window == b"libldap"),
            "IAM authentication is not available here for PostgreSQL {major}: {} is built without LDAP, by which it \
             would ask whether a token is good",
            binary.display()
        );
        Ok(())
    }

    /// A program of one major version, to be run over `home` in private PID, IPC and mount namespaces, and in the given
    /// network namespace if any. The child it makes is the namespaces' keeper; killing it kills all within.
    pub(super) fn command(
        &self,
        major: u32,
        home: &Path,
        network: Option<&str>,
        program: &str,
    ) -> anyhow::Result<Command> {
        let folder = self.folder(major)?;
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.args(["--pdeathsig=KILL", "--"]);
        if let Some(network) = network {
            command.args(["nsenter", &format!("--net={network}"), "--"]);
        }
        command
            .args(["unshare", "--mount", "--propagation=slave", "--pid", "--ipc", "--kill-child=KILL", "--"])
            .args(["sh", "-c", ENTER, "enter.sh"])
            .arg(home)
            .arg(&folder)
            .arg(format!("/mnt/server/bin/{program}"));
        Ok(command)
    }
}
