//! A coordinator over doubles, with workers that dial its real listener.
//!
//! Each coordinator has a runtime of its own, which can be killed: whatever it was doing stops there, as in a `kill -9`.
//! The cloud, the state directory and the simulated workers live on.

pub(crate) mod cloud;
pub(crate) mod native;
pub(crate) mod observer;
pub(crate) mod prepared;
pub(crate) mod steps;
pub(crate) mod worker;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use haulier_cloud::compute::Compute as _;
use haulier_cloud::doubles::{MemoryCloud, MemoryDatabases, VPC_ID};
use haulier_cloud::object_store::Tags;
use haulier_coordinator::repositories::NewRepository;
use haulier_coordinator::sessions::{
    Account, BackupRequest, DatabaseSelection, InstanceRef, Login, NativeOptions, Place, RestoreRequest, Sessions,
    WorkerConfiguration,
};
use haulier_coordinator::settings::{Pace, Settings, WorkerSettings};
use haulier_coordinator::start::{Coordinator, Parts};
use haulier_coordinator::state::{KeyKind, Repository, Session};
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::session::SessionState;
use haulier_domain::sqlserver::options::RestoreOptions;
use jiff::Timestamp;
use tokio::runtime::Runtime;

use self::cloud::DoubleAccess;
use self::observer::Observer;
use self::worker::{Fleet, Script};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:orders";
pub(crate) const KMS_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1";
pub(crate) const REPOSITORY: &str = "main";

/// DB instances of each scene.
pub(crate) const INSTANCES: [&str; 2] = ["orders", "billing"];

/// A cloud, a state directory, and workers that boot in the cloud.
pub(crate) struct Scene {
    pub(crate) access: Arc<DoubleAccess>,
    pub(crate) fleet: Fleet,
    directory: tempfile::TempDir,
    address: SocketAddr,
    before: BTreeSet<String>,
}

/// A running coordinator.
pub(crate) struct Running {
    runtime: Option<Runtime>,
    pub(crate) sessions: Sessions,
    coordinator: Option<Coordinator>,
}

impl Scene {
    /// A cloud with two DB instances, each in a group that is not ours; workers follow the script.
    pub(crate) fn new(script: Script) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let access = Arc::new(DoubleAccess::new());
        let production = production_group(&access.memory);
        for id in INSTANCES {
            let mut instance = MemoryDatabases::postgres(id);
            instance.security_groups = vec![(production.clone(), "active".to_owned())];
            access.memory.databases().add(instance);
        }
        native::prepare(&access, &production);
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let before = access.memory.listing();
        let fleet = Fleet::start(access.clone(), directory.path().join("ca/ca.pem"), script);
        Self { access, fleet, directory, address, before }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            state_dir: self.directory.path().to_owned(),
            worker_listen: self.address,
            control_listen: ([127, 0, 0, 1], 0).into(),
            worker_advertise: format!("https://{}", self.address),
            region: REGION.into(),
            partition: "aws".into(),
            wrapping_key: None,
            max_sessions: 0,
            prune_grace: Duration::ZERO,
            worker: WorkerSettings::default(),
            pace: Pace {
                poll: Duration::from_millis(10),
                back_off: (Duration::from_millis(5), Duration::from_millis(50)),
                outage: Duration::from_secs(30),
                available: Duration::from_secs(30),
                heartbeat: Duration::from_millis(100),
                patience: Duration::from_secs(20),
                boot: Duration::from_secs(20),
                cancel: Duration::from_secs(5),
                tidying: Duration::from_secs(1),
                session: Duration::from_secs(3600),
                settle: Duration::from_millis(100),
                reaper: Duration::from_secs(3600),
                capacity: Duration::from_millis(5),
                schedule: Duration::from_secs(3600),
            },
        }
    }

    /// Starts a coordinator that nobody watches.
    pub(crate) fn start(&self) -> Running {
        self.start_with(self.settings(), Arc::new(Observer::default()))
    }

    /// Starts a coordinator on a runtime of its own, with the repository that sessions write to.
    pub(crate) fn start_with(&self, settings: Settings, observer: Arc<Observer>) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let access = self.access.clone();
        let coordinator = runtime.block_on(async move {
            let deadline = Instant::now() + Duration::from_secs(20);
            let coordinator = loop {
                let parts = Parts { vaults: None, observer: Some(observer.clone()) };
                match Coordinator::start(settings.clone(), access.clone(), parts).await {
                    Ok(coordinator) => break coordinator,
                    // The port of a coordinator that was killed is freed a moment later.
                    Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            create_repository(coordinator.sessions()).await;
            coordinator
        });
        let sessions = coordinator.sessions().clone();
        Running { runtime: Some(runtime), sessions, coordinator: Some(coordinator) }
    }

    /// What the sessions of this scene left in the cloud: everything that is new, but the base group that is kept per VPC
    /// and the snapshots of these sessions.
    pub(crate) fn leftovers(&self, snapshots_of: &[&SessionId]) -> Vec<String> {
        let kept: Vec<String> = snapshots_of
            .iter()
            .map(|id| format!("db-snapshot haulier-{}", &id.as_str()[id.as_str().len() - 12..]))
            .collect();
        let mut left = self.access.memory.leftovers(&self.before);
        left.retain(|line| !line.contains("-base-vpc-1") && !kept.iter().any(|kept| line.starts_with(kept)));
        left
    }
}

impl Running {
    /// Runs something on the coordinator's runtime.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    /// Starts a backup of an instance, with a DB snapshot.
    pub(crate) fn backup(&self, instance: &str) -> SessionId {
        let (sessions, request) = (self.sessions.clone(), backup_of(instance));
        self.run(async move { sessions.start_backup(request, None).await.unwrap() })
    }

    /// Starts a restore of a point into an instance.
    pub(crate) fn restore(&self, point: PointId, target: &str) -> SessionId {
        self.restore_databases(point, target, Vec::new())
    }

    /// Starts a restore of a point's databases into an instance.
    pub(crate) fn restore_databases(
        &self,
        point: PointId,
        target: &str,
        databases: Vec<DatabaseSelection>,
    ) -> SessionId {
        let request = RestoreRequest {
            policy: None,
            point,
            target: instance(target),
            login: Login::Secret(SECRET.into()),
            databases,
            roles: true,
            worker: WorkerConfiguration::default(),
            parallel_streams: 0,
            bucket: None,
            native: RestoreOptions::default(),
        };
        let sessions = self.sessions.clone();
        self.run(async move { sessions.start_restore(request, None).await.unwrap() })
    }

    /// Waits until the session has ended.
    pub(crate) fn ended(&self, id: &SessionId) -> Session {
        self.until(id, "end", |session| session.ended_at.is_some())
    }

    /// Waits until the session satisfies the condition.
    pub(crate) fn until(
        &self,
        id: &SessionId,
        what: &str,
        ready: impl Fn(&Session) -> bool + Send + 'static,
    ) -> Session {
        let (sessions, id, what) = (self.sessions.clone(), id.clone(), what.to_owned());
        self.run(async move {
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                let session = sessions.get(&id).await.unwrap();
                if ready(&session) {
                    return session;
                }
                if Instant::now() > deadline {
                    let ledger = sessions.ledger(Some(&id), true).await.unwrap();
                    let log = sessions.state().log_after(&id, 0).await.unwrap();
                    panic!("{id} did not come to {what}: {session:#?}\n{ledger:#?}\n{log:#?}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }

    /// Asserts that the session ended in this state, telling why it did not.
    pub(crate) fn assert_state(&self, id: &SessionId, wanted: SessionState) -> Session {
        let session = self.ended(id);
        assert_eq!(session.state, wanted, "{:#?}", session.outcome);
        session
    }

    /// Everything it was doing stops here. With the last of it the state directory is let go, as when a process dies.
    pub(crate) fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_timeout(Duration::from_secs(5));
    }

    /// Stops it in order. Its runtime lives on with whatever did not stop, until the result is dropped.
    pub(crate) fn stop(mut self) -> Self {
        let coordinator = self.coordinator.take().unwrap();
        self.run(coordinator.stop());
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn place() -> Place {
    Place { account: Account { id: ACCOUNT.into(), role_arn: None, external_id: None }, region: REGION.into() }
}

pub(crate) fn instance(id: &str) -> InstanceRef {
    InstanceRef { place: place(), id: id.to_owned() }
}

pub(crate) fn backup_of(id: &str) -> BackupRequest {
    BackupRequest {
        policy: Some("nightly".into()),
        instance: instance(id),
        repository: REPOSITORY.into(),
        login: Login::Secret(SECRET.into()),
        databases: Vec::new(),
        snapshot: true,
        worker: WorkerConfiguration::default(),
        concurrency: 0,
        parallel_streams: 0,
        compression_level: 0,
        large_table_bytes: 0,
        split_table_bytes: 0,
        native: NativeOptions::default(),
    }
}

async fn create_repository(sessions: &Sessions) {
    let new = NewRepository {
        name: REPOSITORY.into(),
        bucket: "backups".into(),
        region: REGION.into(),
        prefix: "prod".into(),
        key_kind: KeyKind::Kms,
        key_arn: KMS_KEY.into(),
        immutability: None,
    };
    let id = sessions.services().vaults.create(&new).await.unwrap().id;
    let repository = Repository {
        name: new.name,
        id,
        bucket: new.bucket,
        region: new.region,
        prefix: new.prefix,
        key_kind: new.key_kind,
        key_arn: new.key_arn,
        created_at: Timestamp::now(),
        immutability: None,
    };
    sessions.state().add_repository(&repository).await.unwrap();
}

/// A group that is none of ours.
fn production_group(memory: &MemoryCloud) -> String {
    let compute = memory.compute();
    let tags = Tags::new();
    let made = compute.create_security_group(VPC_ID, "production", "not ours", &tags);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(made).unwrap()
}

/// The groups of a DB instance, as the cloud lists them.
pub(crate) fn groups_of(memory: &MemoryCloud, instance: &str) -> String {
    let prefix = format!("db-instance {instance} ");
    memory.listing().into_iter().find(|line| line.starts_with(&prefix)).unwrap_or_default()
}
