//! Cargo, called with the same features every time: another selection of packages would compile the AWS SDKs again.

use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::bin;

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(bin::source());
    // What cargo told this program about itself would tell build scripts (ring's) that the world has changed, and half the
    // tree would be compiled again.
    let of_xtask = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|start| name.starts_with(start))
    };
    for (name, _) in std::env::vars().filter(|(name, _)| of_xtask(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs a command in the open and wants success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Builds every binary of the workspace.
pub(crate) fn binaries() -> Result<()> {
    crate::say("building Haulier (the first build takes several minutes, and about 8 GB of memory for the EC2 SDK)");
    run(cargo().args(["build", "--workspace", "--bins"]))
}
