//! What the kernel says about processes, and ending a PID namespace for good.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

/// The children of a process.
pub(crate) fn children(pid: Pid) -> anyhow::Result<Vec<Pid>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    text.split_whitespace()
        .map(|child| child.parse().map(Pid::from_raw).with_context(|| format!("reading {path}")))
        .collect()
}

/// The one-letter state of a process, `None` if it is gone.
pub(crate) fn state(pid: Pid) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself hold parentheses and blanks.
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Kills the first process of a PID namespace, and with it all others there; returns when its keeper, the `unshare` that
/// waits for it, has seen its end.
pub(crate) async fn end_namespace(keeper: &mut Child, first: Pid, patience: Duration) -> anyhow::Result<()> {
    if keeper.try_wait().context("watching a namespace")?.is_some() {
        return Ok(());
    }
    // The keeper has not ended, so `first` has not been reaped and the number is still its own.
    match kill(first, Signal::SIGKILL) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(error) => return Err(error).context("killing a namespace"),
    }
    let ended = tokio::time::timeout(patience, keeper.wait()).await;
    ensure!(ended.is_ok(), "processes of a machine do not die within {} s", patience.as_secs());
    Ok(())
}

/// The processes that live in the same PID namespace as `first`, itself included.
pub(crate) fn namespace_members(first: Pid) -> anyhow::Result<Vec<Pid>> {
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted: PathBuf = link(&first.to_string()).with_context(|| format!("process {first} is gone"))?;
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc").context("listing processes")? {
        let name = entry.context("listing processes")?.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        if link(pid).as_ref() == Some(&wanted)
            && let Ok(number) = pid.parse()
        {
            members.push(Pid::from_raw(number));
        }
    }
    Ok(members)
}

/// Name of the program a process runs, as the kernel keeps it (15 characters at most).
pub(crate) fn name(pid: Pid) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(text.trim_end().to_owned())
}
