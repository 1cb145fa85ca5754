//! What continuous integration runs first.

use anyhow::Result;

use crate::{arrows, build, say};

/// Formatting, dependency arrows, lints, documentation, licences; stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    say("formatting");
    build::run(build::cargo().args(["fmt", "--all", "--check"]))?;
    say("dependency arrows");
    arrows::run()?;
    say("licences and versions");
    deny()?;
    say("lints");
    build::run(build::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    say("documentation");
    build::run(build::cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]))
}

/// `cargo deny`, installed from its crate where it is missing.
fn deny() -> Result<()> {
    let installed = build::cargo().args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        say("installing cargo-deny through cargo (a few minutes, once)");
        build::run(build::cargo().args(["install", "cargo-deny", "--locked", "--quiet"]))?;
    }
    // It reads every crate's manifest and, being offline, cannot fetch those that no build has needed yet.
    build::run(build::cargo().args(["fetch", "--locked", "--quiet"]))?;
    build::run(build::cargo().args([
        "deny",
        "--offline",
        "--workspace",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}
