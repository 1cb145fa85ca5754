//! The local cloud as a child process, and its control port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::{self, Call};
use crate::process::{self, Owned};
use crate::psql::Database;
use crate::{bin, wait};

/// What a running cloud says of itself: `cloud.json` in its folder.
#[derive(Debug, Clone, Deserialize)]
pub struct Facts {
    /// Address of every AWS API: `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    /// Its Region.
    pub region: String,
    /// Its account.
    pub account: String,
    /// Access key of the account's administrator.
    pub access_key_id: String,
    /// Secret of that key.
    pub secret_access_key: String,
    /// What is kept between clouds.
    pub cache: PathBuf,
    /// The host's address in the cloud's network.
    pub gateway: String,
    /// The worker image.
    pub ami_id: String,
    /// The VPC of everything.
    pub vpc_id: String,
    /// Its subnets.
    pub subnet_ids: Vec<String>,
    /// The KMS key behind `alias/haulier`.
    pub kms_key_arn: String,
    /// Role that coordinators assume for workers.
    pub worker_role_arn: String,
    /// Instance profile of workers.
    pub worker_instance_profile: String,
}

/// A local cloud that ends with its owner.
#[derive(Debug)]
pub struct Cloud {
    facts: Facts,
    folder: PathBuf,
    process: Option<Owned>,
}

/// How long a cloud may take to start; the first start installs the emulator.
const START: Duration = Duration::from_secs(600);

impl Cloud {
    /// Starts a cloud in a folder of its own.
    ///
    /// # Errors
    /// Where it does not become ready; the error says where its log is.
    pub fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let log = folder.join("cloud.log");
        let mut process = Owned::start("the local cloud", &mut command(folder)?, &log)?;
        let facts = wait::until_some(START, "the local cloud to be ready", || {
            if let Some(status) = process.ended() {
                bail!("the local cloud ended with {status}; see {}", log.display());
            }
            Ok(read(folder).ok())
        })
        .with_context(|| format!("the local cloud's log is {}", log.display()))?;
        Ok(Self { facts, folder: folder.to_owned(), process: Some(process) })
    }

    /// A cloud that runs already, as its folder describes it. It goes on when this value is dropped.
    ///
    /// # Errors
    /// Where none is described there.
    pub fn attach(folder: &Path) -> Result<Self> {
        Ok(Self { facts: read(folder)?, folder: folder.to_owned(), process: None })
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Process id of a cloud that was started here.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Owned::id)
    }

    /// The environment in which AWS SDKs find this cloud as its administrator.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", &self.facts.endpoint),
            ("AWS_REGION", &self.facts.region),
            ("AWS_ACCESS_KEY_ID", &self.facts.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.facts.secret_access_key),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }

    /// One call to the control port; an answer without a body is `null`, a console is text.
    ///
    /// # Errors
    /// Where the cloud refuses it, in the cloud's words.
    pub fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "120", "--request", method]);
        if body.is_some() {
            command.args(["--header", "content-type: application/json", "--data-binary", "@-"]);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let output = process::fed(command.arg(format!("{}/_cloud{path}", self.facts.endpoint)), &body)?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("{method} /_cloud{path}: {} {}", text.trim(), words.trim());
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        if path.ends_with("/console") {
            return Ok(Value::String(text.into_owned()));
        }
        serde_json::from_str(&text).with_context(|| format!("{method} /_cloud{path} answered {text}"))
    }

    /// Creates a DB instance of PostgreSQL 15 and gives its administrator's door: database `postgres` as `rdsadmin`.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create_instance(&self, id: &str, master_password: &str) -> Result<Database> {
        self.create_instance_of("15", id, master_password)
    }

    /// Creates a DB instance of a version of PostgreSQL and gives its administrator's door.
    ///
    /// # Errors
    /// Where it cannot be created; versions other than Debian's own are installed by `cargo xtask test`.
    pub fn create_instance_of(&self, version: &str, id: &str, master_password: &str) -> Result<Database> {
        let request =
            json!({ "id": id, "engine_version": version, "master_user": "master", "master_password": master_password });
        self.create_instance_with(&request)
    }

    /// Creates a DB instance as the control port's request says and gives its administrator's door.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create_instance_with(&self, request: &Value) -> Result<Database> {
        let answer = self.control("POST", "/instances", Some(request))?;
        let text = |name: &str| answer[name].as_str().with_context(|| format!("the answer has no {name}"));
        let database = Database::new(&server_of(text("administrator_dsn")?), "postgres");
        Ok(database.spoken_to_with(Path::new(text("programs")?)))
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        self.make_bucket(name, &[])
    }

    /// Creates a bucket with versioning and Object Lock.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn create_locked_bucket(&self, name: &str) -> Result<()> {
        self.make_bucket(name, &["x-amz-bucket-object-lock-enabled: true"])
    }

    /// Moves the clock by which S3's retentions hold or are over so many seconds ahead of the host's.
    ///
    /// # Errors
    /// Where the cloud does not answer.
    pub fn set_s3_clock_ahead(&self, seconds: i64) -> Result<()> {
        self.control("PUT", "/s3/clock", Some(&json!({ "ahead_seconds": seconds }))).map(drop)
    }

    fn make_bucket(&self, name: &str, more: &[&str]) -> Result<()> {
        let body = format!(
            "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.facts.region
        );
        let hash = format!("x-amz-content-sha256: {}", aws::sha256(&body)?);
        let path = format!("/{name}");
        let headers = [&[hash.as_str()], more].concat();
        Call { service: "s3", method: "PUT", path: &path, headers: &headers, body: &body }.send(&self.facts).map(drop)
    }

    /// Creates a secret and gives its ARN.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn create_secret(&self, name: &str, value: &str) -> Result<String> {
        let headers = ["content-type: application/x-amz-json-1.1", "x-amz-target: secretsmanager.CreateSecret"];
        let body = json!({ "Name": name, "SecretString": value }).to_string();
        let call = Call { service: "secretsmanager", method: "POST", path: "/", headers: &headers, body: &body };
        let answer: Value =
            serde_json::from_str(&call.send(&self.facts)?).context("reading the answer to CreateSecret")?;
        answer["ARN"].as_str().map(str::to_owned).context("the answer has no ARN")
    }

    /// Creates a role with a trust policy and gives its ARN.
    ///
    /// # Errors
    /// Where IAM refuses it.
    pub fn create_role(&self, name: &str, trust: &str) -> Result<String> {
        let form = [
            ("Action", "CreateRole"),
            ("Version", "2010-05-08"),
            ("RoleName", name),
            ("AssumeRolePolicyDocument", trust),
        ];
        self.query("iam", &form)?;
        Ok(format!("arn:aws:iam::{}:role/{name}", self.facts.account))
    }

    /// Replaces an inline policy of a role.
    ///
    /// # Errors
    /// Where IAM refuses it.
    pub fn put_role_policy(&self, role: &str, name: &str, document: &str) -> Result<()> {
        let form = [
            ("Action", "PutRolePolicy"),
            ("Version", "2010-05-08"),
            ("RoleName", role),
            ("PolicyName", name),
            ("PolicyDocument", document),
        ];
        self.query("iam", &form).map(drop)
    }

    /// Credentials of a role, as environment variables for AWS SDKs.
    ///
    /// # Errors
    /// Where STS refuses it.
    pub fn environment_as(&self, role: &str) -> Result<Vec<(String, String)>> {
        let arn = format!("arn:aws:iam::{}:role/{role}", self.facts.account);
        let form =
            [("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleArn", &arn), ("RoleSessionName", "test")];
        let answer = self.query("sts", &form)?;
        let text = |name: &str| -> Result<String> {
            let value = answer.split(&format!("<{name}>")).nth(1).and_then(|rest| rest.split('<').next());
            value.map(str::to_owned).with_context(|| format!("the answer has no {name}"))
        };
        let mut environment = self.environment();
        environment.retain(|(name, _)| !name.starts_with("AWS_ACCESS") && !name.starts_with("AWS_SECRET"));
        for (name, element) in [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ] {
            environment.push((name.to_owned(), text(element)?));
        }
        Ok(environment)
    }

    /// One call of the query protocol.
    pub(crate) fn query(&self, service: &str, form: &[(&str, &str)]) -> Result<String> {
        let encoded: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", aws::percent_encoded(value))).collect();
        let headers = ["content-type: application/x-www-form-urlencoded"];
        Call { service, method: "POST", path: "/", headers: &headers, body: &encoded.join("&") }.send(&self.facts)
    }

    /// Creates a KMS key and gives its ARN.
    ///
    /// # Errors
    /// Where KMS refuses it.
    pub fn create_key(&self) -> Result<String> {
        let headers = ["content-type: application/x-amz-json-1.1", "x-amz-target: TrentService.CreateKey"];
        let answer =
            Call { service: "kms", method: "POST", path: "/", headers: &headers, body: "{}" }.send(&self.facts)?;
        let answer: Value = serde_json::from_str(&answer).context("reading the answer to CreateKey")?;
        answer["KeyMetadata"]["Arn"].as_str().map(str::to_owned).context("the answer has no ARN")
    }

    /// Everything that exists in the cloud, from the emulators' own listings: one line a resource, its kind first.
    ///
    /// # Errors
    /// Where the cloud does not answer.
    pub fn listing(&self) -> Result<Vec<String>> {
        let answer = self.control("GET", "/listing", None)?;
        let kinds = answer.as_object().context("the listing is no object")?;
        let mut lines: Vec<String> = kinds
            .iter()
            .flat_map(|(kind, items)| items.as_array().into_iter().flatten().map(move |item| line(kind, item)))
            .collect();
        lines.sort();
        Ok(lines)
    }

    /// Lets it run on when this value is dropped.
    pub fn leave_running(mut self) {
        if let Some(process) = self.process.take() {
            std::mem::forget(process);
        }
    }

    /// Ends a cloud that was started here, in order.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn stop(mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop().map(drop),
            None => Ok(()),
        }
    }
}

/// The command that serves a cloud from a folder.
///
/// # Errors
/// Where the binaries have not been built.
pub fn command(folder: &Path) -> Result<Command> {
    let mut command = Command::new(bin::path("haulier-localcloud")?);
    command.arg("serve").arg("--dir").arg(folder);
    command.arg("--worker-binary").arg(bin::path("haulier-worker")?).arg("--ami").arg(bin::source().join("ami"));
    Ok(command)
}

fn read(folder: &Path) -> Result<Facts> {
    let path = folder.join("cloud.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("no local cloud is described in {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// A resource in a listing. A rule is named by its group and what it lets pass: its own id changes when it is made again. A
/// group has its name behind its id, a membership its DB instance before the group.
fn line(kind: &str, item: &Value) -> String {
    let text = |name: &str| item[name].as_str().unwrap_or_default();
    let name = match kind {
        "security_group_rules" => text("state").to_owned(),
        "security_groups" | "database_security_groups" => format!("{} {}", text("id"), text("state")),
        _ => item.as_str().unwrap_or_else(|| text("id")).to_owned(),
    };
    format!("{kind} {}", name.replace(": ", " "))
}

/// A connection string without its database.
fn server_of(dsn: &str) -> String {
    dsn.split_whitespace().filter(|part| !part.starts_with("dbname=")).collect::<Vec<_>>().join(" ")
}

/// Asks a cloud that somebody else started to end, and waits for it.
///
/// # Errors
/// Where it does not end.
pub fn end(id: u32) -> Result<()> {
    process::signal_process(id, "TERM")?;
    let proc = PathBuf::from(format!("/proc/{id}"));
    wait::until(Duration::from_secs(60), "the local cloud to end", || Ok(!proc.exists()))
}
