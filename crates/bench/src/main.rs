//! `haulier-bench`: what `cargo xtask bench peers` runs as children, so that what each of them takes can be told apart.
//!
//! The repository writes and reads streams here as a worker would have it do, without a database, a network or a
//! coordinator; a stopwatch runs any contestant and says what its processes took. Never in a release.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod folder;
mod pages;
mod repository;
mod stages;
mod stopwatch;

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
    /// Runs a command and writes what it took to a file.
    Measure(stopwatch::Measure),
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Create { folder } => repository::create(&folder),
        Command::Store(store) => repository::store(&store),
        Command::Read(read) => repository::read(&read),
        Command::Pages(pages) => pages::write(&pages),
        Command::Stages(stages) => stages::measure(&stages),
        Command::Measure(measure) => stopwatch::run(&measure),
    }
}
