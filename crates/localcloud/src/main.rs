//! `haulier-localcloud`: a laptop-sized AWS as one process.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use haulier_localcloud::cloud::{CloudConfig, LocalCloud};
use haulier_localcloud::front::Delays;
use haulier_localcloud::packages::Packages;
use tokio::signal::unix::{SignalKind, signal};

/// A laptop-sized AWS for the demo, tests and benchmarks.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// Runs a cloud until SIGTERM or SIGINT, then ends everything it has started. Needs root.
    ///
    /// When the cloud is ready, its description is printed on standard output as one line of JSON and kept in
    /// DIR/cloud.json.
    Serve(Serve),
    /// Installs servers and clients of PostgreSQL versions that the host does not have, out of npm and PyPI.
    ///
    /// A cloud that runs with the same cache can have instances of them at once.
    InstallPostgresql(InstallPostgresql),
}

#[derive(Debug, clap::Args)]
struct InstallPostgresql {
    /// Major versions. Nothing is done for those that are there.
    #[arg(required = true, value_name = "MAJOR")]
    majors: Vec<u32>,
    #[command(flatten)]
    places: Places,
}

/// Where programs lie.
#[derive(Debug, clap::Args)]
struct Places {
    /// PostgreSQL programs besides those in /usr/lib/postgresql, in folders named by major version.
    #[arg(long, env = "HAULIER_POSTGRESQL_PACKAGES")]
    postgresql_packages: Option<PathBuf>,
    /// What is kept between clouds: the emulator's virtual environment, prepared database clusters, PostgreSQL versions.
    #[arg(long, env = "HAULIER_CLOUD_CACHE", default_value = "/var/cache/haulier-cloud")]
    cache: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Folder of the cloud: data of databases, buckets, logs. Gone when the cloud starts anew there.
    #[arg(long)]
    dir: PathBuf,
    /// The worker agent that EC2 instances run; can be chosen later by PUT /_cloud/computers/image.
    #[arg(long)]
    worker_binary: Option<PathBuf>,
    /// Folder with the image's boot script.
    #[arg(long)]
    ami: PathBuf,
    /// The Region that the cloud is.
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    #[command(flatten)]
    places: Places,
    /// How long, in milliseconds, AWS takes for each change of a state (pending, creating, deleting).
    #[arg(long, value_name = "MS", default_value_t = 200)]
    delay: u64,
    /// Upper limit on the life of AssumeRole's credentials in seconds, for tests of their renewal.
    #[arg(long, value_name = "SECONDS")]
    session_lifetime: Option<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // S3's protocol crate calls every refusal an error, and shows whole requests, tokens included, to whoever debugs.
    let filter = filter.add_directive("s3s=off".parse().context("the log filter")?);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match Command::parse() {
        Command::Serve(arguments) => serve(arguments).await,
        Command::InstallPostgresql(InstallPostgresql { majors, places }) => {
            let packages = Packages::new(places.postgresql_packages, &places.cache);
            packages.ensure(&majors).await.context("installing PostgreSQL")
        }
    }
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let config = CloudConfig {
        dir: arguments.dir,
        worker_binary: arguments.worker_binary,
        ami: arguments.ami,
        region: arguments.region,
        packages: arguments.places.postgresql_packages,
        cache: arguments.places.cache,
        delays: Delays::all(Duration::from_millis(arguments.delay)),
        session_lifetime: arguments.session_lifetime.map(Duration::from_secs),
    };
    // A signal during the start ends the process; what has been started by then dies with it.
    let cloud = tokio::select! {
        cloud = LocalCloud::start(config) => cloud.context("starting the local cloud")?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let line = serde_json::to_string(cloud.description()).context("describing the cloud")?;
    writeln!(std::io::stdout(), "{line}").context("printing the cloud's description")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending the local cloud");
    cloud.close().await.context("ending the local cloud")
}
