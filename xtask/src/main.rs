//! `cargo xtask`: set-up, the local cloud, the demo, tests and checks. Every command says what it is about to change on
//! this machine before it does.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

mod arrows;
mod bench;
mod build;
mod check;
mod cloud;
mod demo;
mod memory;
mod setup;
mod test;

/// Set-up, the local cloud, the demo, tests and checks of Haulier.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs what the other commands need of apt and crates.io; what they need of PyPI and npm comes when they run.
    Setup,
    /// Starts, stops and fills the local cloud.
    Cloud(cloud::Arguments),
    /// Backs up a database, changes it, backs it up again, restores it elsewhere and compares.
    Demo(demo::Arguments),
    /// Runs every test.
    Test(test::Arguments),
    /// Measures Haulier beside the stock tools, in the release profile.
    Bench(bench::Arguments),
    /// Formatting, lints, documentation, dependency arrows, licences.
    Check,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Setup => setup::run().and_then(|()| setup::nextest()),
        Command::Cloud(arguments) => cloud::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Check => check::run(),
    }
}

/// Says something to whoever runs the command: standard output is for results alone.
#[expect(clippy::print_stderr, reason = "this is where a command speaks to its user")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Makes a folder that is empty, whatever was in it.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))
}
