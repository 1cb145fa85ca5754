//! The end of the machine: one command that the image provides. Nothing here knows how to power off by itself, so that
//! an agent outside of its image cannot.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs the image's power-off command.
#[derive(Debug, Clone)]
pub struct PowerOff {
    command: PathBuf,
}

impl PowerOff {
    /// Uses this command. It is run without arguments.
    pub fn new(command: impl Into<PathBuf>) -> Self {
        Self { command: command.into() }
    }

    /// Runs the command and waits for it. Returns whether it said that it worked. Blocks, on purpose: the watchdog's
    /// thread calls it when the runtime is not to be trusted.
    pub fn run(&self, reason: &str) -> bool {
        tracing::warn!(reason, "power off");
        let status = Command::new(&self.command).stdin(Stdio::null()).stdout(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => true,
            Ok(status) => {
                tracing::error!(command = %self.command.display(), %status, "the power-off command failed");
                false
            }
            Err(error) => {
                tracing::error!(command = %self.command.display(), %error, "the power-off command cannot be run");
                false
            }
        }
    }
}
