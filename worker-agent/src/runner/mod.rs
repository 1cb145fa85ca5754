//! From an assignment to its report: reads what is to be done, opens what it needs, calls whoever does it.

mod backup;
mod check;
mod copy;
mod failures;
mod login;
mod native;
mod ports;
mod prune;
mod restore;
mod streams;
#[cfg(test)]
mod tests;
mod verify;
mod work;
mod work_native;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::id::SessionId;
use haulier_domain::secret::SecretBytes;
use haulier_domain::session::SessionKind;
use haulier_domain::sqlserver::log_target;
use haulier_proto::worker::v1 as wire;
use haulier_repository::{Domain, DomainConfig, DomainKey};

pub use ports::{AwsPorts, Ports};
pub use streams::RepositoryStreams;

use crate::desk::{Desk, Severity};
use crate::postgres::{self, ProgressEvent, Stopped};
use crate::session::{Report, Runner, STOPPING, Task};
use crate::settings::Settings;
use work::{Place, Work};

/// Carries out assignments with the real movers.
#[derive(Debug)]
pub struct Movers {
    settings: Settings,
    ports: Arc<dyn Ports>,
}

impl Movers {
    /// Movers that find their tools where the settings say and reach the cloud through these ports.
    pub fn new(settings: Settings, ports: Arc<dyn Ports>) -> Self {
        Self { settings, ports }
    }
}

#[async_trait]
impl Runner for Movers {
    async fn run(&self, assignment: wire::Assignment, task: Task) -> Result<Report, Stopped> {
        let tidying = tidying(&assignment);
        let (assigned, session, desk) = (assignment.clone(), task.session_id.clone(), task.desk.clone());
        let left = || self.left_behind(&assigned, &session, &desk);
        let work = Work::try_from(assignment).map_err(|error| {
            let remedy = "coordinator and worker image do not fit together: use images of the coordinator's version";
            let failure = Failure::new("assignment-invalid", "reading the assignment", error.to_string(), remedy);
            // Of a restore that it cannot read, it does not know anything.
            match left() {
                Some(left) if task.cancel.is_cancelled() => left,
                Some(left) => log_target::add_to(failure, &left),
                None => failure,
            }
        })?;
        let bench = Bench { settings: &self.settings, ports: &self.ports, task };
        let cancel = bench.task.cancel.clone();
        let working = async {
            match work {
                Work::Backup(backup) => bench.backup(*backup).await,
                Work::Restore(restore) => bench.restore(*restore).await,
                Work::Check(check) => bench.check(*check).await,
                Work::Verify(verify) => bench.verify(*verify).await,
                Work::Prune(prune) => bench.prune(*prune).await,
                Work::Copy(copy) => bench.copy(*copy).await,
                Work::BackupNatively(backup) => bench.backup_natively(*backup).await,
                Work::RestoreNatively(restore) => bench.restore_natively(*restore).await,
            }
        };
        tokio::select! {
            report = working => report,
            // The movers stop by themselves and tidy up; this is for the stretches before and after them.
            () = async { cancel.cancelled().await; tokio::time::sleep(tidying).await } => {
                Err(left().map_or(Stopped::Cancelled, Stopped::Failed))
            }
        }
    }

    fn grace(&self, assignment: &wire::Assignment) -> Duration {
        tidying(assignment) + (STOPPING - LETTING_GO)
    }

    fn left_behind(&self, assignment: &wire::Assignment, session: &SessionId, desk: &Desk) -> Option<Failure> {
        match &assignment.work {
            Some(wire::assignment::Work::RestorePostgres(message)) => restore::left_behind(message, session),
            Some(wire::assignment::Work::RestoreSqlServer(message)) => native::left_behind(message, session),
            Some(wire::assignment::Work::BackupSqlServer(message)) => native::log_target_left(message, desk),
            _ => None,
        }
    }
}

/// How long a scratch server may take to go: the machine goes with it, so nothing outlives a hurry. And how long RDS may take
/// to hear that the tasks of a full or differential backup are to be cancelled: what it writes goes with the temporary bucket.
const ENDING: Duration = Duration::from_secs(5);
/// A dump, a copy, a check and a prune leave nothing anywhere that somebody would have to remove.
const LETTING_GO: Duration = Duration::from_millis(1_200);

fn tidying(assignment: &wire::Assignment) -> Duration {
    match &assignment.work {
        // The mover stops within two seconds; what it has to drop may take the server longer.
        Some(wire::assignment::Work::RestorePostgres(_) | wire::assignment::Work::RestoreSqlServer(_)) => {
            SessionKind::DatabaseRestore.tidying()
        }
        // The instance's place for log backups must be put back, which RDS does only once its tasks have ended.
        Some(wire::assignment::Work::BackupSqlServer(backup)) if backup.r#type() == wire::NativeBackupType::Log => {
            SessionKind::DatabaseRestore.tidying()
        }
        Some(wire::assignment::Work::VerifyRestore(_) | wire::assignment::Work::BackupSqlServer(_)) => ENDING,
        _ => LETTING_GO,
    }
}

/// What one piece of work is done with.
struct Bench<'a> {
    settings: &'a Settings,
    ports: &'a Arc<dyn Ports>,
    task: Task,
}

impl Bench<'_> {
    /// Opens the repository domain at this place with the session's key and credentials.
    async fn domain(&self, place: &Place, level: Option<i32>) -> Result<Domain, Failure> {
        self.domain_under(&self.task.domain_key, place, level).await
    }

    /// The same with another key.
    async fn domain_under(&self, key: &SecretBytes, place: &Place, level: Option<i32>) -> Result<Domain, Failure> {
        let store = self.ports.object_store(&self.task.credentials, &place.bucket, &place.region).await;
        let key = DomainKey::from_bytes(key.clone())
            .map_err(|error| failures::repository("opening the repository domain", &error))?;
        let mut config = DomainConfig::new(&self.settings.cache_dir);
        config.level = level.unwrap_or(config.level);
        config.immutability = place.immutability;
        let (repository, domain) = (place.repository_id.clone(), place.domain_id.clone());
        Domain::open(store, &place.prefix, repository, domain, &key, config)
            .map_err(|error| failures::repository("opening the repository domain", &error))
    }

    /// What the PostgreSQL mover works with.
    async fn context(&self, source: &work::Source, streams: Arc<dyn postgres::StreamStore>) -> postgres::Context {
        self.context_with(login::provider(self.ports, &self.task, source).await, streams)
    }

    fn context_with(
        &self,
        login: Arc<dyn postgres::LoginProvider>,
        streams: Arc<dyn postgres::StreamStore>,
    ) -> postgres::Context {
        let task = &self.task;
        postgres::Context {
            login,
            streams,
            progress: Arc::new(task.desk.clone()),
            log: Arc::new(task.desk.clone()),
            parts: Arc::new(task.desk.clone()),
            cancel: task.cancel.clone(),
            settings: postgres::Settings {
                ca_file: self.settings.ca_bundle.clone(),
                client_roots: vec![self.settings.postgresql_root.clone()],
                private_dir: self.settings.private_dir.clone(),
            },
        }
    }
}

impl postgres::ProgressSink for Desk {
    fn report(&self, event: ProgressEvent) {
        match event {
            ProgressEvent::Phase(phase) => self.phase(phase),
            ProgressEvent::Current(what) => self.current(what),
            ProgressEvent::Begun(what) => self.begun(what),
            ProgressEvent::Ended(what) => self.ended(&what),
            ProgressEvent::Expected(bytes) => self.expect(bytes),
            ProgressEvent::Moved(bytes) => self.moved(bytes),
        }
    }
}

impl postgres::LogSink for Desk {
    fn log(&self, severity: postgres::Severity, text: &str) {
        let severity = match severity {
            postgres::Severity::Info => Severity::Info,
            postgres::Severity::Warning => Severity::Warning,
            postgres::Severity::Error => Severity::Error,
        };
        Self::log(self, severity, text);
    }
}
