//! `cargo xtask demo`: the main job, shown from a database to its equal copy.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use e2e::cloud::Cloud;
use e2e::coordinator::Coordinator;
use e2e::haulier::Haulier;
use e2e::psql::Database;
use e2e::{dataset, ledger, oracle};
use serde_json::{Value, json};

use crate::{build, say, setup};

mod report;

use report::{Backup, Report, Restore};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave cloud and coordinator running, and say how to go on by hand.
    #[arg(long)]
    keep: bool,
    /// Print the result as one JSON object on the last line.
    #[arg(long)]
    json: bool,
    /// Megabytes of dump that the database makes; 300 is the least that shows anything.
    #[arg(long, default_value_t = 330)]
    megabytes: u32,
    /// Folder of everything the demo makes; emptied first.
    #[arg(long, default_value = "/var/tmp/haulier-demo")]
    dir: PathBuf,
}

/// Name of the database to protect, and of its copy.
const SOURCE: &str = "shop";
const COPY: &str = "shop, restored";

/// Password of the masters: of servers that live as long as the demo.
const PASSWORD: &str = "demo-master-password";

/// Shows it. Succeeds only where everything compared equal and nothing is left over.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::run()?;
    setup::require_root("the local cloud's network namespaces, which")?;
    build::binaries()?;
    empty(&arguments.dir)?;

    say("\n# A cloud with two RDS PostgreSQL instances");
    let cloud = Cloud::start(&arguments.dir.join("cloud"))?;
    let source = cloud.create_instance("shop-prod", PASSWORD)?.authored_by("master");
    let target = cloud.create_instance("shop-spare", PASSWORD)?.authored_by("master");
    let secret =
        cloud.create_secret("shop/master", &json!({ "username": "master", "password": PASSWORD }).to_string())?;
    cloud.create_bucket("haulier-demo")?;

    say(&format!(
        "\n# A database of about {} MB, with roles, partitions, triggers, large objects and odd names",
        arguments.megabytes
    ));
    source.execute(&format!("CREATE DATABASE {}", oracle::quote(SOURCE)))?;
    let shop = source.sibling(SOURCE);
    dataset::fill(&shop, arguments.megabytes)?;

    say("\n# A coordinator, a repository and a policy");
    let mut coordinator = Coordinator::start(&cloud, &arguments.dir.join("coordinator"))?;
    let haulier = coordinator.haulier().clone();
    let outcome = show(&cloud, &haulier, &arguments.dir, &Scene { shop, target, secret });

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

/// The databases on stage.
struct Scene {
    shop: Database,
    target: Database,
    secret: String,
}

fn show(cloud: &Cloud, haulier: &Haulier, folder: &Path, scene: &Scene) -> Result<Report> {
    let facts = cloud.facts();
    let passphrase = cloud.create_secret("haulier/passphrase", "correct horse battery staple")?;
    haulier.show(&[
        "repository",
        "create",
        "demo",
        "--bucket",
        "haulier-demo",
        "--region",
        &facts.region,
        "--passphrase-secret-arn",
        &passphrase,
    ])?;
    let policy = folder.join("policy.yaml");
    std::fs::write(&policy, policy_document(&facts.region, &scene.secret)).context("writing the policy")?;
    haulier.show(&["policy", "apply", &policy.display().to_string()])?;
    let before = cloud.listing()?;

    say("\n# The first backup");
    let backup = back_up(haulier)?;
    say("\n# One row in a hundred changes; the second backup");
    dataset::change(&scene.shop)?;
    let second_backup = back_up(haulier)?;

    say("\n# Restored into the second instance under another name");
    let started = Instant::now();
    haulier.show(&[
        "restore",
        "database",
        "--point",
        &second_backup.point,
        "--database",
        &format!("{SOURCE}={COPY}"),
        "--target-instance",
        "shop-spare",
        "--secret-arn",
        &scene.secret,
        "--wait",
    ])?;
    let restore = Restore { seconds: started.elapsed().as_secs_f64() };

    say("\n# Is the copy equal? First the oracle shows that it can tell");
    let administrator = Database { author: None, ..scene.shop.clone() };
    oracle::prove(&administrator, &dataset::CONTROLS)?;
    let copy = Database { author: None, ..scene.target.sibling(COPY) };
    let mut differences = oracle::differences(&oracle::picture(&administrator)?, &oracle::picture(&copy)?);
    differences.extend(oracle::differences(&oracle::roles(&administrator)?, &oracle::roles(&copy)?));

    say("\n# Every cloud resource that was made, and its end");
    let resources = ledger::of(haulier)?;
    let leftovers = ledger::leftovers(&before, &cloud.listing()?, &ledger::snapshots_of_points(haulier)?);
    Ok(Report { backup, second_backup, restore, differences, resources, leftovers })
}

/// Runs the policy, shows its session live and gives the figures of the point it made.
fn back_up(haulier: &Haulier) -> Result<Backup> {
    let started = haulier.json(&["policy", "run", "demo"])?;
    let session = started["session_ids"][0].as_str().context("the policy started no session")?.to_owned();
    haulier.show(&["session", "tail", &session])?;
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
        point,
    })
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
         resources:\n  include:\n    - ids: [shop-prod]\n\
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
    say("haulier session list");
    if let Some(id) = cloud.id() {
        say(&format!(
            "kill {id}   # ends the cloud; the coordinator's process id is in the list of `pgrep haulier-coord`"
        ));
    }
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn print(line: &str) {
    println!("{line}");
}
