//! The one session of this worker: what the coordinator has said, and the job that came of it.
//!
//! Invariants: at most one assignment ever; it starts when it and the session's credentials are there, in whichever order
//! they came; it ends with exactly one `Finished`, whatever happens to it, a panic included; a message with an older epoch
//! than the newest seen changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use haulier_cloud::aws::SharedCredentials;
use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, SessionId, WorkerId};
use haulier_domain::postgres::left_behind;
use haulier_domain::secret::SecretBytes;
use haulier_domain::sqlserver::log_target;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_response::Message;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::credentials::{self, Received};
use crate::desk::{Desk, Severity};
use crate::postgres::Stopped;
use crate::redact::Redactor;
use crate::user_data::UserData;

/// How long a job may take to stop by itself; the coordinator is promised two seconds in all.
pub(crate) const STOPPING: Duration = Duration::from_millis(1_500);

/// Carries out assignments.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Carries out the one assignment. Stops soon after the task's token is cancelled.
    async fn run(&self, assignment: wire::Assignment, task: Task) -> Result<Report, Stopped>;

    /// How long such an assignment may take to end after a cancel. Longer than the usual second and a half only where
    /// work that is broken off leaves something in a customer's database that must be removed first.
    fn grace(&self, _assignment: &wire::Assignment) -> Duration {
        STOPPING
    }

    /// What such an assignment may leave behind where it is broken off before it has ended by itself. The desk knows what the
    /// work has told until then.
    fn left_behind(&self, _assignment: &wire::Assignment, _session: &SessionId, _desk: &Desk) -> Option<Failure> {
        None
    }
}

/// What a runner is given beside its assignment.
#[derive(Debug, Clone)]
pub struct Task {
    /// The session, for names.
    pub session_id: SessionId,
    /// Its fencing number when the work began.
    pub epoch: Epoch,
    /// Where to report.
    pub desk: Desk,
    /// Stops the work.
    pub cancel: CancellationToken,
    /// The session's credentials; they are replaced while the work goes on.
    pub credentials: SharedCredentials,
    /// Key of the repository domain.
    pub domain_key: SecretBytes,
    /// Key of the domain that a copy goes to.
    pub target_domain_key: Option<SecretBytes>,
    /// Told every secret that the work comes upon.
    pub redactor: Redactor,
}

/// What came of an assignment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What an operator should know all the same.
    pub warnings: Vec<String>,
    /// JSON of the report; empty where there is none.
    pub document: Vec<u8>,
    /// JSON of the root of the point to publish, where the work made one.
    pub proposal: Option<Vec<u8>>,
}

/// The one session of this worker.
#[derive(Debug)]
pub struct Session {
    session_id: SessionId,
    worker_id: WorkerId,
    epoch: AtomicU64,
    desk: Desk,
    redactor: Redactor,
    job: Mutex<Job>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    runner: RunnerHandle,
}

/// A runner, printable.
struct RunnerHandle(Arc<dyn Runner>);

impl std::fmt::Debug for RunnerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runner")
    }
}

#[derive(Debug, Default)]
struct Job {
    assignment: Option<wire::Assignment>,
    credentials: Option<SharedCredentials>,
    domain_key: Option<SecretBytes>,
    target_domain_key: Option<SecretBytes>,
    started: bool,
    grace: Duration,
}

impl Session {
    /// The session that user-data names, before anything is known of it.
    pub fn new(data: &UserData, runner: Arc<dyn Runner>, redactor: Redactor) -> Arc<Self> {
        redactor.learn(&data.token);
        Arc::new(Self {
            session_id: data.session_id.clone(),
            worker_id: data.worker_id.clone(),
            epoch: AtomicU64::new(data.epoch.0),
            desk: Desk::new(redactor.clone()),
            redactor,
            job: Mutex::default(),
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runner: RunnerHandle(runner),
        })
    }

    /// Where the job reports to.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// A message of this session.
    pub(crate) fn message(&self, message: wire::attach_request::Message) -> wire::AttachRequest {
        wire::AttachRequest {
            session_id: self.session_id.to_string(),
            epoch: self.epoch.load(Ordering::Relaxed),
            message: Some(message),
        }
    }

    /// The first message of a stream.
    pub(crate) fn hello(&self, postgresql_majors: &[u32]) -> wire::AttachRequest {
        self.message(wire::attach_request::Message::Hello(wire::Hello {
            worker_id: self.worker_id.to_string(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            has_assignment: self.lock().assignment.is_some(),
            postgresql_majors: postgresql_majors.to_vec(),
        }))
    }

    /// Whether a message is of this session and not older than what was seen; a newer epoch is taken over.
    pub(crate) fn admits(&self, response: &wire::AttachResponse) -> bool {
        if response.session_id != self.session_id.as_str() {
            tracing::warn!(other = response.session_id, "a message of another session is refused");
            return false;
        }
        let newest = self.epoch.fetch_max(response.epoch, Ordering::Relaxed);
        if response.epoch < newest {
            tracing::warn!(older = response.epoch, newest, "a message of an older epoch is refused");
        }
        response.epoch >= newest
    }

    /// Does what a message says. What concerns the stream itself (greeting, shutdown) is not for here.
    pub(crate) fn handle(self: &Arc<Self>, message: Message) {
        match message {
            Message::Assignment(assignment) => self.assign(assignment),
            Message::Credentials(credentials) => self.receive(&credentials),
            Message::Acknowledge(acknowledge) => self.desk.acknowledge(acknowledge.sequence),
            Message::Cancel(cancel) => self.cancel(&cancel.reason),
            Message::Welcome(_) | Message::Shutdown(_) => {}
        }
    }

    fn assign(self: &Arc<Self>, assignment: wire::Assignment) {
        let mut job = self.lock();
        match &job.assignment {
            Some(known) if *known == assignment => {}
            Some(_) => self.desk.log(Severity::Error, "a second, different assignment was refused"),
            None => {
                job.assignment = Some(assignment);
                self.start(&mut job);
            }
        }
    }

    fn receive(self: &Arc<Self>, message: &wire::Credentials) {
        let Received { credentials, domain_key, target_domain_key } = match credentials::convert(message) {
            Ok(received) => received,
            Err(error) => return self.desk.log(Severity::Error, &format!("credentials were refused: {error}")),
        };
        self.redactor.learn(&credentials.secret_access_key);
        self.redactor.learn(&credentials.session_token);
        tracing::info!(expires_at = %credentials.expires_at, "session credentials received");
        let mut job = self.lock();
        match &job.credentials {
            Some(cell) => cell.replace(credentials),
            None => job.credentials = Some(SharedCredentials::new(credentials)),
        }
        job.domain_key.get_or_insert(domain_key);
        job.target_domain_key = job.target_domain_key.take().or(target_domain_key);
        self.start(&mut job);
    }

    /// Asks the job to stop. Where none has begun, none will.
    fn cancel(&self, reason: &str) {
        let first = !self.cancel.is_cancelled();
        self.cancel.cancel();
        let mut job = self.lock();
        if first {
            tracing::info!(reason, "cancel");
        }
        if !job.started {
            job.started = true;
            self.desk.cancelled_before();
        }
    }

    fn start(self: &Arc<Self>, job: &mut Job) {
        let (Some(assignment), Some(credentials), Some(domain_key), false) =
            (&job.assignment, &job.credentials, &job.domain_key, job.started)
        else {
            return;
        };
        let grace = self.runner.0.grace(assignment);
        let task = Task {
            session_id: self.session_id.clone(),
            epoch: Epoch(self.epoch.load(Ordering::Relaxed)),
            desk: self.desk.clone(),
            cancel: self.cancel.clone(),
            credentials: credentials.clone(),
            domain_key: domain_key.clone(),
            target_domain_key: job.target_domain_key.clone(),
            redactor: self.redactor.clone(),
        };
        let (session, assignment) = (self.clone(), assignment.clone());
        (job.started, job.grace) = (true, grace);
        self.tasks.spawn(async move { session.supervise(assignment, task, grace).await }.in_current_span());
    }

    /// Runs the job to its end and says how it ended.
    async fn supervise(&self, assignment: wire::Assignment, task: Task, grace: Duration) {
        let runner = self.runner.0.clone();
        let assigned = assignment.clone();
        let left_behind = || self.runner.0.left_behind(&assigned, &self.session_id, &self.desk);
        let mut work = tokio::spawn(async move { runner.run(assignment, task).await }.in_current_span());
        let overdue = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(STOPPING.min(grace)).await;
            if let Some(more) = grace.checked_sub(STOPPING).filter(|more| !more.is_zero()) {
                self.desk.log(Severity::Info, "stopping: what was begun on the instance is being undone");
                tokio::time::sleep(more).await;
            }
        };
        tokio::select! {
            ended = &mut work => self.conclude(ended, left_behind),
            () = overdue => {
                work.abort();
                self.desk.log(Severity::Warning, "the work did not stop in time and was broken off where it was");
                self.desk.cancelled(left_behind());
            }
        }
    }

    /// Says how the job ended; `left` is what one that could not tidy up may have left.
    fn conclude(&self, ended: Result<Result<Report, Stopped>, JoinError>, left: impl FnOnce() -> Option<Failure>) {
        match ended {
            Ok(Ok(report)) => {
                if let Some(root) = report.proposal {
                    self.desk.propose(root);
                }
                self.desk.done(report.warnings, report.document);
            }
            Ok(Err(stopped)) if self.cancel.is_cancelled() => match stopped {
                Stopped::Failed(failure) if is_left(&failure) => self.desk.cancelled(Some(failure)),
                Stopped::Failed(failure) => {
                    self.desk.log(Severity::Warning, &format!("stopped with: {failure}"));
                    self.desk.cancelled(None);
                }
                Stopped::Cancelled => self.desk.cancelled(None),
            },
            Ok(Err(Stopped::Failed(failure))) => self.desk.failed(failure),
            Ok(Err(Stopped::Cancelled)) => self.desk.failed(broken("the job stopped without being asked to")),
            Err(error) => {
                let mut failure = broken(&error.to_string());
                if let Some(left) = left() {
                    failure.cause.push_str(&format!("; {}", left.cause));
                    failure.remedy = format!("{}; {}", left.remedy, failure.remedy);
                }
                self.desk.failed(failure);
            }
        }
    }

    /// Stops the job, if one is running, and waits for its end, a little.
    pub(crate) async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        let grace = self.lock().grace;
        if tokio::time::timeout(grace + STOPPING, self.tasks.wait()).await.is_err() {
            tracing::error!("the job outlives the session");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failure says what work that was stopped has left on an instance.
fn is_left(failure: &Failure) -> bool {
    [left_behind::CODE, log_target::CODE].contains(&failure.code.as_str())
}

fn broken(cause: &str) -> Failure {
    Failure::new(
        "worker-internal-error",
        "carrying out the assignment",
        cause,
        "run the session again; if it fails the same way, report it with the worker's log",
    )
    .retryable()
}
