//! Sessions of log backups that are stopped, or cannot begin, after an earlier worker has replaced the instance's place. Time is
//! paused.

use std::sync::Mutex;
use std::time::Duration;

use haulier_domain::sqlserver::chain::BackupSet;
use haulier_domain::sqlserver::log_chain::LogBackup;
use haulier_domain::sqlserver::log_target;
use haulier_domain::sqlserver::server::{DatabaseFacts, ServerFacts};
use haulier_domain::sqlserver::task::{Task as RdsTask, TaskId};
use tokio::sync::Notify;

use super::*;
use crate::mover::Instance;
use crate::mover::login::LoginProvider;
use crate::sqlserver::{CallError, Server, TaskRequest, TaskSink};

const OPERATORS: &str = "arn:aws:s3:::operators-logs";
const OWN: &str = "arn:aws:s3:::temp/ses-1/log";

/// An instance that says nothing of itself, and needs some time until no task is pending.
struct Slow {
    target: Mutex<String>,
    /// Told when somebody asks what it is.
    asked: Notify,
    ending: Duration,
    ends: tokio::time::Instant,
}

impl Slow {
    fn new(ending: Duration) -> Arc<Self> {
        let ends = tokio::time::Instant::now() + ending;
        Arc::new(Self { target: Mutex::new(OWN.into()), asked: Notify::new(), ending, ends })
    }

    fn target(&self) -> String {
        self.target.lock().unwrap().clone()
    }
}

#[async_trait]
impl Server for Slow {
    async fn facts(&self) -> Result<ServerFacts, CallError> {
        self.asked.notify_one();
        std::future::pending().await
    }

    async fn tasks(&self) -> Result<Vec<RdsTask>, CallError> {
        tokio::time::sleep(self.ending).await;
        Ok(Vec::new())
    }

    async fn log_target(&self) -> Result<Option<String>, CallError> {
        Ok(Some(self.target()))
    }

    async fn set_log_target(&self, arn: &str) -> Result<(), CallError> {
        if tokio::time::Instant::now() < self.ends {
            let text = "You cannot run the rds_tlog_copy_setup stored procedure while there are pending tasks.";
            return Err(CallError::Refused { number: 50_000, text: text.into() });
        }
        arn.clone_into(&mut self.target.lock().unwrap());
        Ok(())
    }

    async fn databases(&self) -> Result<Vec<DatabaseFacts>, CallError> {
        unreachable!("it has not said what it is")
    }

    async fn history(&self, _: &str) -> Result<Vec<BackupSet>, CallError> {
        unreachable!("it has not said what it is")
    }

    async fn log_backups(&self, _: &str) -> Result<Vec<LogBackup>, CallError> {
        unreachable!("it has not said what it is")
    }

    async fn submit(&self, _: &TaskRequest) -> Result<TaskId, CallError> {
        unreachable!("it has not said what it is")
    }

    async fn task(&self, _: TaskId) -> Result<Option<RdsTask>, CallError> {
        unreachable!("nothing was submitted")
    }

    async fn cancel(&self, _: TaskId) -> Result<(), CallError> {
        unreachable!("nothing was submitted")
    }

    async fn drop_database(&self, _: &str) -> Result<(), CallError> {
        unreachable!("a backup drops nothing")
    }

    async fn rename_database(&self, _: &str, _: &str) -> Result<(), CallError> {
        unreachable!("a backup renames nothing")
    }
}

/// The cloud with such an instance.
struct Cloud {
    doubles: Arc<Doubles>,
    server: Arc<Slow>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cloud")
    }
}

#[async_trait]
impl Ports for Cloud {
    async fn object_store(&self, credentials: &SharedCredentials, bucket: &str, region: &str) -> Arc<dyn ObjectStore> {
        self.doubles.object_store(credentials, bucket, region).await
    }

    async fn secrets(&self, credentials: &SharedCredentials, region: &str) -> Arc<dyn Secrets> {
        self.doubles.secrets(credentials, region).await
    }

    async fn database_token(
        &self,
        _: &SharedCredentials,
        _: &str,
        _: u16,
        _: &str,
        _: &str,
    ) -> Result<SecretString, Failure> {
        unreachable!("SQL Server has none")
    }

    async fn sql_server(
        &self,
        _: &Instance,
        _: Arc<dyn LoginProvider>,
        _: &Path,
        _: &str,
    ) -> Result<Arc<dyn Server>, Failure> {
        Ok(self.server.clone())
    }
}

/// What a second worker is told: the first has replaced the operators' place.
fn backup(bench: &Bench) -> wire::BackupSqlServer {
    let root = PointRoot { engine: "sqlserver-se".into(), ..bench.root.clone() };
    wire::BackupSqlServer {
        point_id: "pnt-2".into(),
        instance: instance(),
        domain: Some(bench.place.clone()),
        temporary: Some(wire::TemporaryLocation {
            bucket: "temp".into(),
            region: "eu-central-1".into(),
            prefix: "ses-1".into(),
        }),
        r#type: wire::NativeBackupType::Log.into(),
        full_root: serde_json::to_vec(&root).unwrap(),
        log_target_arn: OPERATORS.into(),
        ..Default::default()
    }
}

fn assignment(backup: wire::BackupSqlServer) -> wire::Assignment {
    wire::Assignment { work: Some(wire::assignment::Work::BackupSqlServer(backup)) }
}

/// Has a worker begin on an instance whose tasks take so long to end, and stops it.
async fn stopped(ending: Duration) -> (Result<Report, Stopped>, String) {
    let bench = Bench::new().await;
    let server = Slow::new(ending);
    let cloud = Cloud { doubles: bench.doubles.clone(), server: server.clone() };
    let movers = Movers::new(bench.movers.settings.clone(), Arc::new(cloud));
    let stop = async {
        server.asked.notified().await;
        bench.task.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(movers.run(assignment(backup(&bench)), bench.task.clone()), stop);
    (ended, server.target())
}

fn says_what_to_run(failure: &Failure) -> bool {
    let statement = format!("exec msdb.dbo.rds_tlog_copy_setup @target_s3_arn = N'{OPERATORS}'");
    failure.cause.contains(&format!("orders may still copy them to the temporary bucket, and not to {OPERATORS}"))
        && failure.remedy.contains(&statement)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_puts_the_place_back_once_rds_lets_it() {
    // The second is past what the end of tasks is waited for.
    for seconds in [60, 90] {
        let (ended, target) = stopped(Duration::from_secs(seconds)).await;
        assert_eq!((ended, target.as_str()), (Err(Stopped::Cancelled), OPERATORS), "{seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_before_it_has_begun_puts_the_place_back_too() {
    let bench = Bench::new().await;
    let server = Slow::new(Duration::from_secs(1));
    let cloud = Cloud { doubles: bench.doubles.clone(), server: server.clone() };
    let movers = Movers::new(bench.movers.settings.clone(), Arc::new(cloud));
    bench.task.cancel.cancel();
    let ended = movers.run(assignment(backup(&bench)), bench.task.clone()).await;
    assert_eq!((ended, server.target().as_str()), (Err(Stopped::Cancelled), OPERATORS));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_put_the_place_back_says_what_to_run() {
    let (ended, target) = stopped(Duration::from_secs(1_000)).await;
    let failure = failure(ended);
    assert!(failure.code == log_target::CODE && says_what_to_run(&failure), "{failure}");
    assert_eq!(target, OWN);
}

#[tokio::test(start_paused = true)]
async fn what_was_replaced_is_told_only_once_the_coordinator_has_it() {
    let desk = Desk::new(Redactor::new());
    let mut told = TaskSink::log_target_replaced(&desk, OPERATORS);
    assert!(tokio::time::timeout(Duration::from_secs(3_600), &mut told).await.is_err());
    let event = desk.event_after(0).unwrap();
    let expected = wire::LogTargetReplaced { target_arn: OPERATORS.into() };
    assert_eq!(event.event, Some(wire::event::Event::LogTargetReplaced(expected)));
    desk.acknowledge(event.sequence);
    told.await;
}

#[tokio::test(start_paused = true)]
async fn a_first_worker_that_is_broken_off_says_what_it_has_replaced_itself() {
    let bench = Bench::new().await;
    let first = assignment(wire::BackupSqlServer { log_target_arn: String::new(), ..backup(&bench) });
    let task = &bench.task;
    assert_eq!(bench.movers.left_behind(&first, &task.session_id, &task.desk), None);
    task.desk.log_target_replaced(wire::LogTargetReplaced { target_arn: OPERATORS.into() });
    let left = bench.movers.left_behind(&first, &task.session_id, &task.desk).unwrap();
    assert!(left.code == log_target::CODE && says_what_to_run(&left), "{left}");
    // Of what earlier workers and it have found, the last counts.
    let earlier = wire::BackupSqlServer { log_target_arn: "arn:aws:s3:::earlier".into(), ..backup(&bench) };
    let earlier = assignment(earlier);
    let left = bench.movers.left_behind(&earlier, &task.session_id, &task.desk).unwrap();
    assert!(says_what_to_run(&left), "{left}");
    // Once it is put back, a later stretch of the work leaves nothing.
    TaskSink::log_target_put_back(&task.desk);
    assert_eq!(bench.movers.left_behind(&earlier, &task.session_id, &task.desk), None);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_read_its_assignment_says_what_an_earlier_one_has_left() {
    let bench = Bench::new().await;
    let unreadable = wire::BackupSqlServer { full_root: Vec::new(), ..backup(&bench) };
    let failure = failure(bench.movers.run(assignment(unreadable), bench.task.clone()).await);
    assert!(failure.code == "assignment-invalid" && says_what_to_run(&failure), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_begin_says_what_an_earlier_one_has_left() {
    let bench = Bench::new().await;
    let method = Some(wire::database_login::Method::IamUser("haulier".into()));
    let login = Some(wire::DatabaseLogin { method });
    let known = wire::BackupSqlServer {
        instance: instance().map(|instance| wire::DatabaseInstance { login, ..instance }),
        ..backup(&bench)
    };
    let unknown = wire::BackupSqlServer { log_target_arn: String::new(), ..known.clone() };
    let (known, unknown) = (assignment(known), assignment(unknown));
    let left = bench.movers.left_behind(&known, &bench.task.session_id, &bench.task.desk).unwrap();
    assert!(left.code == log_target::CODE && says_what_to_run(&left), "{left}");
    assert_eq!(bench.movers.left_behind(&unknown, &bench.task.session_id, &bench.task.desk), None);
    for (assignment, says) in [(&unknown, false), (&known, true)] {
        let failure = failure(bench.movers.run(assignment.clone(), bench.task.clone()).await);
        assert_eq!((failure.code.as_str(), says_what_to_run(&failure)), ("db-iam-unsupported", says), "{failure}");
    }
    // Of a session that ends as cancelled, only this is told.
    bench.task.cancel.cancel();
    let failure = failure(bench.movers.run(known, bench.task.clone()).await);
    assert!(failure.code == log_target::CODE && says_what_to_run(&failure), "{failure}");
}
