//! One running server: starting it, waiting until it answers, freezing it for a copy, killing it.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

use super::super::nursery::Nursery;
use super::super::process;
use super::programs::{HOME, Programs};
use super::settings::ADMINISTRATOR;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Where a server is reached by its administrator.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) host_name: String,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    pub(super) password: String,
}

impl Access {
    /// libpq connection string.
    pub(super) fn dsn(&self) -> String {
        format!(
            "host={} hostaddr={} port={} user={ADMINISTRATOR} password={} dbname=postgres",
            self.host_name, self.address, self.port, self.password
        )
    }

    /// Runs one statement as the administrator.
    pub(super) async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let (client, connection) = tokio_postgres::connect(&self.dsn(), NoTls).await.context("connecting to it")?;
        let driver = tokio::spawn(connection);
        let result = client.batch_execute(statement).await;
        drop(client);
        // The statement's own result is the answer; a connection that ends badly after it changes nothing.
        let _ = driver.await;
        result.context("running a statement")
    }
}

/// The processes of one server.
#[derive(Debug)]
pub(super) struct Server {
    /// Keeper of the namespaces.
    keeper: Child,
    /// First process within: the postmaster.
    postmaster: Pid,
}

impl Server {
    /// Starts the server over `home` and waits until it accepts connections.
    pub(super) async fn start(
        nursery: &Nursery,
        programs: &Programs,
        major: u32,
        home: &Path,
        network: &str,
        access: &Access,
    ) -> anyhow::Result<Self> {
        let log_path = home.join("server.log");
        let log = std::fs::File::options().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("opening {}", log_path.display()))?;
        let mut command = programs.command(major, home, Some(network), "postgres")?;
        command.arg(format!("--config-file={HOME}/postgresql.conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut keeper = nursery.spawn(command).await.context("starting the server")?;
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = keeper.try_wait().context("watching the server")? {
                bail!("the server ended at its start ({status}): {}", tail(&log_path));
            }
            let attempt = tokio::time::timeout(Duration::from_secs(5), access.execute("SELECT 1")).await;
            if matches!(attempt, Ok(Ok(()))) {
                break;
            }
            ensure!(Instant::now() < deadline, "the server does not answer: {}", tail(&log_path));
            sleep(POLL).await;
        }
        let keeper_pid = keeper.id().context("the server has just ended")?;
        let children = process::children(Pid::from_raw(i32::try_from(keeper_pid)?))?;
        let [postmaster] = children[..] else { bail!("expected one postmaster, found {}", children.len()) };
        Ok(Self { keeper, postmaster })
    }

    /// Stops every process of the server in its tracks, so that its files hold one moment: that of a crash. The server
    /// goes on when the guard is dropped.
    pub(super) async fn freeze(&mut self) -> anyhow::Result<Frozen> {
        ensure!(self.keeper.try_wait().context("watching the server")?.is_none(), "the server is not running");
        // The postmaster first: then nobody new comes.
        let mut frozen = Frozen { stopped: Vec::new() };
        frozen.stop(self.postmaster)?;
        wait_stopped(self.postmaster).await?;
        let backends = process::children(self.postmaster)?;
        for backend in &backends {
            frozen.stop(*backend)?;
        }
        for backend in backends {
            wait_stopped(backend).await?;
        }
        Ok(frozen)
    }

    /// Kills the server at once; returns when nothing of it is left.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        process::end_namespace(&mut self.keeper, self.postmaster, STOP).await
    }
}

/// A server that stands still for as long as this lives.
#[derive(Debug)]
pub(super) struct Frozen {
    stopped: Vec<Pid>,
}

impl Frozen {
    fn stop(&mut self, pid: Pid) -> anyhow::Result<()> {
        match kill(pid, Signal::SIGSTOP) {
            Ok(()) => self.stopped.push(pid),
            // A backend that ended by itself writes nothing more.
            Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => return Err(error).context("freezing the server"),
        }
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Backends first: the postmaster must not see a child that seems hung.
        for pid in self.stopped.iter().rev() {
            if let Err(error) = kill(*pid, Signal::SIGCONT) {
                tracing::debug!(%pid, %error, "could not thaw a process");
            }
        }
    }
}

async fn wait_stopped(pid: Pid) -> anyhow::Result<()> {
    let deadline = Instant::now() + STOP;
    loop {
        match process::state(pid) {
            None | Some('T' | 't' | 'Z' | 'X') => return Ok(()),
            Some(_) => {}
        }
        ensure!(Instant::now() < deadline, "process {pid} does not stop");
        sleep(Duration::from_millis(1)).await;
    }
}

/// The end of the server's log, for an error text.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
