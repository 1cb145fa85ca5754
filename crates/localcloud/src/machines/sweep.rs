//! Removing every trace of a cloud's network by its names: at an orderly end, and for clouds that had none.

use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command;

/// Removes namespaces, cables and bridge whose names begin with `prefix`. Nothing there is fine.
pub(crate) async fn sweep(prefix: &str) -> anyhow::Result<()> {
    for namespace in namespaces(prefix).await? {
        evict(&namespace).await?;
        delete(&["netns", "delete", &namespace]).await?;
    }
    for interface in interfaces(prefix)? {
        delete(&["link", "delete", &interface]).await?;
    }
    Ok(())
}

/// Removes one machine's cable and namespace, by the exact name. Nothing there is fine.
pub(crate) async fn remove_port(name: &str) -> anyhow::Result<()> {
    delete(&["link", "delete", name]).await?;
    delete(&["netns", "delete", name]).await
}

/// The synchronous form, for a cloud that is dropped without an orderly end.
pub(crate) fn sweep_now(prefix: &str) {
    let listing = std::process::Command::new("ip").args(["netns", "list"]).output();
    let names = listing.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for namespace in names_with(prefix, &names) {
        let _ = std::process::Command::new("ip").args(["netns", "delete", &namespace]).output();
    }
    for interface in interfaces(prefix).unwrap_or_default() {
        let _ = std::process::Command::new("ip").args(["link", "delete", &interface]).output();
    }
}

/// Names of the cloud's network namespaces.
pub(crate) async fn namespaces(prefix: &str) -> anyhow::Result<Vec<String>> {
    Ok(names_with(prefix, &command::run("ip", &["netns", "list"]).await?))
}

fn names_with(prefix: &str, listing: &str) -> Vec<String> {
    let first = listing.lines().filter_map(|line| line.split_whitespace().next());
    first.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

fn interfaces(prefix: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").context("listing network interfaces")? {
        let name = entry.context("listing network interfaces")?.file_name().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Ends whatever still runs inside one of our namespaces: it keeps the addresses and the disk of a dead machine.
async fn evict(namespace: &str) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let listing = command::run("ip", &["netns", "pids", namespace]).await.unwrap_or_default();
        let pids: Vec<i32> = listing.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            // Gone in between is what we want.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "processes in {namespace} do not die");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs an `ip ... delete`; deleting one end of a cable deletes the other, so "not there" is expected.
async fn delete(arguments: &[&str]) -> anyhow::Result<()> {
    match command::run("ip", arguments).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = format!("{error:#}");
            let gone = ["Cannot find device", "No such file or directory", "does not exist", "No such device"];
            if gone.iter().any(|phrase| text.contains(phrase)) { Ok(()) } else { Err(error) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::names_with;

    #[test]
    fn only_names_of_this_cloud_are_swept() {
        let listing = "hcl01m10 (id: 3)\nhcl01m11\nhcl010\nhcl02m10 (id: 1)\nother\n";
        assert_eq!(names_with("hcl02", listing), ["hcl02m10"]);
        assert_eq!(names_with("hcl01m", listing), ["hcl01m10", "hcl01m11"]);
    }
}
