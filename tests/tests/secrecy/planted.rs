//! What must not be seen is nowhere: not in logs, state, files of machines, argv, user-data or error texts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::dataset;
use e2e::secrets::{self, Secret, Watch};
use e2e::stage::{MASTER_PASSWORD, PASSPHRASE, Stage};
use haulier_domain::secret::SecretString;
use haulier_proto::worker::v1::EnrolRequest;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use haulier_repository::{Repository, Unlock};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::adapters;

/// The keys of the repository's domains, opened as the coordinator opens them.
fn domain_keys(stage: &Stage) -> Result<Vec<Secret>> {
    let store = adapters::of_administrator(&stage.cloud).object_store("backups", &stage.cloud.facts().region);
    Runtime::new()?.block_on(async {
        let repository = Repository::open(store, "rds").await?;
        let opened = repository.unlock(&Unlock::Passphrase(SecretString::new(PASSPHRASE.to_owned()))).await?;
        let mut keys = Vec::new();
        for domain in opened.domains().await? {
            let key = opened.domain_key(&domain, false).await?;
            keys.push(Secret::bytes(&format!("the key of domain {domain}"), key.expose()));
        }
        ensure!(!keys.is_empty(), "no domain has a key");
        Ok(keys)
    })
}

/// What an instance was told at its launch.
struct Told(String);

impl Told {
    /// By the user-data of the machine that a session's worker runs on.
    fn of(stage: &Stage, session: &str) -> Result<(String, Self)> {
        let machines = stage.cloud.control("GET", "/computers", None)?;
        let is_its_own = |machine: &&Value| machine["user_data"].as_str().is_some_and(|text| text.contains(session));
        let machine =
            machines.as_array().into_iter().flatten().find(is_its_own).context("the session has no machine")?;
        let text = |name: &str| machine[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok((text("id")?, Self(text("user_data")?)))
    }

    fn field(&self, name: &str) -> Result<String> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        Ok(line.with_context(|| format!("user-data has no {name}"))?.trim_matches('"').to_owned())
    }

    fn token(&self) -> Result<Secret> {
        Ok(Secret::text("an enrolment token", &self.field("token")?))
    }

    /// Enrols once more with the token, as its thief would: with another key. Gives the coordinator's answer.
    fn enrol_with_another_key(&self, authority: &Path) -> Result<tonic::Status> {
        let key = KeyPair::generate()?;
        let request = EnrolRequest {
            worker_id: self.field("worker_id")?,
            session_id: self.field("session_id")?,
            epoch: self.field("epoch")?.parse()?,
            token: self.field("token")?,
            certificate_request: CertificateParams::default().serialize_request(&key)?.der().to_vec(),
            identity: None,
            agent_version: "thief".to_owned(),
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read_to_string(authority)?));
        let endpoint = Endpoint::from_shared(self.field("coordinator")?)?.tls_config(tls)?;
        Runtime::new()?.block_on(async {
            let channel = endpoint.connect().await.context("reaching the coordinator")?;
            WorkerServiceClient::new(channel).enrol(request).await.err().context("a used token enrolled another worker")
        })
    }
}

/// The root folder of a machine as a process within it sees it, its files in memory included.
fn root_of(machine: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let is_agent =
            std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "haulier-worker");
        let mounts = if is_agent { std::fs::read_to_string(entry.path().join("mountinfo")) } else { continue };
        if mounts.is_ok_and(|mounts| mounts.contains(&format!("computers/{machine}/"))) {
            return Ok(entry.path().join("root"));
        }
    }
    anyhow::bail!("no agent runs on {machine}")
}

/// While the worker is at work, its machine holds nothing but the password, in one file in memory that `pg_dump` reads.
fn machine_holds_no_secret(machine: &str, told: &Told, secrets: &[Secret]) -> Result<()> {
    let root = root_of(machine)?;
    ensure!(root.join("run/haulier").is_dir(), "{} is not the root of a worker", root.display());
    let secrets = [secrets, &[told.token()?]].concat();
    let mut found = Vec::new();
    for folder in ["run", "var", "tmp", "etc/haulier", "root", "home", "dev/shm"] {
        let in_memory = root.join("run/haulier");
        found.extend(secrets::found_below(&root.join(folder), &secrets, |path| {
            let content = std::fs::read(path).unwrap_or_default();
            let others = secrets.iter().filter(|secret| secret.name != "the master's password");
            path.starts_with(&in_memory) && !others.into_iter().any(|secret| secret.is_in(&content))
        })?);
    }
    ensure!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn planted_secrets_are_nowhere() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 30)?;
    let planted = [Secret::text("the master's password", MASTER_PASSWORD), Secret::text("the passphrase", PASSPHRASE)];
    let authority = stage.coordinator.folder().join("state/ca/ca.pem");
    let watch = Watch::start();

    stage.slow_down("s3", "PutObject", "", 500)?;
    let backup = stage.run_policy()?;
    stage.reached(&backup, "the transfer of data", |session| session["progress"]["bytes_read"].as_u64() > Some(0))?;
    let (machine, told) = Told::of(&stage, &backup)?;
    machine_holds_no_secret(
        &machine,
        &told,
        &[&planted[..], &secrets::issued(&stage)?, &domain_keys(&stage)?].concat(),
    )?;
    // The token was good once. Nobody else gets in with it, now or later.
    let refused = told.enrol_with_another_key(&authority)?;
    ensure!(refused.code() == tonic::Code::PermissionDenied, "{refused}");
    let log = || std::fs::read_to_string(stage.coordinator.log());
    ensure!(log()?.contains("its token was used with another key"), "the token was refused for another reason");
    stage.full_speed()?;
    let point = stage.succeeded(&backup)?["point_id"].as_str().context("no point")?.to_owned();
    let refused = told.enrol_with_another_key(&authority)?;
    ensure!(refused.code() == tonic::Code::PermissionDenied, "{refused}");
    ensure!(log()?.contains("its session or epoch is over"), "the token was refused for another reason");

    stage.restore(&point, "shop", "copy")?;
    let clash = stage.ended(&stage.start_restore(&point, "shop", "copy", &[])?)?;
    ensure!(clash["failure"]["code"] == "restore-name-taken", "{clash:#}");
    let seen = watch.seen()?;
    ensure!(seen.iter().any(|line| line.contains("pg_dump")), "the watch saw no pg_dump, so it proves nothing");
    ensure!(seen.iter().any(|line| line.contains("pg_restore")), "the watch saw no pg_restore, so it proves nothing");
    secrets::nowhere(&stage, &[&planted[..], &secrets::issued(&stage)?, &domain_keys(&stage)?].concat(), &seen)?;

    // The tokens stand in user-data, and there alone.
    let machines = stage.cloud.control("GET", "/computers", None)?;
    let machines = machines.as_array().cloned().unwrap_or_default();
    ensure!(machines.len() >= 3, "{} machines were booted", machines.len());
    let told = machines.iter().map(|machine| Told(machine["user_data"].as_str().unwrap_or_default().to_owned()));
    let told = told.collect::<Vec<_>>();
    let tokens = told.iter().map(Told::token).collect::<Result<Vec<_>>>()?;
    let mut found = secrets::found_below(&stage.folder(), &tokens, |_| false)?;
    found.extend(secrets::found_in("what haulier printed", &stage.haulier().printed(), &tokens));
    found.extend(seen.iter().flat_map(|line| secrets::found_in(line, line, &tokens)));
    ensure!(found.is_empty(), "{found:#?}");
    stage.assert_nothing_left()
}
