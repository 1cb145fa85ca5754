//! The agent of an instance: it carries out native tasks, and tells of them in `task_info`.
//!
//! Every end is one end: what a task has begun in S3 is given up, then the task is over, then the next one's turn has come.

mod backup;
mod copy_logs;
mod restore;
mod restore_log;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backup::Kind;
use super::bucket::{Bucket, S3Error};
use super::instance::{Instance, locked, now};
use super::location::Location;
use super::surroundings::DataKey;
use super::tasks::{Lifecycle, Order, Refused, Task, Work};
use crate::credentials::Credential;
use crate::front::Effect;

/// Why a task fails: what `task_info` is to say.
#[derive(Debug)]
struct Failure(Vec<String>);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(vec![error.to_string()])
    }
}

/// A fault that waits until the task is so far.
struct Trouble {
    text: String,
    percent: u8,
}

/// A task that runs.
struct Run {
    instance: Arc<Instance>,
    task: Task,
    trouble: Option<Trouble>,
    /// Uploads that are neither complete nor given up.
    uploads: Mutex<Vec<(Bucket, String, String)>>,
}

/// Takes an order; the task begins when its turn comes.
pub(super) fn submit(instance: &Arc<Instance>, order: Order) -> Result<Task, Refused> {
    let task = instance.tasks(|tasks| tasks.submit(order, now()).cloned())?;
    let agent = Arc::clone(instance);
    instance.work.spawn(async move { begin_ready(&agent) });
    Ok(task)
}

/// Asks for a task's end.
pub(super) fn cancel(instance: &Arc<Instance>, id: u32) -> Result<(), Refused> {
    instance.tasks(|tasks| tasks.cancel(id, now()))?;
    if let Some(token) = locked(&instance.running).get(&id) {
        token.cancel();
    }
    begin_ready(instance);
    Ok(())
}

fn begin_ready(instance: &Arc<Instance>) {
    for task in instance.tasks(|tasks| tasks.begin_ready(now())) {
        let token = instance.stop.child_token();
        locked(&instance.running).insert(task.id, token.clone());
        let agent = Arc::clone(instance);
        instance.work.spawn(async move { run(agent, task, token).await });
    }
}

async fn run(instance: Arc<Instance>, task: Task, token: CancellationToken) {
    let subject = format!("{} {}", task.order.database, task.order.arn);
    let mut run = Run { instance, task, trouble: None, uploads: Mutex::default() };
    let fault = run.instance.surroundings.fault(run.task.order.work.name(), &subject);
    if let Some(Effect::TaskError { text, percent }) = &fault {
        run.trouble = Some(Trouble { text: text.clone(), percent: *percent });
    }
    let hangs = fault == Some(Effect::TaskHang);
    let outcome = tokio::select! {
        outcome = run.perform_after(fault), if !hangs => Some(outcome),
        () = token.cancelled() => None,
    };
    run.end(outcome).await;
}

impl Run {
    /// Does it, after the delay that somebody has ordered.
    async fn perform_after(&self, fault: Option<Effect>) -> Result<(), Failure> {
        if let Some(Effect::DelayMs(delay)) = fault {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        self.perform().await
    }

    async fn perform(&self) -> Result<(), Failure> {
        self.check_trouble(0)?;
        match self.task.order.work {
            Work::Backup(kind) => backup::run(self, kind).await,
            Work::CopyLogs => copy_logs::run(self).await,
            Work::Restore { kind: Kind::Log, norecovery } => restore_log::run(self, norecovery).await,
            Work::Restore { kind, norecovery } => restore::run(self, kind, norecovery).await,
            Work::Finish => restore::finish(self),
        }
    }

    async fn end(self, outcome: Option<Result<(), Failure>>) {
        let uploads = std::mem::take(&mut *locked(&self.uploads));
        let broken = !uploads.is_empty();
        for (bucket, key, upload) in uploads {
            if let Err(error) = bucket.abort(&key, &upload).await {
                tracing::warn!(key, %error, "an upload of a native backup is left over");
            }
        }
        let id = self.task.id;
        let asked =
            self.instance.tasks(|tasks| tasks.get(id).map(|task| task.lifecycle)) == Some(Lifecycle::CancelRequested);
        let stopped = || vec!["Task has been aborted".to_owned()];
        let (lifecycle, lines) = match outcome {
            Some(Ok(())) => (Lifecycle::Success, vec!["Command execution completed successfully.".to_owned()]),
            Some(Err(Failure(causes))) => (Lifecycle::Error, self.failed(causes, broken)),
            None if asked => (Lifecycle::Cancelled, stopped()),
            None => (Lifecycle::Error, self.failed(vec![OVERLAP.to_owned()], broken)),
        };
        self.instance.tasks(|tasks| tasks.end(id, lifecycle, &lines, now()));
        locked(&self.instance.running).remove(&id);
        begin_ready(&self.instance);
    }

    /// The lines of a failure: RDS's general one first, the cause, then what follows from it.
    fn failed(&self, causes: Vec<String>, broken: bool) -> Vec<String> {
        let general = match self.task.order.work {
            // Of these nothing is documented that would come before the cause.
            Work::CopyLogs => return causes,
            Work::Backup(_) => {
                "Aborted the task because of a task failure or an overlap with your preferred backup window for RDS automated backup."
            }
            _ => "Aborted the task because of a task failure or a concurrent RESTORE_DB request.",
        };
        let mut lines = vec![general.to_owned()];
        lines.extend(causes.into_iter().filter(|cause| cause != general));
        if broken {
            let file = self.task.order.arn.rsplit('/').next().unwrap_or_default();
            lines.push(format!("{file}: Aborting S3 upload, waiting for S3 workers to clean up and exit"));
            lines.push(format!("{file}: S3 processing has been aborted"));
            lines.push(format!(
                "Write on \"{}\" failed: 995(The I/O operation has been aborted because of either a thread exit or an application request.)",
                uuid::Uuid::new_v4().hyphenated().to_string().to_uppercase()
            ));
            lines.push("BACKUP DATABASE is terminating abnormally.".to_owned());
        }
        lines
    }

    fn note(&self, text: &str) {
        self.instance.tasks(|tasks| tasks.note(self.task.id, text, now()));
    }

    /// So much of all is done.
    fn progress(&self, done: u64, all: u64) -> Result<(), Failure> {
        let percent = u8::try_from(u128::from(done) * 100 / u128::from(all.max(1))).unwrap_or(100).min(100);
        self.instance.tasks(|tasks| tasks.progress(self.task.id, percent, now()));
        self.check_trouble(percent)
    }

    fn check_trouble(&self, percent: u8) -> Result<(), Failure> {
        match &self.trouble {
            Some(trouble) if percent >= trouble.percent => Err(Failure(vec![trouble.text.clone()])),
            _ => Ok(()),
        }
    }

    /// The bucket of the task's ARN, by the role of the option group, in the instance's own Region.
    async fn bucket(&self) -> Result<(Bucket, Location), Failure> {
        let surroundings = &self.instance.surroundings;
        let location = Location::parse(&self.task.order.arn)?;
        if !surroundings.is_backup_enabled(&self.instance.id) {
            return Err(Failure(vec![NOT_ENABLED.to_owned()]));
        }
        let bucket = Bucket::new(Arc::clone(surroundings), self.role()?, &location.bucket);
        if bucket.region().await? != surroundings.region() {
            return Err(Failure(vec!["Please specify a bucket that is in the same region as RDS instance".to_owned()]));
        }
        Ok((bucket, location))
    }

    /// Credentials of the role of the option group.
    fn role(&self) -> Result<Credential, S3Error> {
        self.instance.surroundings.backup_role(&self.instance.id).ok_or(S3Error::Denied)
    }

    /// For each of so many files a data key of its own, which the role has KMS make; none where no key encrypts them.
    async fn data_keys(&self, files: usize) -> Result<Vec<Option<DataKey>>, Failure> {
        let Some(key) = self.key() else { return Ok(vec![None; files]) };
        let role = self.role()?;
        let mut data_keys = Vec::with_capacity(files);
        for _ in 0..files {
            data_keys.push(Some(self.instance.surroundings.data_key(&role, key).await?));
        }
        Ok(data_keys)
    }

    /// ARN of the key to encrypt with, or to decrypt with.
    fn key(&self) -> Option<&str> {
        self.task.order.key.as_deref()
    }
}

/// An option group that gives no role, or not yet.
pub(super) const NOT_ENABLED: &str =
    "Database backup/restore option is not enabled yet or is in the process of being enabled. Please try again later.";
/// A snapshot of the instance and a native backup at once.
const OVERLAP: &str = "Aborting native backup because there is an RDS automated backup in progress.";
