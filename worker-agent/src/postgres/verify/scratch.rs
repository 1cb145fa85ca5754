//! A PostgreSQL server of one's own, for as long as a restore test takes: its cluster in a private folder, reached through
//! a socket in that folder and in no other way, run by whoever runs the agent.
//!
//! Its folder is thrown away at the end, so nothing in it has to survive a crash: it is not synced.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::Manifest;
use haulier_domain::postgres::{quote, roles};
use haulier_domain::secret::SecretString;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, chown};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::super::connect::Connector;
use super::super::context::{Context, ProgressEvent, Stopped};
use super::super::failures;
use super::super::job::Instance;
use super::super::login::{Login, LoginProvider};

/// Its superuser. A role of the point that happens to have this name would be found to exist.
const SUPERUSER: &str = "haulier_scratch";
/// How long it may take to come up.
const START: Duration = Duration::from_secs(60);
/// How long it may take to go.
const STOP: Duration = Duration::from_secs(10);
/// Between two looks at it.
const POLL: Duration = Duration::from_millis(50);
/// Roles that every RDS instance has, and that privileges and memberships of a point may name.
const OF_RDS: [&str; 9] = [
    "rdsadmin",
    "rdstopmgr",
    "rdsrepladmin",
    "rds_superuser",
    "rds_replication",
    "rds_password",
    "rds_iam",
    "rds_ad",
    "rds_reserved",
];
/// Settings that do not depend on the machine.
const SETTINGS: [&str; 16] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=512MB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "jit=off",
    "restart_after_crash=off",
    "max_locks_per_transaction=1024",
    "shared_buffers=128MB",
    "maintenance_work_mem=64MB",
    "log_min_messages=fatal",
];

/// A running scratch server.
pub(super) struct Scratch {
    // Dropped before the folder is removed.
    process: Process,
    folder: TempDir,
}

/// The server's first process; it is ended when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.quit();
    }
}

impl Process {
    /// Asks it to end at once, its children too.
    fn quit(&self) {
        if let Some(pid) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        }
    }
}

impl Scratch {
    /// Makes a cluster in a new folder under `parent` and starts a server over it.
    pub(super) async fn start(bin: &Path, parent: &Path, parallel: usize, context: &Context) -> Result<Self, Stopped> {
        context.progress.report(ProgressEvent::Phase("scratch"));
        let failed = |error: std::io::Error| failures::local("making a folder for the scratch server", parent, &error);
        super::make_private(parent).map_err(failed)?;
        let folder = tempfile::Builder::new().prefix("pg-").tempdir_in(parent).map_err(failed)?;
        let account = Account::choose(folder.path())?;
        let cluster = folder.path().join("data");
        let made = make_cluster(bin, &cluster, &account);
        tokio::select! {
            made = made => made?,
            () = context.cancel.cancelled() => return Err(Stopped::Cancelled),
        }
        let log = folder.path().join("log");
        let process = launch(bin, folder.path(), &cluster, &log, &account, parallel)?;
        let mut scratch = Self { process: Process(process), folder };
        match scratch.answers(context, &log).await {
            Ok(()) => Ok(scratch),
            Err(stopped) => {
                scratch.stop().await;
                Err(stopped)
            }
        }
    }

    /// Waits until it accepts connections.
    async fn answers(&mut self, context: &Context, log: &Path) -> Result<(), Stopped> {
        let connector = self.connector(context)?;
        let deadline = Instant::now() + START;
        loop {
            let refused = match connector.connect("postgres").await {
                Ok(_) => return Ok(()),
                Err(Stopped::Cancelled) => return Err(Stopped::Cancelled),
                Err(Stopped::Failed(failure)) => failure.cause,
            };
            let ended = self.process.0.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() >= deadline {
                let why =
                    ended.map_or_else(|| refused, |status| format!("it ended with {status}: {}", last_words(log)));
                return Err(broken("starting the scratch server", why).into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// How it is reached.
    pub(super) fn instance(&self) -> Instance {
        Instance {
            id: "the scratch server".to_owned(),
            host: self.folder.path().display().to_string(),
            address: None,
            port: 5432,
        }
    }

    /// Who logs in to it: its superuser, whom its socket lets in without a password.
    pub(super) fn login(&self) -> Arc<dyn LoginProvider> {
        Arc::new(Superuser)
    }

    /// Makes connections to it.
    pub(super) fn connector(&self, context: &Context) -> Result<Connector, Failure> {
        Connector::new(&self.instance(), &Context { login: self.login(), ..context.clone() })
    }

    /// Gives it the roles that every RDS instance has. Answers its version, as it prints itself.
    pub(super) async fn prepare(&self, connector: &Connector, manifest: &Manifest) -> Result<String, Stopped> {
        let doing = "preparing the scratch server";
        let front = connector.connect("postgres").await?;
        let named = manifest.roles.iter().flat_map(|role| &role.member_of).map(|membership| membership.role.as_str());
        let reserved = named.filter(|name| roles::is_reserved(name) && !name.starts_with("pg_"));
        for role in OF_RDS.into_iter().chain(reserved).collect::<BTreeSet<_>>() {
            front.execute(doing, &format!("CREATE ROLE {} NOLOGIN", quote::identifier(role))).await?;
        }
        Ok(front.query_one(doing, "SELECT current_setting('server_version')", &[]).await?.get(0))
    }

    /// Makes room for the next database.
    pub(super) async fn drop_database(&self, connector: &Connector, name: &str) -> Result<(), Stopped> {
        let front = connector.connect("postgres").await?;
        let name = quote::identifier(name);
        let doing = format!("dropping the scratch database {name}");
        // A template cannot be dropped; a connection that has just been given up may take a moment to be gone.
        front.execute(&doing, &format!("ALTER DATABASE {name} IS_TEMPLATE false")).await?;
        let deadline = Instant::now() + STOP;
        loop {
            match front.attempt(&doing, &format!("DROP DATABASE {name}")).await? {
                Ok(()) => return front.execute(&doing, "CHECKPOINT").await,
                Err(refusal) if Instant::now() >= deadline => return Err(broken(&doing, refusal).into()),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Ends it and removes its folder, after a cancel too.
    pub(super) async fn stop(mut self) {
        self.process.quit();
        if tokio::time::timeout(STOP, self.process.0.wait()).await.is_err() {
            let _ = self.process.0.kill().await;
        }
        let folder = self.folder.path().to_owned();
        if let Err(error) = self.folder.close() {
            tracing::warn!(folder = %folder.display(), %error, "the scratch server's folder could not be removed");
        }
    }
}

struct Superuser;

#[async_trait]
impl LoginProvider for Superuser {
    async fn login(&self, _refused: bool) -> Result<Login, Failure> {
        Ok(Login { user: SUPERUSER.to_owned(), password: SecretString::new(String::new()), valid_for: None })
    }
}

/// Whose processes the server's are: the agent's own account, but never root's, which PostgreSQL refuses.
struct Account(Option<User>);

impl Account {
    fn choose(folder: &Path) -> Result<Self, Failure> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        let doing = "choosing an account for the scratch server";
        let user = User::from_name("postgres").map_err(|error| failures::local(doing, folder, &error))?;
        let user =
            user.ok_or_else(|| broken(doing, "the agent runs as root, and there is no user postgres".to_owned()))?;
        chown(folder, Some(user.uid), Some(user.gid)).map_err(|error| failures::local(doing, folder, &error))?;
        Ok(Self(Some(user)))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

async fn make_cluster(bin: &Path, cluster: &Path, account: &Account) -> Result<(), Failure> {
    let doing = "making a scratch cluster";
    let program = bin.join("initdb");
    let made = account
        .command(&program)
        // The folder is private: whoever gets to the socket may come in.
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", SUPERUSER, "--pgdata"])
        .arg(cluster)
        .current_dir("/")
        .output()
        .await
        .map_err(|error| failures::local(doing, &program, &error))?;
    if made.status.success() {
        return Ok(());
    }
    Err(broken(doing, format!("initdb ended with {}: {}", made.status, String::from_utf8_lossy(&made.stderr).trim())))
}

fn launch(
    bin: &Path,
    folder: &Path,
    cluster: &Path,
    log: &Path,
    account: &Account,
    parallel: usize,
) -> Result<Child, Failure> {
    let doing = "starting the scratch server";
    let program = bin.join("postgres");
    let file = std::fs::File::create(log).map_err(|error| failures::local(doing, log, &error))?;
    let again = file.try_clone().map_err(|error| failures::local(doing, log, &error))?;
    let mut command = account.command(&program);
    command.arg("-D").arg(cluster).arg("-k").arg(folder).current_dir("/").stdout(file).stderr(again);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.args(["-c", &format!("max_connections={}", 20 + 4 * parallel)]);
    command.spawn().map_err(|error| failures::local(doing, &program, &error))
}

fn broken(doing: &str, cause: String) -> Failure {
    let remedy = "use a worker image that is built as `ami/` describes; see the session's log";
    Failure::new("scratch-server-failed", doing, cause, remedy)
}

/// The end of the server's log.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_instance_has_is_reserved() {
        assert!(OF_RDS.iter().all(|role| roles::is_reserved(role)));
    }
}
