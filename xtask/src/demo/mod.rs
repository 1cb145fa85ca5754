//! `cargo xtask demo`: the main job, shown from a database to its equal copy. The story is the same for every engine; what is
//! not the same is in [`databases`].

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use e2e::cloud::Cloud;
use e2e::coordinator::Coordinator;
use e2e::haulier::Haulier;
use e2e::{documented, ledger};
use serde_json::{Value, json};

use crate::memory::{self, Watch};
use crate::{build, empty, say, setup};

mod databases;
mod postgres;
mod report;
mod sqlserver;

use databases::{COPY, Databases, Engine, PASSWORD, PROD, SOURCE, SPARE};
use report::{Backup, Limit, Report, Restore};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the databases are of.
    #[arg(long, value_enum, default_value_t = Engine::Postgres)]
    engine: Engine,
    /// Leave cloud and coordinator running, and say how to go on by hand.
    #[arg(long)]
    keep: bool,
    /// Print the result as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Megabytes of the database: for PostgreSQL of its dump, 330 without this, and 300 is the least that shows anything; for SQL
    /// Server of its pages, 1000 without this.
    #[arg(long)]
    megabytes: Option<u32>,
    /// Folder of everything the demo makes; emptied first.
    #[arg(long, default_value = "/var/tmp/haulier-demo")]
    dir: PathBuf,
}

/// The repository's bucket.
const BUCKET: &str = "haulier-demo";
/// Bytes that an agent may have resident, whatever the size of the database.
const AGENT_MEMORY: f64 = 300.0 * 1024.0 * 1024.0;

/// Shows it. Succeeds only where everything compared equal, nothing is left over and nothing is out of bounds.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run()?;
    setup::require_root("the local cloud's network namespaces, which")?;
    build::binaries()?;
    empty(&arguments.dir)?;

    say(&format!("\n# A cloud with two instances of {}", arguments.engine.title()));
    let cloud = Cloud::start(&arguments.dir.join("cloud"))?;
    let databases = arguments.engine.set(&cloud, arguments.megabytes)?;
    let login = json!({ "username": "master", "password": PASSWORD });
    let secret = cloud.create_secret("shop/master", &login.to_string())?;
    cloud.create_bucket(BUCKET)?;

    say("\n# A coordinator with the documented permissions and no others, a repository and a policy");
    documented::permit(&cloud, BUCKET)?;
    let role = cloud.environment_as("haulier-coordinator")?;
    let mut coordinator = Coordinator::start_in(&cloud, &arguments.dir.join("coordinator"), role)?;
    let haulier = coordinator.haulier().clone();
    let play = Play { cloud: &cloud, haulier: &haulier, engine: arguments.engine, databases: &*databases, secret };
    let outcome = play.show(&arguments.dir);

    if arguments.keep {
        go_on_by_hand(&cloud, &haulier);
        coordinator.leave_running();
        cloud.leave_running();
    } else {
        coordinator.stop()?;
        cloud.stop()?;
    }
    let report = outcome?;
    say(&report.table());
    if arguments.json {
        print(&report.json().to_string());
    }
    ensure!(report.is_good(), "the demo did not end well");
    Ok(())
}

/// Everybody on stage.
struct Play<'a> {
    cloud: &'a Cloud,
    haulier: &'a Haulier,
    engine: Engine,
    databases: &'a dyn Databases,
    secret: String,
}

impl Play<'_> {
    fn show(&self, folder: &Path) -> Result<Report> {
        let Self { cloud, haulier, engine, databases, secret } = self;
        let region = &cloud.facts().region;
        let passphrase = cloud.create_secret("haulier/passphrase", "correct horse battery staple")?;
        let create = ["repository", "create", "demo", "--bucket", BUCKET, "--region", region];
        haulier.show(&[&create[..], &["--passphrase-secret-arn", &passphrase]].concat())?;
        let policy = folder.join("policy.yaml");
        std::fs::write(&policy, policy_document(region, secret)).context("writing the policy")?;
        haulier.show(&["policy", "apply", &policy.display().to_string()])?;
        let before = cloud.listing()?;

        say("\n# The first backup");
        let backup = self.back_up()?;
        let changed = databases.change(cloud)?;
        say(&format!("\n# Changed since: {changed}. The second backup"));
        let second_backup = self.back_up()?;

        say("\n# Restored into the second instance under another name");
        let restore = self.restore(&second_backup.point)?;

        say("\n# Is the copy equal? First it is shown that a difference would be seen");
        let differences = databases.differences(cloud)?;

        say("\n# Every cloud resource that was made, and its end");
        let resources = ledger::of(haulier)?;
        let leftovers = ledger::leftovers(&before, &cloud.listing()?, &ledger::snapshots_of_points(haulier)?);
        let mut limits = databases.limits(second_backup.bytes_stored);
        let agent = [backup.agent_peak, second_backup.agent_peak, restore.agent_peak].into_iter().max().unwrap_or(0);
        limits.push(Limit { what: "agent_peak_bytes", least: 1.0, most: AGENT_MEMORY, measured: agent as f64 });
        let (engine, database) = (engine.name(), databases.facts());
        let cloud_peak = memory::peak(self.cloud_id()?).context("the cloud runs")?;
        Ok(Report {
            engine,
            database,
            backup,
            second_backup,
            restore,
            limits,
            differences,
            resources,
            leftovers,
            cloud_peak,
        })
    }

    /// Runs the policy, shows its session live and gives the figures of the point it made.
    fn back_up(&self) -> Result<Backup> {
        let haulier = self.haulier;
        let watch = Watch::begin(self.cloud_id()?);
        let started = haulier.json(&["policy", "run", "demo"])?;
        let session = started["session_ids"][0].as_str().context("the policy started no session")?.to_owned();
        haulier.show(&["session", "tail", &session])?;
        let agent_peak = watch.end()?.agent;
        let ended = haulier.json(&["session", "show", &session])?;
        let state = ended["state"].as_str().unwrap_or_default();
        if !matches!(state, "succeeded" | "warning") {
            bail!("session {session} ended as {state}: {}", ended["failure"]);
        }
        let point = ended["point_id"].as_str().context("the session made no point")?.to_owned();
        let shown = haulier.json(&["point", "show", &point])?;
        let figure = |name: &str| shown[name].as_u64().with_context(|| format!("the point has no {name}"));
        Ok(Backup {
            bytes_read: figure("bytes_read")?,
            bytes_new: figure("bytes_new")?,
            bytes_stored: figure("bytes_stored")?,
            seconds: seconds_between(&ended["started_at"], &ended["ended_at"])?,
            agent_peak,
            point,
        })
    }

    /// Restores the database of a point, and shows its session live.
    fn restore(&self, point: &str) -> Result<Restore> {
        let watch = Watch::begin(self.cloud_id()?);
        let started = Instant::now();
        let database = format!("{SOURCE}={COPY}");
        let what = ["restore", "database", "--point", point, "--database", &database];
        let into = ["--target-instance", SPARE, "--secret-arn", &self.secret, "--wait"];
        self.haulier.show(&[&what[..], &into].concat())?;
        Ok(Restore { seconds: started.elapsed().as_secs_f64(), agent_peak: watch.end()?.agent })
    }

    fn cloud_id(&self) -> Result<u32> {
        self.cloud.id().context("the cloud was started here")
    }
}

fn seconds_between(start: &Value, end: &Value) -> Result<f64> {
    let at = |value: &Value| -> Result<jiff::Timestamp> {
        value.as_str().context("a session that ended has both times")?.parse().context("reading a session's time")
    };
    Ok(at(end)?.duration_since(at(start)?).as_secs_f64())
}

fn policy_document(region: &str, secret: &str) -> String {
    format!(
        "version: 1\n\
         name: demo\n\
         regions: [{region}]\n\
         resources:\n  include:\n    - ids: [{PROD}]\n\
         repository: demo\n\
         databases: [{SOURCE}]\n\
         credentials:\n  secret_arn: {secret}\n\
         snapshot: true\n\
         schedule: manual\n"
    )
}

fn go_on_by_hand(cloud: &Cloud, haulier: &Haulier) {
    say("\n# To go on by hand");
    for (name, value) in cloud.environment().iter().chain(haulier.environment()) {
        say(&format!("export {name}={value}"));
    }
    say("haulier session list   # the coordinator's credentials of its role end an hour after it was started");
    if let Some(id) = cloud.id() {
        say(&format!(
            "kill {id}   # ends the cloud; the coordinator's process id is in the list of `pgrep haulier-coord`"
        ));
    }
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(line: &str) {
    println!("{line}");
}
