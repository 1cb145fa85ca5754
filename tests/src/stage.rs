//! A stage for end-to-end tests: a cloud with two instances, a coordinator, a repository and a policy.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cloud::Cloud;
use crate::coordinator::Coordinator;
use crate::haulier::Haulier;
use crate::ledger;
use crate::oracle;
use crate::psql::Database;
use crate::wait;

/// Password of both masters; a test looks for it where no secret may be. Of the characters that RDS takes, those that are
/// written differently in a URL, in JSON, in SQL and in a connection string.
pub const MASTER_PASSWORD: &str = r"planted+master%password\7f3a&";
/// Passphrase of the repository; likewise.
pub const PASSPHRASE: &str = r#"planted "passphrase" 91c2 \ %ü"#;
/// The instance that is backed up.
pub const SOURCE: &str = "prod";
/// The instance that is restored into.
pub const TARGET: &str = "spare";
/// The policy.
pub const POLICY: &str = "nightly";

/// How long a session of a test may take.
pub const LIMIT: Duration = Duration::from_secs(600);

/// Everything a test needs. Dropping it ends the coordinator first, then the cloud.
pub struct Stage {
    /// The coordinator.
    pub coordinator: Coordinator,
    /// The cloud.
    pub cloud: Cloud,
    /// Database `postgres` of the source instance, statements running as the master.
    pub source: Database,
    /// Database `postgres` of the target instance, statements running as the master.
    pub target: Database,
    /// ARN of the secret with the masters' password.
    pub secret: String,
    before: Vec<String>,
    folder: TempDir,
}

impl Stage {
    /// Sets it: nothing is in the databases yet.
    ///
    /// # Errors
    /// Where a part does not start.
    pub fn set() -> Result<Self> {
        Self::set_on("15")
    }

    /// Sets it with instances of another version of PostgreSQL.
    ///
    /// # Errors
    /// Where a part does not start.
    pub fn set_on(version: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("haulier-stage-")
            .tempdir_in("/var/tmp")
            .context("a folder for the stage")?;
        let cloud = Cloud::start(&folder.path().join("cloud"))?;
        let source = cloud.create_instance_of(version, SOURCE, MASTER_PASSWORD)?.authored_by("master");
        let target = cloud.create_instance_of(version, TARGET, MASTER_PASSWORD)?.authored_by("master");
        let login = json!({ "username": "master", "password": MASTER_PASSWORD });
        let secret = cloud.create_secret("prod/master", &login.to_string())?;
        let passphrase = cloud.create_secret("haulier/passphrase", PASSPHRASE)?;
        cloud.create_bucket("backups")?;
        let coordinator = Coordinator::start(&cloud, &folder.path().join("coordinator"))?;
        let region = cloud.facts().region.clone();
        coordinator.haulier().json(&[
            "repository",
            "create",
            "main",
            "--bucket",
            "backups",
            "--region",
            &region,
            "--prefix",
            "rds",
            "--passphrase-secret-arn",
            &passphrase,
        ])?;
        let before = cloud.listing()?;
        let stage = Self { coordinator, cloud, source, target, secret, before, folder };
        stage.apply_policy("")?;
        Ok(stage)
    }

    /// Stores the stage's policy with more lines of YAML at its end; they win over the usual ones of the same key.
    ///
    /// # Errors
    /// Where the coordinator refuses it.
    pub fn apply_policy(&self, more: &str) -> Result<()> {
        let usual = [
            ("version", "1".to_owned()),
            ("name", POLICY.to_owned()),
            ("regions", format!("[{}]", self.cloud.facts().region)),
            ("resources", format!("{{ include: [{{ ids: [{SOURCE}] }}] }}")),
            ("repository", "main".to_owned()),
            ("credentials", format!("{{ secret_arn: \"{}\" }}", self.secret)),
            ("snapshot", "false".to_owned()),
            ("schedule", "manual".to_owned()),
        ];
        let given = |key: &str| more.lines().any(|line| line.starts_with(&format!("{key}:")));
        let lines: Vec<String> =
            usual.iter().filter(|(key, _)| !given(key)).map(|(key, value)| format!("{key}: {value}")).collect();
        let path = self.folder.path().join("policy.yaml");
        std::fs::write(&path, format!("{}\n{more}\n", lines.join("\n"))).context("writing the policy")?;
        self.haulier().json(&["policy", "apply", &path.display().to_string()]).map(drop)
    }

    /// Starts the coordinator again, as a role in place of the account's administrator.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn restart_coordinator_as(&mut self, role: &str) -> Result<()> {
        let environment = self.cloud.environment_as(role)?;
        self.coordinator.stop()?;
        self.coordinator.resume_with(environment)
    }

    /// Ends the coordinator for good and starts one without a past, of another installation.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn lose_coordinator(&mut self, environment: Vec<(String, String)>) -> Result<()> {
        self.coordinator.stop()?;
        let folder = self.folder.path().join("coordinator-without-a-past");
        self.coordinator = Coordinator::start_in(&self.cloud, &folder, environment)?;
        Ok(())
    }

    /// The operator's command line.
    pub fn haulier(&self) -> &Haulier {
        self.coordinator.haulier()
    }

    /// The command line of an operator who has nothing left but AWS: it knows of no coordinator.
    pub fn offline(&self) -> Haulier {
        Haulier::new(self.cloud.environment())
    }

    /// Arguments that name the repository in its bucket.
    pub fn bucket(&self) -> [String; 6] {
        ["--bucket", "backups", "--region", &self.cloud.facts().region, "--prefix", "rds"].map(str::to_owned)
    }

    /// A file with the repository's passphrase.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn passphrase_file(&self) -> Result<String> {
        let path = self.folder.path().join("passphrase");
        std::fs::write(&path, format!("{PASSPHRASE}\n")).context("writing the passphrase")?;
        Ok(path.display().to_string())
    }

    /// The folder of everything: logs, state, disks of machines.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Runs the policy and gives its one session.
    ///
    /// # Errors
    /// Where it starts none or several.
    pub fn run_policy(&self) -> Result<String> {
        let answer = self.haulier().json(&["policy", "run", POLICY])?;
        let sessions = answer["session_ids"].as_array().cloned().unwrap_or_default();
        ensure!(sessions.len() == 1, "the policy started {answer}");
        sessions[0].as_str().map(str::to_owned).context("a session id is text")
    }

    /// A session as it stands.
    ///
    /// # Errors
    /// Where the coordinator does not know it.
    pub fn session(&self, id: &str) -> Result<Value> {
        self.haulier().json(&["session", "show", id])
    }

    /// Waits until the session has ended, teardown included, and gives it.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn ended(&self, id: &str) -> Result<Value> {
        wait::until_some(LIMIT, &format!("session {id} to end"), || {
            let session = self.session(id)?;
            Ok((!session["ended_at"].is_null()).then_some(session))
        })
    }

    /// Waits until the session has succeeded, and gives it.
    ///
    /// # Errors
    /// Where it ends otherwise; the error carries its failure.
    pub fn succeeded(&self, id: &str) -> Result<Value> {
        let session = self.ended(id)?;
        let state = session["state"].as_str().unwrap_or_default();
        ensure!(
            matches!(state, "succeeded" | "warning"),
            "session {id} ended as {state}: {session:#}\n{}",
            self.story(id)
        );
        Ok(session)
    }

    /// Waits until the session has reached a step, and gives it. A session that has ended reaches nothing more.
    ///
    /// # Errors
    /// Where it ends first, or does not get there in time.
    pub fn reached(&self, id: &str, what: &str, mut condition: impl FnMut(&Value) -> bool) -> Result<Value> {
        wait::until_some(LIMIT, &format!("session {id} to reach {what}"), || {
            let session = self.session(id)?;
            if condition(&session) {
                return Ok(Some(session));
            }
            ensure!(session["ended_at"].is_null(), "session {id} ended before {what}: {session:#}\n{}", self.story(id));
            Ok(None)
        })
    }

    /// Backs the source up and gives the restore point.
    ///
    /// # Errors
    /// Where the session does not succeed.
    pub fn back_up(&self) -> Result<String> {
        let session = self.succeeded(&self.run_policy()?)?;
        session["point_id"].as_str().map(str::to_owned).context("the session made no point")
    }

    /// Starts a restore of one database of a point into the target instance.
    ///
    /// # Errors
    /// Where the coordinator refuses it.
    pub fn start_restore(&self, point: &str, database: &str, target_name: &str, more: &[&str]) -> Result<String> {
        self.start_restore_into(TARGET, point, (database, target_name), more)
    }

    /// Starts a restore of one database of a point into an instance; the second name is the one that it gets there.
    ///
    /// # Errors
    /// Where the coordinator refuses it.
    pub fn start_restore_into(
        &self,
        target: &str,
        point: &str,
        (database, target_name): (&str, &str),
        more: &[&str],
    ) -> Result<String> {
        let database = format!("{}={}", escaped(database), escaped(target_name));
        let arguments = [
            "restore",
            "database",
            "--point",
            point,
            "--database",
            &database,
            "--target-instance",
            target,
            "--secret-arn",
            &self.secret,
        ];
        let answer = self.haulier().json(&[&arguments, more].concat())?;
        answer["session_id"].as_str().map(str::to_owned).context("the restore has no session")
    }

    /// Restores one database of a point into the target instance and gives its session.
    ///
    /// # Errors
    /// Where it does not succeed.
    pub fn restore(&self, point: &str, database: &str, target_name: &str) -> Result<Value> {
        self.succeeded(&self.start_restore(point, database, target_name, &[])?)
    }

    /// Fails where the two databases differ in anything; ask with names on the source and on the target.
    ///
    /// # Errors
    /// Every difference, a line each.
    pub fn assert_equal(&self, database: &str, restored: &str) -> Result<()> {
        let differences = self.differences(database, restored)?;
        ensure!(differences.is_empty(), "{database:?} and {restored:?} differ:\n{}", differences.join("\n"));
        Ok(())
    }

    /// Every aspect in which the two databases, or the roles of their servers, differ.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn differences(&self, database: &str, restored: &str) -> Result<Vec<String>> {
        let source = Database { author: None, ..self.source.sibling(database) };
        let target = Database { author: None, ..self.target.sibling(restored) };
        let mut differences = oracle::differences(&oracle::picture(&source)?, &oracle::picture(&target)?);
        differences.extend(oracle::differences(&oracle::roles(&source)?, &oracle::roles(&target)?));
        Ok(differences)
    }

    /// Fails where the cloud lists anything that it did not list before the first session, except the one group that every
    /// worker of a VPC shares and the snapshots of restore points.
    ///
    /// # Errors
    /// What is left over.
    pub fn assert_nothing_left(&self) -> Result<()> {
        self.assert_nothing_left_since(&self.before)
    }

    /// The same for a listing of one's own, taken after the test had made more of the cloud.
    ///
    /// # Errors
    /// What is left over, or is gone.
    pub fn assert_nothing_left_since(&self, before: &[String]) -> Result<()> {
        let resources = ledger::of(self.haulier())?;
        let after = self.cloud.listing()?;
        let left = ledger::leftovers(before, &after, &ledger::snapshots_of_points(self.haulier())?);
        ensure!(left.is_empty(), "left over: {left:#?}\nledger: {resources:#?}");
        let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
        ensure!(gone.is_empty(), "gone that was there before: {gone:#?}");
        Ok(())
    }

    /// Slows calls to AWS down to so many milliseconds each, until [`Stage::full_speed`]: those of one operation, and of these
    /// those alone in whose request the text stands.
    ///
    /// # Errors
    /// Where the cloud does not take it.
    pub fn slow_down(&self, service: &str, operation: &str, text: &str, millis: u32) -> Result<()> {
        let mut rule =
            json!({ "service": service, "operation": operation, "times": 100_000, "effect": { "delay_ms": millis } });
        if !text.is_empty() {
            rule["match"] = json!(text);
        }
        self.cloud.control("PUT", "/faults", Some(&json!([rule]))).map(drop)
    }

    /// Waits until every fault that was asked for has struck.
    ///
    /// # Errors
    /// Where one never does.
    pub fn faults_struck(&self) -> Result<()> {
        wait::until(LIMIT, "every fault to strike", || {
            let rules = self.cloud.control("GET", "/faults", None)?;
            let rules = rules.as_array().context("the faults are a list")?;
            ensure!(!rules.is_empty(), "no fault was asked for");
            Ok(rules.iter().all(|rule| rule["fired"].as_u64() > Some(0)))
        })
    }

    /// Takes every fault away, once it has struck.
    ///
    /// # Errors
    /// Where one never did: what was to be shown under it was not.
    pub fn full_speed(&self) -> Result<()> {
        self.faults_struck()?;
        self.cloud.control("DELETE", "/faults", None).map(drop)
    }

    /// The session's log as text, for error messages.
    pub fn story(&self, id: &str) -> String {
        match self.haulier().call(&["session", "tail", id]) {
            Ok(answer) => answer.stdout + &answer.stderr,
            Err(error) => format!("{error:#}"),
        }
    }
}

/// A database name as `--database` takes it.
fn escaped(name: &str) -> String {
    name.replace('=', "==")
}
