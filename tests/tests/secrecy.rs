//! What must not be seen is nowhere: not in logs, state, argv, user-data or error texts. What a worker must not do it
//! cannot.

mod bucket;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::dataset;
use e2e::stage::{MASTER_PASSWORD, PASSPHRASE, Stage};
use serde_json::Value;

use aws_sdk_s3::config::Credentials;
use bucket::Bucket;

/// Reads the command line of every process again and again, and keeps each that was ever seen.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<BTreeSet<String>>,
}

impl Watch {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                    if let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
                        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        Self { stop, thread }
    }

    fn seen(self) -> Result<BTreeSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch panicked"))
    }
}

/// Every file below a folder that holds one of the texts.
fn files_with(folder: &Path, texts: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let content = std::fs::read(entry.path())?;
                for text in texts {
                    if content.windows(text.len()).any(|window| window == text.as_bytes()) {
                        found.push(format!("{} holds {text}", entry.path().display()));
                    }
                }
            }
        }
    }
    Ok(found)
}

#[test]
fn planted_secrets_are_nowhere() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 30)?;
    let watch = Watch::start();
    let point = stage.back_up()?;
    stage.restore(&point, "shop", "copy")?;
    let seen = watch.seen()?;
    ensure!(seen.iter().any(|line| line.contains("pg_dump")), "the watch saw no pg_dump, so it proves nothing");

    // What the cloud handed out to coordinator and workers while this ran.
    let issued = stage.cloud.control("GET", "/credentials", None)?;
    let issued = issued.as_array().cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let of_sessions: Vec<String> = issued
        .iter()
        .filter(|credentials| !credentials["session_token"].is_null())
        .flat_map(|credentials| [text(credentials, "secret_access_key"), text(credentials, "session_token")])
        .flatten()
        .collect();
    ensure!(of_sessions.len() >= 4, "no session credentials were issued, so this proves nothing: {issued:#?}");

    let mut secrets = vec![MASTER_PASSWORD.to_owned(), PASSPHRASE.to_owned()];
    secrets.extend(of_sessions);
    for line in &seen {
        for secret in &secrets {
            ensure!(!line.contains(secret.as_str()), "a process had {secret} in its arguments: {line}");
        }
    }
    let found = files_with(stage.coordinator.folder(), &secrets)?;
    ensure!(found.is_empty(), "{found:#?}");

    let machines = stage.cloud.control("GET", "/computers", None)?;
    let machines = machines.as_array().cloned().unwrap_or_default();
    ensure!(!machines.is_empty(), "no machine was booted");
    for machine in &machines {
        let id = machine["id"].as_str().context("a machine has an id")?;
        let user_data = machine["user_data"].as_str().context("a machine has user-data")?;
        let console = stage.cloud.control("GET", &format!("/computers/{id}/console"), None)?.to_string();
        for secret in &secrets {
            ensure!(!user_data.contains(secret.as_str()), "user-data of {id} has {secret}");
            ensure!(!console.contains(secret.as_str()), "the console of {id} has {secret}");
        }
        let token =
            user_data.lines().find_map(|line| line.strip_prefix("token = ")).context("user-data has a token")?;
        let token = token.trim_matches('"').to_owned();
        ensure!(!console.contains(&token), "the console of {id} has the enrolment token");
        let elsewhere = files_with(stage.coordinator.folder(), &[token])?;
        ensure!(elsewhere.is_empty(), "the enrolment token stands elsewhere than in user-data: {elsewhere:#?}");
    }
    stage.assert_nothing_left()
}

#[test]
fn a_workers_credentials_do_nothing_but_its_work() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 12)?;
    stage.back_up()?;
    let issued = stage.cloud.control("GET", "/credentials", None)?;
    let issued = issued.as_array().cloned().unwrap_or_default();
    // The role of an instance profile is another one.
    let of_session =
        |credentials: &&Value| credentials["principal"].as_str().unwrap_or_default().contains("role/haulier-session/");
    let worker =
        issued.iter().find(of_session).with_context(|| format!("no session's credentials among {issued:#?}"))?;
    let text = |name: &str| worker[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let credentials = Credentials::new(
        text("access_key_id")?,
        text("secret_access_key")?,
        Some(text("session_token")?),
        None,
        "test",
    );
    let bucket = Bucket::open_with(stage.cloud.facts(), "backups", credentials)?;
    let keys = Bucket::open(stage.cloud.facts(), "backups")?.keys("")?;
    let key_with = |part: &str| {
        keys.iter().find(|key| key.contains(part)).cloned().with_context(|| format!("no key with {part} in {keys:?}"))
    };
    let (pack, point) = (key_with("/packs/")?, key_with("/points/")?);
    let domain = pack.split("/packs/").next().context("a domain")?.to_owned();
    let body = || b"intruder".to_vec();

    // What it may do.
    bucket.get(&pack).context("a worker reads its own domain")?;
    bucket.put_new(&format!("{domain}/packs/00/fresh"), body()).context("a worker adds packs")?;

    // What it may not.
    let elsewhere = "rds/domains/dom-other/packs/00/x";
    let attempts = [
        ("delete", bucket.delete(&pack)),
        ("overwrite", bucket.put(&pack, body())),
        ("overwrite by a conditional write", bucket.put_new(&pack, body())),
        ("publish a point", bucket.put_new(&format!("{domain}/points/pnt-forged"), body())),
        ("overwrite a point", bucket.put(&point, body())),
        ("delete a point", bucket.delete(&point)),
        ("read another domain", bucket.get(elsewhere).map(drop)),
        ("write to another domain", bucket.put_new(elsewhere, body())),
        ("read outside of its domain", bucket.get("rds/format").map(drop)),
        ("list the whole bucket", bucket.keys("").map(drop)),
        ("list another domain", bucket.keys("rds/domains/dom-other/").map(drop)),
    ];
    for (what, outcome) in attempts {
        let error = outcome.err().with_context(|| format!("a worker's credentials allowed: {what}"))?;
        let said = format!("{error:#}");
        ensure!(said.contains("AccessDenied") || said.contains("PreconditionFailed"), "{what}: {said}");
    }
    stage.assert_nothing_left()
}
