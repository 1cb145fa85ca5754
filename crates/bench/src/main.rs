//! `haulier-bench`: what `cargo xtask bench peers` and `native` run as children, so that what each of them takes can be told
//! apart, and what `cargo xtask bench torture` is made of.
//!
//! The repository writes and reads streams here as a worker would have it do, without a database or a coordinator; a stopwatch runs any contestant and says what its processes took. Never in a release.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod folder;
mod native;
mod pages;
mod repository;
mod stages;
mod stopwatch;
mod torture;

#[derive(Debug, Parser)]
#[command(name = "haulier-bench", about = "Parts of Haulier's benchmarks")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates a repository in a folder.
    Create {
        /// The folder.
        folder: PathBuf,
    },
    /// Stores standard input as a restore point.
    Store(repository::Store),
    /// Writes the stream of a restore point to standard output.
    Read(repository::Read),
    /// Writes a file of database pages to standard output.
    Pages(pages::Pages),
    /// Measures each stage of the data path by itself, on one thread, and prints JSON.
    Stages(stages::Stages),
    /// Stores random streams while writers and prunes are killed, and compares every point with what it should be.
    Torture(torture::Arguments),
    /// What `torture` has its children do.
    #[command(hide = true)]
    Victim(torture::Victim),
    /// Parts of the benchmark of native backups of SQL Server.
    #[command(subcommand)]
    Native(native::Native),
    /// Runs a command and writes what it took to a file.
    Measure(stopwatch::Measure),
}

fn main() -> Result<ExitCode> {
    let done = match Arguments::parse().command {
        Command::Create { folder } => repository::create(&folder),
        Command::Store(store) => repository::store(&store),
        Command::Read(read) => repository::read(&read),
        Command::Pages(pages) => pages::write(&pages),
        Command::Stages(stages) => stages::measure(&stages),
        Command::Torture(arguments) => return torture::run(&arguments),
        Command::Victim(victim) => return torture::suffer(&victim),
        Command::Native(native) => native::run(&native),
        Command::Measure(measure) => stopwatch::run(&measure),
    };
    done.map(|()| ExitCode::SUCCESS)
}
