//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::{bin, process};
use serde_json::{Value, json};

/// Processor, memory, versions, date, and how busy the machine was before.
pub(super) fn describe() -> Result<Value> {
    Ok(json!({
        "date": jiff::Timestamp::now().to_string(),
        "processor": field("/proc/cpuinfo", "model name"),
        "processors": std::thread::available_parallelism().context("counting processors")?.get(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "load_before": read("/proc/loadavg").split_whitespace().next().map(str::to_owned),
        "system": field("/etc/os-release", "PRETTY_NAME"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "haulier": version(&bin::path("haulier")?)?,
        "pg_dump": version(Path::new("pg_dump"))?,
        "zstd": version(Path::new("zstd"))?,
        "rustc": version(Path::new("rustc"))?,
    }))
}

fn version(program: &Path) -> Result<String> {
    Ok(process::output(Command::new(program).arg("--version"))?.trim().to_owned())
}

/// A file of the system's own; empty where there is none, as on other kinds of machine.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What follows a name and its sign in such a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_start_matches([':', '=']).trim().trim_matches('"').to_owned())
}
