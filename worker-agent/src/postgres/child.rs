//! `pg_dump` and `pg_restore` as children: the password by a private file, never on the command line; everything they
//! say on stderr kept and judged; stopped gently first, so that they cancel their queries.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::quote;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::connect::Connector;
use super::failures;

/// How long a child may take to cancel its queries before it is killed.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Most that is kept of what a child says. One that says more has failed in any case.
const MOST_WORDS: usize = 4 << 20;

/// What a child needs to know of its surroundings.
pub(super) struct Surroundings<'a> {
    pub(super) connector: &'a Connector,
    pub(super) user: &'a str,
    pub(super) ca_file: &'a Path,
    pub(super) password_file: &'a Path,
}

/// A running child.
pub(super) struct Child {
    tool: &'static str,
    process: tokio::process::Child,
    words: JoinHandle<String>,
}

/// A child's end.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) words: String,
}

/// `--dbname` of a child: a database, and how to notice a dead connection: after the five minutes and a half that a
/// network may be away, and often enough for NAT gateways, which forget after 350 s (VPC User Guide, "NAT gateways").
pub(super) fn database_argument(database: &str) -> OsString {
    let target = quote::connection_string(database);
    format!("--dbname={target} keepalives_idle=30 keepalives_interval=30 keepalives_count=10").into()
}

impl Child {
    /// Starts a tool. Its stdin is a pipe where `fed`, else closed; its stdout is a pipe.
    pub(super) fn start(
        bin: &Path,
        tool: &'static str,
        arguments: &[OsString],
        surroundings: &Surroundings<'_>,
        fed: bool,
    ) -> Result<Self, Failure> {
        let path = bin.join(tool);
        let instance = surroundings.connector.instance();
        let mut command = Command::new(&path);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", bin)
            .env("LC_ALL", "C")
            .env("PGHOST", &instance.host)
            .env("PGPORT", instance.port.to_string())
            .env("PGUSER", surroundings.user)
            .env("PGPASSFILE", surroundings.password_file)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", surroundings.ca_file)
            .env("PGCONNECT_TIMEOUT", "30")
            .env("PGAPPNAME", surroundings.connector.application())
            .stdin(if fed { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if tool == "pg_dump" {
            command.env("PGOPTIONS", super::text::OPTIONS);
        }
        if let Some(address) = instance.address {
            command.env("PGHOSTADDR", address.to_string());
        }
        let failed = |error: std::io::Error| failures::local(format!("starting {tool}"), &path, &error);
        let mut process = command.spawn().map_err(failed)?;
        let stderr = process.stderr.take();
        let words = tokio::spawn(async move {
            match stderr {
                Some(stderr) => listen(stderr).await,
                None => String::new(),
            }
        });
        Ok(Self { tool, process, words })
    }

    /// Its stdout; there once.
    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Its stdin, where it is fed; there once.
    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> Result<Ended, Failure> {
        let lost = |cause: String| {
            Failure::new("worker-environment", format!("waiting for {}", self.tool), cause, "run again").retryable()
        };
        let status = self.process.wait().await.map_err(|error| lost(error.to_string()))?;
        let words = (&mut self.words).await.map_err(|error| lost(error.to_string()))?;
        Ok(Ended { status, words })
    }

    /// Stops it: asked first, so that it cancels its queries, then killed.
    pub(super) async fn stop(mut self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(PATIENCE, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}

async fn listen(mut stderr: ChildStderr) -> String {
    let mut words = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stderr.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => {
                let room = MOST_WORDS.saturating_sub(words.len());
                words.extend_from_slice(&buffer[..count.min(room)]);
            }
            Err(error) => {
                words.extend_from_slice(format!("\nstderr could not be read: {error}").as_bytes());
                break;
            }
        }
    }
    if words.len() >= MOST_WORDS {
        words.extend_from_slice(b"\nstderr goes on beyond all measure");
    }
    String::from_utf8_lossy(&words).into_owned()
}
