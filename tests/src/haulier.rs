//! The operator's command line, as an operator calls it.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bin;

/// `haulier` with the settings that reach one coordinator.
#[derive(Debug, Clone)]
pub struct Haulier {
    environment: Vec<(String, String)>,
    printed: Arc<Mutex<String>>,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Standard output as one JSON value.
    ///
    /// # Errors
    /// Where it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {}\n{}", self.stdout, self.stderr))
    }
}

impl Haulier {
    /// A command line with these variables in its environment.
    pub fn new(environment: Vec<(String, String)>) -> Self {
        Self { environment, printed: Arc::default() }
    }

    /// Everything that calls have printed so far, but for those whose output went to the operator's own terminal.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The variables, for a user who goes on by hand.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Calls it and takes whatever comes.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn call(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command(arguments)?.stdin(Stdio::null()).output().context("starting haulier")?;
        let answer = Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.push_str(&answer.stdout);
        printed.push_str(&answer.stderr);
        drop(printed);
        Ok(answer)
    }

    /// Calls it with `--output json` and wants success.
    ///
    /// # Errors
    /// Where it fails; the error carries what it wrote to standard error.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.call(&[arguments, &["--output", "json"]].concat())?;
        if answer.code != 0 {
            bail!("haulier {} ended with {}: {}", arguments.join(" "), answer.code, answer.stderr.trim());
        }
        answer.json()
    }

    /// Calls it with its output going to the operator's own terminal, and wants success.
    ///
    /// # Errors
    /// Where it fails.
    pub fn show(&self, arguments: &[&str]) -> Result<()> {
        let status = self
            .command(arguments)?
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("starting haulier")?;
        if !status.success() {
            bail!("haulier {} ended with {status}", arguments.join(" "));
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(bin::path("haulier")?);
        command.args(arguments).envs(self.environment.iter().cloned());
        Ok(command)
    }
}
