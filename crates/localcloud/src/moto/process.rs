//! The emulator's process: started, awaited until it answers, killed with its parent.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::client::MotoClient;

/// How long the emulator may take to answer: a cold start reads thousands of Python files.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Why the emulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Starting it failed.
    #[error("cannot start the AWS emulator from {dir}")]
    Spawn {
        /// Its virtual environment.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended or kept silent.
    #[error("the AWS emulator did not answer; its log is {log}")]
    Silent {
        /// Where it logs.
        log: PathBuf,
    },
}

/// A running emulator.
#[derive(Debug)]
pub struct MotoServer {
    address: SocketAddr,
    pid: Pid,
    /// Spawned the child and waits for it. The child dies with this very thread, so it must live as long.
    keeper: Option<JoinHandle<()>>,
}

impl MotoServer {
    /// Starts the emulator of the virtual environment `dir` for an account, logging to `log`, and waits until it answers.
    pub async fn start(dir: &Path, log: &Path, account: &str) -> Result<Self, StartError> {
        let spawn_error = |source| StartError::Spawn { dir: dir.to_owned(), source };
        let port = free_port().map_err(spawn_error)?;
        let output = File::create(log).map_err(spawn_error)?;
        let errors = output.try_clone().map_err(spawn_error)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(dir.join("bin/python"))
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ACCOUNT_ID", account)
            .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let keeper = std::thread::Builder::new()
            .name("moto-keeper".to_owned())
            .spawn(move || match command.spawn() {
                Ok(mut child) => {
                    let _ = sender.send(Ok(child.id()));
                    if let Err(error) = child.wait() {
                        tracing::warn!(%error, "cannot wait for the AWS emulator");
                    }
                }
                Err(error) => drop(sender.send(Err(error))),
            })
            .map_err(spawn_error)?;
        let id = receiver.await.map_err(|error| spawn_error(io::Error::other(error)))?.map_err(spawn_error)?;
        let pid = i32::try_from(id).map(Pid::from_raw).map_err(|error| spawn_error(io::Error::other(error)))?;
        let server = Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), pid, keeper: Some(keeper) };
        server.wait_until_ready(log).await?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn wait_until_ready(&self, log: &Path) -> Result<(), StartError> {
        let client = MotoClient::new(self.address, "us-east-1");
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline && self.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
            if client.is_ready().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(StartError::Silent { log: log.to_owned() })
    }
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        // The keeper reaps the child, so while it runs the pid is still ours.
        if !keeper.is_finished()
            && let Err(error) = killpg(self.pid, Signal::SIGKILL)
        {
            tracing::warn!(%error, "cannot kill the AWS emulator");
        }
        let _ = keeper.join();
    }
}

/// A port that is free now. Another process could take it before the emulator does; then the emulator ends at once and
/// the start fails with its log.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
