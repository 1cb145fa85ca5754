//! Whole assignments: a worker that is told over the wire what to do, does it to real PostgreSQL servers and a repository
//! in memory, and proposes a point that the coordinator can publish and another worker can restore.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the mover's tests")]
#[path = "postgres/server.rs"]
mod server;
mod support;

use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::aws::SharedCredentials;
use haulier_cloud::doubles::{MemoryObjectStore, MemorySecrets};
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::secrets::Secrets;
use haulier_domain::failure::Failure;
use haulier_domain::id::DomainId;
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Outgoing;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_proto::worker::v1::event::Event;
use haulier_proto::worker::v1::{assignment, database_login, finished};
use haulier_repository::{Domain, DomainConfig, DomainKey, NewKey, PassphraseCost, PointRoot, Repository};
use haulier_worker_agent::agent::{Agent, End};
use haulier_worker_agent::redact::Redactor;
use haulier_worker_agent::runner::{Movers, Ports};
use haulier_worker_agent::settings::Settings;
use haulier_worker_agent::watchdog::Pulse;
use server::{PASSWORD, Server};
use support::{Coordinator, Stream, TestSigner, credentials};

const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:orders";

/// A cloud of one bucket and one secret.
#[derive(Debug)]
struct Cloud {
    store: Arc<MemoryObjectStore>,
    secrets: Arc<MemorySecrets>,
}

#[async_trait]
impl Ports for Cloud {
    async fn object_store(&self, _: &SharedCredentials, _: &str, _: &str) -> Arc<dyn ObjectStore> {
        self.store.clone()
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
        unreachable!("these instances have passwords")
    }
}

/// A repository and what the coordinator knows of it.
struct Store {
    cloud: Arc<Cloud>,
    domain: Domain,
    key: DomainKey,
    place: wire::DomainLocation,
    folder: tempfile::TempDir,
}

impl Store {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cloud =
            Arc::new(Cloud { store: Arc::new(MemoryObjectStore::new()), secrets: Arc::new(MemorySecrets::new()) });
        let login = serde_json::json!({ "username": "master", "password": PASSWORD });
        cloud.secrets.put(SECRET, login.to_string());
        let cost = PassphraseCost { memory_kib: 8, iterations: 1, lanes: 1 };
        let key = NewKey::Passphrase(SecretString::new("a passphrase of the test"), cost);
        let repository = Repository::create(cloud.store.clone(), "", &key, jiff::Timestamp::now()).await.unwrap();
        let id: DomainId = "dom-1".parse().unwrap();
        let key = repository.domain_key(&id, true).await.unwrap();
        let domain = repository.domain(&id, DomainConfig::new(folder.path())).await.unwrap();
        let place = wire::DomainLocation {
            bucket: "bucket".into(),
            region: "eu-central-1".into(),
            prefix: String::new(),
            repository_id: domain.repository().to_string(),
            domain_id: id.to_string(),
            immutability: None,
        };
        Self { cloud, domain, key, place, folder }
    }

    /// A worker of this coordinator that would work on this server.
    fn worker(&self, coordinator: &Coordinator, server: &Server) -> Agent {
        let settings = Settings {
            user_data: self.folder.path().join("none"),
            ca_bundle: server.ca_file(),
            postgresql_root: "/usr/lib/postgresql".into(),
            cache_dir: self.folder.path().to_owned(),
            private_dir: self.folder.path().to_owned(),
            power_off: self.folder.path().join("none"),
        };
        Agent {
            data: coordinator.user_data(),
            signer: Box::new(TestSigner),
            postgresql_majors: settings.postgresql_majors(),
            runner: Arc::new(Movers::new(settings, self.cloud.clone())),
            redactor: Redactor::new(),
            pulse: Arc::new(Pulse::default()),
        }
    }

    fn credentials(&self) -> wire::Credentials {
        let key = SecretBytes::new(self.key.expose());
        wire::Credentials { domain_key: key.expose().to_vec(), ..credentials() }
    }
}

fn instance(server: &Server) -> Option<wire::DatabaseInstance> {
    Some(wire::DatabaseInstance {
        id: "orders".into(),
        host: "localhost".into(),
        port: server.port.into(),
        region: "eu-central-1".into(),
        engine_version: "15.18".into(),
        login: Some(wire::DatabaseLogin { method: Some(database_login::Method::SecretArn(SECRET.into())) }),
    })
}

/// What a worker said until its end.
#[derive(Default)]
struct Heard {
    proposal: Option<Vec<u8>>,
    phases: Vec<String>,
    texts: String,
}

async fn until_end(stream: &mut Stream) -> (Heard, finished::Result) {
    let mut heard = Heard::default();
    loop {
        let message = stream.next().await;
        heard.texts += &format!("{message:?}\n");
        match message {
            Outgoing::Progress(progress) if heard.phases.last() != Some(&progress.phase) => {
                heard.phases.push(progress.phase);
            }
            Outgoing::Event(event) => {
                stream.say(Message::Acknowledge(wire::Acknowledge { sequence: event.sequence })).await;
                match event.event {
                    Some(Event::PointProposed(proposed)) => heard.proposal = Some(proposed.root),
                    Some(Event::Finished(finished)) => return (heard, finished.result.unwrap()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Has a new worker do the work, and hears it out.
async fn assign(store: &Store, server: &Server, work: assignment::Work) -> (Heard, finished::Result) {
    let mut coordinator = Coordinator::start(&[]).await;
    let worker = tokio::spawn(store.worker(&coordinator, server).live(std::future::pending()));
    let mut stream = coordinator.accept().await;
    let hello = stream.welcome(0, 60).await;
    assert!(hello.postgresql_majors.contains(&15), "{hello:?}");
    stream.say(Message::Credentials(store.credentials())).await;
    stream.say(Message::Assignment(wire::Assignment { work: Some(work) })).await;
    let end = until_end(&mut stream).await;
    stream.say(Message::Shutdown(wire::Shutdown {})).await;
    assert_eq!(worker.await.unwrap(), End::Shutdown);
    end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_backed_up_published_checked_and_restored() {
    let store = Store::new().await;
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    let rows = "CREATE TABLE orders AS SELECT n, md5(n::text) AS v FROM generate_series(1, 40000) n;
        CREATE TABLE small AS SELECT 1 AS one;";
    source.create("shop", rows);

    let backup = wire::BackupPostgres {
        point_id: "pnt-1".into(),
        instance: instance(&source),
        domain: Some(store.place.clone()),
        large_table_bytes: 64 << 10,
        split_table_bytes: 512 << 10,
        parallel_streams: 2,
        ..Default::default()
    };
    let (heard, end) = assign(&store, &source, assignment::Work::BackupPostgres(backup)).await;
    let finished::Result::Done(done) = end else { panic!("{end:?}") };
    let totals = done.totals.unwrap();
    assert!(totals.bytes_read > 1_000_000 && totals.bytes_new > 1_000_000, "{totals:?}");
    assert!((1..totals.bytes_read).contains(&totals.bytes_stored), "{totals:?}");
    assert!(!heard.texts.contains(PASSWORD) && !heard.phases.is_empty());
    let root: PointRoot = serde_json::from_slice(&heard.proposal.unwrap()).unwrap();
    assert_eq!((root.point.as_str(), root.session.as_str(), root.epoch.0), ("pnt-1", "ses-1", 1));
    assert!(root.summary.databases.iter().any(|database| database.name == "shop" && database.tables == 2));
    store.domain.publish_point(&root).await.unwrap();
    let root = serde_json::to_vec(&root).unwrap();

    let check =
        wire::CheckPoint { root: root.clone(), domain: Some(store.place.clone()), full: true, sample_percent: 0 };
    let (_, end) = assign(&store, &target, assignment::Work::CheckPoint(check)).await;
    assert!(matches!(end, finished::Result::Done(_)), "{end:?}");

    let restore = wire::RestorePostgres {
        root,
        target: instance(&target),
        domain: Some(store.place.clone()),
        databases: vec![wire::DatabaseRestore {
            database: "shop".into(),
            target_name: "shop again".into(),
            on_clash: wire::OnClash::Refuse.into(),
            ..Default::default()
        }],
        roles: true,
        parallel_streams: 2,
        restored: Vec::new(),
    };
    let (_, end) = assign(&store, &target, assignment::Work::RestorePostgres(restore)).await;
    let finished::Result::Done(done) = end else { panic!("{end:?}") };
    let report: serde_json::Value = serde_json::from_slice(&done.report).unwrap();
    assert_eq!(report["databases"][0]["restored-as"], "shop again", "{report}");
    let sums = "SELECT count(*), md5(string_agg(n || v, ',' ORDER BY n)) FROM orders";
    assert_eq!(target.sql("shop again", sums), source.sql("shop", sums));
    assert_eq!(target.sql("shop again", "SELECT one FROM small"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_backup_stores_what_changed_and_comes_back() {
    let store = Store::new().await;
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.create("shop", "CREATE TABLE orders AS SELECT n, md5(n::text) AS v FROM generate_series(1, 120000) n;");
    let backup = |point: &str, base: &str| wire::BackupPostgres {
        point_id: point.into(),
        instance: instance(&source),
        domain: Some(store.place.clone()),
        large_table_bytes: 64 << 10,
        split_table_bytes: 1 << 30,
        parallel_streams: 2,
        base_point_id: base.into(),
        ..Default::default()
    };
    let mut roots = Vec::new();
    for (point, base) in [("pnt-1", ""), ("pnt-2", "pnt-1")] {
        let (heard, end) = assign(&store, &source, assignment::Work::BackupPostgres(backup(point, base))).await;
        assert!(matches!(end, finished::Result::Done(_)), "{end:?}");
        let root: PointRoot = serde_json::from_slice(&heard.proposal.unwrap()).unwrap();
        store.domain.publish_point(&root).await.unwrap();
        roots.push(root);
        source.sql("shop", "UPDATE orders SET v = md5(v) WHERE n % 100 = 7; INSERT INTO orders VALUES (0, 'new')");
    }
    let [first, second] = roots.try_into().unwrap();
    assert_eq!((first.required_features.len(), second.required_features), (0, vec!["deltas".to_owned()]));
    assert!(second.totals.chunks_delta > 3 && second.totals.bases_unusable == 0, "{:?}", second.totals);
    assert!(second.totals.bytes_stored * 8 < first.totals.bytes_stored, "{:?} {:?}", first.totals, second.totals);

    let (heard, end) = assign(&store, &source, assignment::Work::BackupPostgres(backup("pnt-3", "pnt-gone"))).await;
    assert!(matches!(end, finished::Result::Done(_)), "{end:?}");
    assert!(heard.texts.contains("pnt-gone") && heard.proposal.is_some(), "{}", heard.texts);

    let root: PointRoot = serde_json::from_slice(&heard.proposal.unwrap()).unwrap();
    let restore = wire::RestorePostgres {
        root: serde_json::to_vec(&root).unwrap(),
        target: instance(&target),
        domain: Some(store.place.clone()),
        databases: vec![wire::DatabaseRestore { database: "shop".into(), ..Default::default() }],
        roles: true,
        parallel_streams: 2,
        restored: Vec::new(),
    };
    let (_, end) = assign(&store, &target, assignment::Work::RestorePostgres(restore)).await;
    assert!(matches!(end, finished::Result::Done(_)), "{end:?}");
    let sums = "SELECT count(*), md5(string_agg(n || v, ',' ORDER BY n, v)) FROM orders";
    assert_eq!(target.sql("shop", sums), source.sql("shop", sums));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_fails_by_name_and_proposes_nothing() {
    let store = Store::new().await;
    let server = Server::start(&[]);
    store.cloud.secrets.put(SECRET, r#"{"username":"master","password":"a-planted-wrong-password"}"#);
    let backup = wire::BackupPostgres {
        point_id: "pnt-1".into(),
        instance: instance(&server),
        domain: Some(store.place.clone()),
        ..Default::default()
    };
    let (heard, end) = assign(&store, &server, assignment::Work::BackupPostgres(backup)).await;
    let finished::Result::Failure(failure) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, "db-auth-failed");
    assert!(heard.proposal.is_none());
    assert!(!heard.texts.contains("a-planted-wrong-password"), "{}", heard.texts);
}
