//! Child processes that do not outlive their owner.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait;

/// A child with its output in a file. Dropping it ends it in order (SIGTERM, then SIGKILL).
#[derive(Debug)]
pub struct Owned {
    name: String,
    child: Child,
    grace: Duration,
}

impl Owned {
    /// Starts the command; both outputs go to `log`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("log file {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("a second handle of the log file")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, grace: Duration::from_secs(60) })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal by name: `KILL`, `TERM`, `STOP`.
    ///
    /// # Errors
    /// Where it has ended already.
    pub fn signal(&self, signal: &str) -> Result<()> {
        signal_process(self.child.id(), signal)
    }

    /// Kills it at once, as a crash would, and reaps it.
    ///
    /// # Errors
    /// Where it cannot be reaped.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.child.wait().with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// Asks it to end and waits for it.
    ///
    /// # Errors
    /// Where it does not end in time; it is killed then.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        self.signal("TERM")?;
        let child = &mut self.child;
        if wait::until(self.grace, "it to end", || Ok(child.try_wait()?.is_some())).is_err() {
            self.kill()?;
            bail!("{} did not end within {:?} after SIGTERM", self.name, self.grace);
        }
        self.child.wait().with_context(|| format!("waiting for {}", self.name))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln_once(&format!("{}: {error:#}", self.name));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a drop has no other way to speak")]
fn eprintln_once(text: &str) {
    eprintln!("{text}");
}

/// Sends a signal to one process by its id.
///
/// # Errors
/// Where there is no such process.
pub fn signal_process(id: u32, signal: &str) -> Result<()> {
    output(Command::new("kill").arg(format!("-{signal}")).arg(id.to_string())).map(drop)
}

/// Runs a command to its end and gives its standard output.
///
/// # Errors
/// Where it cannot be started or fails; the error carries what it wrote to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed something that is not UTF-8"))
}

/// Runs a command that reads `input`, where nobody else sees it: arguments are everybody's.
///
/// # Errors
/// Where it cannot be started.
pub fn fed(command: &mut Command, input: &str) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let starting = || format!("starting {name}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().with_context(starting)?;
    if let Some(mut stdin) = process.stdin.take() {
        // One that does not read what it is given says so by how it ends.
        let _ = stdin.write_all(input.as_bytes());
    }
    process.wait_with_output().with_context(starting)
}
