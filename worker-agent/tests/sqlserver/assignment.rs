//! Whole assignments: a worker that is told over the wire what to do, does it to the instance, the temporary bucket and a real
//! repository in memory; what it proposes is published, exported without a coordinator, and restored by another worker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haulier_cli::export::{Watcher, native};
use haulier_cloud::ErrorKind;
use haulier_cloud::aws::SharedCredentials;
use haulier_cloud::doubles::{Fault as BucketFault, Faults, Faulty, MemoryObjectStore, MemorySecrets, Rule};
use haulier_cloud::object_store::{ObjectStore, UserMetadata};
use haulier_cloud::secrets::Secrets;
use haulier_domain::failure::Failure;
use haulier_domain::id::DomainId;
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_domain::sqlserver::options::Volume;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Outgoing;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_proto::worker::v1::event::Event;
use haulier_proto::worker::v1::{assignment, database_login, finished};
use haulier_repository::{Domain, DomainConfig, NewKey, PassphraseCost, PointRoot, Repository};
use haulier_worker_agent::agent::{Agent, End};
use haulier_worker_agent::mover::Instance as Address;
use haulier_worker_agent::mover::login::LoginProvider;
use haulier_worker_agent::redact::Redactor;
use haulier_worker_agent::runner::{Movers, Ports};
use haulier_worker_agent::settings::Settings;
use haulier_worker_agent::sqlserver::{Pace, Server};
use haulier_worker_agent::watchdog::Pulse;

use crate::instance::{Fault, Instance};
use crate::support::{Coordinator, TestSigner, credentials};

/// The KMS key that RDS copies the log of the instance with, whose storage is encrypted.
const LOG_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/logs";

const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:orders";

/// A cloud of two buckets, one secret and one instance.
#[derive(Debug)]
struct Cloud {
    repository: Arc<MemoryObjectStore>,
    /// Of the repository.
    faults: Faults,
    temporary: Arc<MemoryObjectStore>,
    secrets: Arc<MemorySecrets>,
    instance: Instance,
    tidying: Duration,
}

#[async_trait]
impl Ports for Cloud {
    async fn object_store(&self, _: &SharedCredentials, bucket: &str, _: &str) -> Arc<dyn ObjectStore> {
        if bucket == "temp" {
            self.temporary.clone()
        } else {
            Arc::new(Faulty::new(self.repository.clone(), self.faults.clone()))
        }
    }

    async fn secrets(&self, _: &SharedCredentials, _: &str) -> Arc<dyn Secrets> {
        self.secrets.clone()
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
        _: &Address,
        login: Arc<dyn LoginProvider>,
        _: &Path,
        _: &str,
    ) -> Result<Arc<dyn Server>, Failure> {
        assert_eq!(login.login(false).await?.user, "master");
        Ok(Arc::new(self.instance.clone()))
    }

    fn pace(&self) -> Pace {
        let short = Duration::from_millis(5);
        Pace { poll: short, busy: short, retry: short, tidying: self.tidying, ..Pace::default() }
    }
}

struct Scene {
    cloud: Arc<Cloud>,
    domain: Domain,
    key: SecretBytes,
    place: wire::DomainLocation,
    folder: tempfile::TempDir,
}

/// What a worker said until its end.
#[derive(Default)]
struct Heard {
    proposal: Option<Vec<u8>>,
    tasks: Vec<wire::TaskSubmitted>,
    ended: Vec<wire::TaskEnded>,
    parts: Vec<wire::PartRestored>,
    log_targets: Vec<String>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let temporary = Arc::new(MemoryObjectStore::new());
        let mut instance = Instance::new(temporary.clone(), &[("shop", "s1"), ("crm", "c1")]);
        (instance.length, instance.encrypted) = (3_000_000, true);
        let (repository, secrets) = (Arc::new(MemoryObjectStore::new()), Arc::new(MemorySecrets::new()));
        secrets.put(SECRET, r#"{"username":"master","password":"a-planted-password"}"#);
        let cost = PassphraseCost { memory_kib: 8, iterations: 1, lanes: 1 };
        let key = NewKey::Passphrase(SecretString::new("a passphrase of the test"), cost);
        let created = Repository::create(repository.clone(), "", &key, jiff::Timestamp::now()).await.unwrap();
        let id: DomainId = "dom-1".parse().unwrap();
        let key = SecretBytes::new(created.domain_key(&id, true).await.unwrap().expose());
        let domain = created.domain(&id, DomainConfig::new(folder.path())).await.unwrap();
        let place = wire::DomainLocation {
            bucket: "bucket".into(),
            region: "eu-central-1".into(),
            prefix: String::new(),
            repository_id: domain.repository().to_string(),
            domain_id: id.to_string(),
            immutability: None,
        };
        let (faults, tidying) = (Faults::new(), Pace::default().tidying);
        let cloud = Arc::new(Cloud { repository, faults, temporary, secrets, instance, tidying });
        Self { cloud, domain, key, place, folder }
    }

    fn settings(&self) -> Settings {
        let folder = self.folder.path();
        Settings {
            user_data: folder.join("none"),
            ca_bundle: folder.join("none"),
            postgresql_root: folder.join("none"),
            cache_dir: folder.to_owned(),
            private_dir: folder.to_owned(),
            power_off: folder.join("none"),
        }
    }

    /// A full backup of one database.
    fn backup_of_shop(&self) -> wire::BackupSqlServer {
        wire::BackupSqlServer {
            point_id: "pnt-1".into(),
            instance: instance(),
            domain: Some(self.place.clone()),
            temporary: temporary(),
            databases: vec!["shop".into()],
            ..Default::default()
        }
    }

    /// Has a new worker do the work, and hears it out.
    async fn assign(&self, work: assignment::Work) -> (Heard, finished::Result) {
        let mut coordinator = Coordinator::start(&[]).await;
        let agent = Agent {
            data: coordinator.user_data(),
            signer: Box::new(TestSigner),
            postgresql_majors: Vec::new(),
            runner: Arc::new(Movers::new(self.settings(), self.cloud.clone())),
            redactor: Redactor::new(),
            pulse: Arc::new(Pulse::default()),
        };
        let worker = tokio::spawn(agent.live(std::future::pending()));
        let mut stream = coordinator.accept().await;
        stream.welcome(0, 60).await;
        let credentials = wire::Credentials { domain_key: self.key.expose().to_vec(), ..credentials() };
        stream.say(Message::Credentials(credentials)).await;
        stream.say(Message::Assignment(wire::Assignment { work: Some(work) })).await;
        let mut heard = Heard::default();
        let result = loop {
            let Outgoing::Event(event) = stream.next().await else { continue };
            stream.say(Message::Acknowledge(wire::Acknowledge { sequence: event.sequence })).await;
            match event.event {
                Some(Event::PointProposed(proposed)) => heard.proposal = Some(proposed.root),
                Some(Event::TaskSubmitted(task)) => heard.tasks.push(task),
                Some(Event::TaskEnded(task)) => heard.ended.push(task),
                Some(Event::PartRestored(part)) => heard.parts.push(part),
                Some(Event::Finished(finished)) => break finished.result.unwrap(),
                Some(Event::LogTargetReplaced(replaced)) => heard.log_targets.push(replaced.target_arn),
                Some(Event::Log(_)) | None => {}
            }
        };
        stream.say(Message::Shutdown(wire::Shutdown {})).await;
        assert_eq!(worker.await.unwrap(), End::Shutdown);
        (heard, result)
    }
}

fn instance() -> Option<wire::DatabaseInstance> {
    Some(wire::DatabaseInstance {
        id: "orders".into(),
        host: "orders.example".into(),
        port: 1433,
        region: "eu-central-1".into(),
        engine_version: "15.00.4430.1.v1".into(),
        login: Some(wire::DatabaseLogin { method: Some(database_login::Method::SecretArn(SECRET.into())) }),
    })
}

fn temporary() -> Option<wire::TemporaryLocation> {
    Some(wire::TemporaryLocation { bucket: "temp".into(), region: "eu-central-1".into(), prefix: "ses-1".into() })
}

struct Silent;

impl Watcher for Silent {
    fn expects(&mut self, _: u64) {}

    fn moved(&mut self, _: &str, _: u64) {}

    fn completed(&mut self, _: &str, _: &Path) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_are_backed_up_published_exported_and_restored() {
    let scene = Scene::new().await;
    let backup = wire::BackupSqlServer {
        point_id: "pnt-1".into(),
        instance: instance(),
        domain: Some(scene.place.clone()),
        temporary: temporary(),
        files: 2,
        ..Default::default()
    };
    let (heard, end) = scene.assign(assignment::Work::BackupSqlServer(backup)).await;
    let finished::Result::Done(done) = end else { panic!("{end:?}") };
    assert!(done.totals.is_some_and(|totals| totals.bytes_read >= 6_000_000));
    assert_eq!((heard.tasks.len(), heard.ended.len()), (2, 2));
    assert!(heard.ended.iter().all(|task| task.lifecycle == "SUCCESS" && task.task_info.contains("percent")));
    let root: PointRoot = serde_json::from_slice(&heard.proposal.unwrap()).unwrap();
    assert_eq!((root.engine.as_str(), root.summary.databases.len()), ("sqlserver-se", 2));
    scene.domain.publish_point(&root).await.unwrap();

    let to = scene.folder.path().join("export");
    let exported = native::run(&scene.domain, &root, &["shop".to_owned()], &to, &mut Silent).await.unwrap();
    let files = &exported.databases[0].files;
    assert_eq!((exported.databases.len(), files.len(), exported.databases[0].bytes), (1, 2, 3_000_000));
    let keys = scene.cloud.temporary.keys();
    for (file, number) in files.iter().zip(1..) {
        let key =
            keys.iter().find(|key| key.contains("shop") && key.ends_with(&format!("file{number}-of-2.bak"))).unwrap();
        assert!(std::fs::read(file).unwrap() == scene.cloud.temporary.get(key).await.unwrap(), "{}", file.display());
    }

    // The session is over, and so is its place in the bucket.
    for key in keys {
        scene.cloud.temporary.delete(&key).await.unwrap();
    }
    scene.cloud.instance.set("shop", "s2");
    let restore = wire::RestoreSqlServer {
        roots: vec![serde_json::to_vec(&root).unwrap()],
        target: instance(),
        domain: Some(scene.place.clone()),
        temporary: temporary(),
        databases: vec![wire::DatabaseRestore {
            database: "shop".into(),
            on_clash: wire::OnClash::Suffix.into(),
            ..Default::default()
        }],
        options: Some(wire::NativeRestoreOptions {
            keep_cdc: true,
            log_file_volume: "J:".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let (heard, end) = scene.assign(assignment::Work::RestoreSqlServer(restore.clone())).await;
    let finished::Result::Done(done) = end else { panic!("{end:?}") };
    let report: serde_json::Value = serde_json::from_slice(&done.report).unwrap();
    assert_eq!(report["databases"][0]["restored-as"], "shop_restored_1", "{report}");
    assert_eq!((heard.tasks[0].kind.as_str(), heard.tasks[0].database.as_str()), ("RESTORE_DB", "shop_restored_1"));
    assert_eq!((heard.parts[0].target_name.as_str(), heard.parts[0].restored_as.as_str()), ("shop", "shop_restored_1"));
    let there = scene.cloud.instance.contents();
    assert_eq!((there["shop"].as_str(), there["shop_restored_1"].as_str()), ("s2", "s1"));
    let restored = scene.cloud.instance.database("shop_restored_1");
    assert_eq!((restored.volumes, restored.keeps_cdc), ((Volume::D, Volume::J), true));
    assert_eq!(scene.cloud.temporary.keys(), Vec::<String>::new());

    // A worker that is told of what the first one has restored does nothing again.
    let again = wire::RestoreSqlServer { restored: heard.parts, ..restore };
    let (heard, end) = scene.assign(assignment::Work::RestoreSqlServer(again)).await;
    assert!(matches!(end, finished::Result::Done(_)) && heard.tasks.is_empty(), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rds_has_encrypted_is_exported_with_what_decrypts_it() {
    let scene = Scene::new().await;
    let kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/1".into();
    let backup = wire::BackupSqlServer { files: 2, kms_key_arn, ..scene.backup_of_shop() };
    let (heard, end) = scene.assign(assignment::Work::BackupSqlServer(backup.clone())).await;
    assert!(matches!(end, finished::Result::Done(_)), "{end:?}");
    let root: PointRoot = serde_json::from_slice(&heard.proposal.unwrap()).unwrap();
    scene.domain.publish_point(&root).await.unwrap();
    let to = scene.folder.path().join("export");
    let exported = native::run(&scene.domain, &root, &[], &to, &mut Silent).await.unwrap();
    let [shop] = &exported.databases[..] else { panic!("{exported:?}") };
    assert_eq!(shop.kms_key_arn.as_ref(), Some(&backup.kms_key_arn));
    assert!(exported.remarks.iter().any(|remark| remark.contains("nothing but RDS can read it")), "{exported:?}");
    assert_eq!((shop.files.len(), shop.metadata_files.len()), (2, 2));
    for (file, beside) in shop.files.iter().zip(&shop.metadata_files) {
        assert_eq!(beside.to_str().unwrap(), format!("{}.metadata.json", file.display()));
        let number = if file.to_str().unwrap().ends_with(".1-of-2.bak") { 1 } else { 2 };
        let keys = scene.cloud.temporary.keys();
        let key = keys.iter().find(|key| key.ends_with(&format!("file{number}-of-2.bak"))).unwrap();
        assert!(std::fs::read(file).unwrap() == scene.cloud.temporary.get(key).await.unwrap(), "{}", file.display());
        let kept: UserMetadata = serde_json::from_slice(&std::fs::read(beside).unwrap()).unwrap();
        assert_eq!(Some(kept), scene.cloud.temporary.metadata(key).await.unwrap());
    }
    // Neither is ever overwritten.
    for file in &shop.files {
        std::fs::remove_file(file).unwrap();
    }
    let again = native::run(&scene.domain, &root, &[], &to, &mut Silent).await.unwrap_err();
    assert!(again.failure.cause.contains(".metadata.json"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_by_iam_is_refused() {
    let scene = Scene::new().await;
    let iam = wire::BackupSqlServer {
        point_id: "pnt-1".into(),
        instance: instance().map(|instance| wire::DatabaseInstance {
            login: Some(wire::DatabaseLogin { method: Some(database_login::Method::IamUser("haulier".into())) }),
            ..instance
        }),
        domain: Some(scene.place.clone()),
        temporary: temporary(),
        ..Default::default()
    };
    let (heard, end) = scene.assign(assignment::Work::BackupSqlServer(iam)).await;
    let finished::Result::Failure(failure) = end else { panic!("{end:?}") };
    assert!(failure.code == "db-iam-unsupported" && heard.proposal.is_none(), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_encrypted_storage_is_copied_with_the_key_that_the_worker_is_told() {
    let scene = Scene::new().await;
    let (heard, _) = scene.assign(assignment::Work::BackupSqlServer(scene.backup_of_shop())).await;
    let full = heard.proposal.unwrap();
    scene.domain.publish_point(&serde_json::from_slice(&full).unwrap()).await.unwrap();
    scene.cloud.instance.change("shop", "s2");
    scene.cloud.instance.back_up_logs();
    // Of another session.
    let prefix = "ses-2".to_owned();
    let backup = wire::BackupSqlServer {
        point_id: "pnt-2".into(),
        temporary: temporary().map(|place| wire::TemporaryLocation { prefix, ..place }),
        r#type: wire::NativeBackupType::Log.into(),
        full_root: full,
        log_kms_key_arn: LOG_KEY.into(),
        ..scene.backup_of_shop()
    };
    let (heard, end) = scene.assign(assignment::Work::BackupSqlServer(backup)).await;
    assert!(matches!(end, finished::Result::Done(_)), "{end:?}");
    let root: PointRoot = serde_json::from_slice(&heard.proposal.unwrap()).unwrap();
    scene.domain.publish_point(&root).await.unwrap();
    let to = scene.folder.path().join("export");
    let exported = native::run(&scene.domain, &root, &[], &to, &mut Silent).await.unwrap();
    let [shop] = &exported.databases[..] else { panic!("{exported:?}") };
    assert_eq!(shop.kms_key_arn.as_deref(), Some(LOG_KEY));
    assert!(exported.remarks.iter().any(|remark| remark.contains("rds_restore_log")), "{exported:?}");
    let ([file], [beside]) = (&shop.files[..], &shop.metadata_files[..]) else { panic!("{shop:?}") };
    assert!(beside.to_str().unwrap().ends_with(".trn.metadata.json"), "{}", beside.display());
    let keys = scene.cloud.temporary.keys();
    let copied = keys.iter().find(|key| key.contains("/log/")).unwrap();
    assert!(std::fs::read(file).unwrap() == scene.cloud.temporary.get(copied).await.unwrap(), "{}", file.display());
    let kept: UserMetadata = serde_json::from_slice(&std::fs::read(beside).unwrap()).unwrap();
    assert_eq!(Some(kept), scene.cloud.temporary.metadata(copied).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_that_cannot_be_stored_does_not_hide_that_the_place_of_log_backups_was_not_put_back() {
    let operators = "arn:aws:s3:::operators-logs";
    let mut scene = Scene::new().await;
    scene.cloud.instance.copies_logs_to(operators);
    let full = scene.backup_of_shop();
    let (heard, _) = scene.assign(assignment::Work::BackupSqlServer(full.clone())).await;
    let root = heard.proposal.unwrap();
    scene.domain.publish_point(&serde_json::from_slice(&root).unwrap()).await.unwrap();
    scene.cloud.instance.back_up_logs();
    Arc::get_mut(&mut scene.cloud).unwrap().tidying = Duration::from_millis(300);
    scene.cloud.instance.fault(Fault::KeepTarget);
    scene.cloud.faults.add(Rule::once("PutObject", BucketFault::Before(ErrorKind::Denied)).always());
    let log = wire::BackupSqlServer {
        point_id: "pnt-2".into(),
        r#type: wire::NativeBackupType::Log.into(),
        full_root: root,
        temporary: temporary().map(|place| wire::TemporaryLocation { prefix: "ses-2".into(), ..place }),
        log_kms_key_arn: LOG_KEY.into(),
        ..full
    };
    let (heard, end) = scene.assign(assignment::Work::BackupSqlServer(log)).await;
    assert_eq!(heard.log_targets, [operators]);
    let finished::Result::Failure(failure) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, "repository-denied", "{failure:?}");
    assert!(failure.cause.contains(&format!("and not to {operators}: it was not done in time")), "{failure:?}");
    assert!(failure.remedy.contains(&format!("@target_s3_arn = N'{operators}'")), "{failure:?}");
}
