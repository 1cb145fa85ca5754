//! Running the host's own tools (`ip`, `nft`, `cp`): each call names what it ran when it fails.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Tools without which no machine can be made, and the Debian package that has each.
const NEEDED: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("pivot_root", "util-linux"),
    ("mount", "mount"),
    ("mknod", "coreutils"),
    ("curl", "curl"),
];

/// Refuses to start where machines could not be made, naming everything that is missing at once.
pub(crate) fn check_host() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the local cloud makes network namespaces, mounts and PostgreSQL servers, which needs root; \
             run it as root (its tests, too)"
        );
    }
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(tool, _)| find(tool).is_none())
        .map(|(tool, package)| format!("{tool} (package {package})"))
        .collect();
    if !missing.is_empty() {
        bail!("the local cloud needs tools that this host lacks: {}", missing.join(", "));
    }
    Ok(())
}

fn find(tool: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].into_iter().map(Into::into))
        .map(|folder| folder.join(tool))
        .find(|candidate| candidate.is_file())
}

/// Runs a tool to its end and returns what it printed; a non-zero status is an error that carries its stderr.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    run_with_input(program, arguments, "").await
}

/// [`run`] with something on standard input.
pub(crate) async fn run_with_input(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let shown = || format!("{program} {}", arguments.join(" "));
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    command.args(arguments);
    feed(command, input).await.with_context(shown)
}

/// Runs a prepared command with something on standard input, to its end.
pub(crate) async fn feed(mut command: Command, input: &str) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("starting it")?;
    let mut pipe = child.stdin.take();
    let write = async {
        if let Some(pipe) = pipe.as_mut() {
            // A tool that ends before it has read everything says why by its status.
            let _ = pipe.write_all(input.as_bytes()).await;
        }
        drop(pipe);
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.context("waiting for it")?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Copies a folder with owners and modes, sharing blocks where the file system can.
pub(crate) async fn copy_folder(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto", "-T", "--"]).arg(from).arg(to);
    feed(command, "").await.with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Copies a folder within one file system as links to the same files.
pub(crate) async fn link_folder(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--link", "-T", "--"]).arg(from).arg(to);
    feed(command, "").await.with_context(|| format!("linking {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Removes a folder; one that is gone already is fine.
pub(crate) async fn remove_folder(folder: &std::path::Path) -> anyhow::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
