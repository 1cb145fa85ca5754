//! What the live test makes for itself, and removes again however it ends.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::coordinator::Coordinator;
use e2e::oracle::quote;
use e2e::psql::Database;
use e2e::{dataset, ledger, wait};
use tempfile::TempDir;

use crate::MEGABYTES;
use crate::account::Account;

/// How long a session may take to end after a cancel: AWS takes minutes to let a group go.
const LIMIT: Duration = Duration::from_secs(1800);

/// A setting of the test.
pub(crate) fn variable(name: &str) -> Result<String> {
    let name = format!("HAULIER_LIVE_{name}");
    std::env::var(&name).with_context(|| format!("{name} is not set: see tests/live/README.md"))
}

/// A database to back up, the name of its copy, and a coordinator with a repository and a policy.
pub(crate) struct Stage {
    pub(crate) account: Account,
    pub(crate) coordinator: Coordinator,
    pub(crate) source: Database,
    pub(crate) target: Database,
    /// Identifiers of the two DB instances.
    pub(crate) instances: Vec<String>,
    prefix: String,
    _servers: Servers,
    _folder: TempDir,
}

impl Stage {
    pub(crate) fn set(account: Account) -> Result<Self> {
        let region = variable("REGION")?;
        let name = format!("haulier_live_{}", std::process::id());
        let source = Database::new(&variable("SOURCE_DSN")?, &name);
        let target = Database::new(&variable("TARGET_DSN")?, &format!("{name}_copy"));
        let servers = Servers::guarded(&[&source, &target])?;
        source.sibling("postgres").execute(&format!("CREATE DATABASE {}", quote(&name)))?;
        dataset::fill(&source, MEGABYTES)?;

        let folder = tempfile::tempdir()?;
        let configuration = format!(
            "version: 1\nstate_dir: {}\nregion: {region}\n\
             worker_service:\n  listen: {}:7443\n  advertise: https://{}:7443\n\
             worker:\n  role_arn: {}\n  instance_profile: {}\n",
            folder.path().join("state").display(),
            variable("LISTEN").unwrap_or_else(|_| "0.0.0.0".to_owned()),
            variable("ADVERTISE")?,
            variable("ROLE_ARN")?,
            variable("INSTANCE_PROFILE")?,
        );
        let coordinator = Coordinator::start_with(&configuration, "127.0.0.1:7444", folder.path(), Vec::new())?;
        let instances = vec![variable("SOURCE")?, variable("TARGET")?];
        let (prefix, _servers, _folder) = (name, servers, folder);
        let stage = Self { account, coordinator, source, target, instances, prefix, _servers, _folder };
        stage.prepare(&region).inspect_err(|_| drop(stage.clear()))?;
        Ok(stage)
    }

    /// Makes the repository and the policy.
    fn prepare(&self, region: &str) -> Result<()> {
        let haulier = self.coordinator.haulier();
        let (bucket, key) = (variable("BUCKET")?, variable("KMS_KEY")?);
        haulier.json(&[
            "repository",
            "create",
            "live",
            "--bucket",
            &bucket,
            "--region",
            region,
            "--prefix",
            &self.prefix,
            "--kms-key-arn",
            &key,
        ])?;
        let policy = self.coordinator.folder().join("policy.yaml");
        let document = format!(
            "version: 1\nname: live\nregions: [{region}]\nresources: {{ include: [{{ ids: [{}] }}] }}\nrepository: live\n\
             databases: [{}]\ncredentials: {{ secret_arn: \"{}\" }}\nsnapshot: true\nschedule: manual\n",
            self.instances[0],
            self.source.name,
            variable("SECRET_ARN")?,
        );
        std::fs::write(&policy, document).context("writing the policy")?;
        haulier.json(&["policy", "apply", &policy.display().to_string()]).map(drop)
    }

    /// Ends what still runs, and removes everything that sessions have made, snapshots and base group included, and the
    /// repository. Databases and roles go with the stage.
    pub(crate) fn clear(&self) -> Result<()> {
        let haulier = self.coordinator.haulier();
        let live = || -> Result<Vec<String>> {
            let sessions = haulier.json(&["session", "list"])?;
            let live = sessions.as_array().into_iter().flatten().filter(|session| session["ended_at"].is_null());
            Ok(live.filter_map(|session| session["id"].as_str().map(str::to_owned)).collect())
        };
        for session in live()? {
            haulier.json(&["session", "cancel", &session])?;
        }
        wait::until(LIMIT, "every session to end", || Ok(live()?.is_empty()))?;
        self.account.remove(&ledger::of(haulier)?)?;
        self.account.empty(&variable("BUCKET")?, &self.prefix)
    }
}

/// The servers: databases of the test, and roles that were not there before it, are dropped whatever happens.
struct Servers(Vec<(Database, Vec<&'static str>)>);

impl Servers {
    fn guarded(databases: &[&Database]) -> Result<Self> {
        let with_roles = |database: &&Database| -> Result<(Database, Vec<&'static str>)> {
            let known = database.sibling("postgres").rows("SELECT rolname FROM pg_roles")?.concat();
            let new = dataset::ROLE_NAMES.into_iter().filter(|name| !known.iter().any(|known| known == name));
            Ok(((*database).clone(), new.collect()))
        };
        Ok(Self(databases.iter().map(with_roles).collect::<Result<_>>()?))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (database, roles) in &self.0 {
            let postgres = database.sibling("postgres");
            let databases = [database.name.clone(), "haulier oracle control".to_owned()];
            let drops = databases.iter().map(|name| format!("DROP DATABASE IF EXISTS {}", quote(name)));
            for statement in drops.chain(roles.iter().map(|role| format!("DROP ROLE IF EXISTS {}", quote(role)))) {
                if let Err(error) = postgres.execute(&statement) {
                    e2e::skipped(&format!("{statement}: {error:#}"));
                }
            }
        }
    }
}
