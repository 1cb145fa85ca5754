//! Assignments carried out over a repository in memory.

mod log_backups;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::ErrorKind;
use haulier_cloud::aws::SharedCredentials;
use haulier_cloud::doubles::{Fault, Faults, Faulty, MemoryObjectStore, MemorySecrets, Rule};
use haulier_cloud::object_store::ObjectStore;
use haulier_cloud::secrets::Secrets;
use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, Epoch};
use haulier_domain::point::PointSummary;
use haulier_domain::postgres::clash::working_name;
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_proto::worker::v1 as wire;
use haulier_repository::check::{CheckDepth, CheckScope};
use haulier_repository::{Domain, DomainConfig, NewKey, PassphraseCost, PointRoot, Repository};
use tokio_util::sync::CancellationToken;

use super::streams::{RepositoryStreams, root_of};
use super::{Movers, Ports};
use crate::desk::Desk;
use crate::postgres::job::RestoredDatabase;
use crate::postgres::streams::{StreamKind, StreamStore as _};
use crate::postgres::{DatabaseShare, RestoredPart, Stopped, StreamReader};
use crate::redact::Redactor;
use crate::session::{Report, Runner as _, Task};
use crate::settings::Settings;

/// A cloud of one bucket and one secret.
#[derive(Debug)]
struct Doubles {
    store: Arc<MemoryObjectStore>,
    faults: Faults,
    secrets: Arc<MemorySecrets>,
}

#[async_trait]
impl Ports for Doubles {
    async fn object_store(&self, _: &SharedCredentials, _: &str, _: &str) -> Arc<dyn ObjectStore> {
        Arc::new(Faulty::new(self.store.clone(), self.faults.clone()))
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
        Ok(SecretString::new("a-database-token"))
    }
}

/// A repository with one published point, and a worker beside it.
struct Bench {
    doubles: Arc<Doubles>,
    movers: Movers,
    task: Task,
    root: PointRoot,
    place: wire::DomainLocation,
    _cache: tempfile::TempDir,
}

const ROWS: usize = 3_000_000;

async fn write(streams: &RepositoryStreams, kind: StreamKind, body: &[u8]) -> haulier_repository::StreamRoot {
    let mut writer = streams.create(kind, "stream").await.unwrap();
    for part in body.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(part)).await.unwrap();
    }
    root_of(&writer.finish().await.unwrap()).unwrap()
}

/// Text that does not compress to nothing.
fn rows() -> Vec<u8> {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    noise.take(ROWS).collect()
}

impl Bench {
    async fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryObjectStore::new());
        let passphrase = SecretString::new("a passphrase of the test");
        let cost = PassphraseCost { memory_kib: 8, iterations: 1, lanes: 1 };
        let now = jiff::Timestamp::now();
        let key = NewKey::Passphrase(passphrase, cost);
        let repository = Repository::create(store.clone(), "prefix", &key, now).await.unwrap();
        let domain_id: DomainId = "dom-1".parse().unwrap();
        let key = repository.domain_key(&domain_id, true).await.unwrap();
        let domain = repository.domain(&domain_id, DomainConfig::new(cache.path())).await.unwrap();
        let root = published(&domain).await;
        let place = wire::DomainLocation {
            bucket: "bucket".into(),
            region: "eu-central-1".into(),
            prefix: "prefix".into(),
            repository_id: domain.repository().to_string(),
            domain_id: domain_id.to_string(),
            immutability: None,
        };
        let doubles = Arc::new(Doubles { store, faults: Faults::new(), secrets: Arc::new(MemorySecrets::new()) });
        let settings = Settings {
            user_data: cache.path().join("none"),
            ca_bundle: authorities(cache.path()),
            postgresql_root: cache.path().join("none"),
            cache_dir: cache.path().to_owned(),
            private_dir: cache.path().to_owned(),
            power_off: cache.path().join("none"),
        };
        let redactor = Redactor::new();
        let task = Task {
            session_id: "ses-1".parse().unwrap(),
            epoch: Epoch(1),
            desk: Desk::new(redactor.clone()),
            cancel: CancellationToken::new(),
            credentials: SharedCredentials::default(),
            domain_key: SecretBytes::new(key.expose()),
            target_domain_key: None,
            redactor,
        };
        let movers = Movers::new(settings, doubles.clone());
        Self { doubles, movers, task, root, place, _cache: cache }
    }

    async fn check(&self, full: bool) -> Result<Report, Stopped> {
        self.check_some(full, 0).await
    }

    async fn check_some(&self, full: bool, sample_percent: u32) -> Result<Report, Stopped> {
        let root = serde_json::to_vec(&self.root).unwrap();
        let check = wire::CheckPoint { root, domain: Some(self.place.clone()), full, sample_percent };
        let assignment = wire::Assignment { work: Some(wire::assignment::Work::CheckPoint(check)) };
        self.movers.run(assignment, self.task.clone()).await
    }

    async fn backup(&self) -> Result<Report, Stopped> {
        let backup = wire::BackupPostgres {
            point_id: "pnt-2".into(),
            instance: instance(),
            domain: Some(self.place.clone()),
            ..Default::default()
        };
        let assignment = wire::Assignment { work: Some(wire::assignment::Work::BackupPostgres(backup)) };
        self.movers.run(assignment, self.task.clone()).await
    }

    async fn copy(&self, target: &wire::DomainLocation, key: Option<SecretBytes>) -> Result<Report, Stopped> {
        let copy = wire::CopyPoint {
            point_id: "pnt-1".into(),
            domain: Some(self.place.clone()),
            target: Some(target.clone()),
            copy_id: "pnt-copy".into(),
            base_point_id: String::new(),
            stands_on_id: String::new(),
        };
        let assignment = wire::Assignment { work: Some(wire::assignment::Work::CopyPoint(copy)) };
        self.movers.run(assignment, Task { target_domain_key: key, ..self.task.clone() }).await
    }

    fn key_of(&self, kind: &str) -> String {
        let keys = self.doubles.store.keys();
        keys.into_iter().find(|key| key.contains(kind)).unwrap()
    }
}

fn instance() -> Option<wire::DatabaseInstance> {
    Some(wire::DatabaseInstance {
        id: "orders".into(),
        host: "orders.example".into(),
        port: 5432,
        region: "eu-central-1".into(),
        engine_version: "15.18".into(),
        login: Some(wire::DatabaseLogin {
            method: Some(wire::database_login::Method::SecretArn("arn:unknown".into())),
        }),
    })
}

/// A bundle of one authority.
fn authorities(folder: &Path) -> PathBuf {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let file = folder.join("authorities.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    file
}

/// Publishes a point with rows and a manifest.
async fn published(domain: &Domain) -> PointRoot {
    let desk = Desk::new(Redactor::new());
    let streams = RepositoryStreams::writing(domain.clone(), None, None, desk.clone()).await.unwrap();
    write(&streams, StreamKind::TableRows, &rows()).await;
    let manifest = write(&streams, StreamKind::Document, b"{}").await;
    let stored = streams.finish().await.unwrap();
    let (_, shown) = desk.progress_since(0).unwrap();
    assert_eq!((shown.bytes_new, shown.bytes_stored), (stored.totals.bytes_new, stored.totals.bytes_stored));
    assert!(shown.bytes_new >= ROWS as u64);
    let root = PointRoot {
        version: PointRoot::VERSION,
        point: "pnt-1".parse().unwrap(),
        session: "ses-1".parse().unwrap(),
        epoch: Epoch(1),
        created: jiff::Timestamp::now(),
        engine: "postgres".into(),
        manifest,
        catalogue: stored.catalogue,
        required_features: Vec::new(),
        locked_until: None,
        stands_on: None,
        totals: stored.totals,
        summary: PointSummary::default(),
        labels: std::collections::BTreeMap::new(),
    };
    domain.publish_point(&root).await.unwrap();
    root
}

fn failure(result: Result<Report, Stopped>) -> Failure {
    match result {
        Err(Stopped::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

#[tokio::test]
async fn streams_come_back_as_they_were_written() {
    let bench = Bench::new().await;
    let store = bench.doubles.store.clone();
    let key = haulier_repository::DomainKey::from_bytes(bench.task.domain_key.clone()).unwrap();
    let (repository, domain) = (bench.place.repository_id.parse().unwrap(), bench.place.domain_id.parse().unwrap());
    let config = DomainConfig::new(bench._cache.path());
    let domain = Domain::open(store, "prefix", repository, domain, &key, config).unwrap();
    let streams = RepositoryStreams::writing(domain.clone(), None, None, bench.task.desk.clone()).await.unwrap();
    let mut writer = streams.create(StreamKind::TableRows, "rows").await.unwrap();
    writer.write(Bytes::from(rows())).await.unwrap();
    let reference = writer.finish().await.unwrap();
    streams.finish().await.unwrap();
    assert!(streams.create(StreamKind::Document, "late").await.is_err(), "finished streams take nothing more");

    let reading = RepositoryStreams::reading(domain, bench.task.desk.clone());
    let mut reader: Box<dyn StreamReader> = reading.open(&reference).await.unwrap();
    let mut read = Vec::new();
    while let Some(part) = reader.next().await.unwrap() {
        read.extend_from_slice(&part);
    }
    assert_eq!(read, rows());
    assert!(reading.create(StreamKind::Document, "none").await.is_err(), "these streams are only read");
}

#[tokio::test]
async fn a_sound_point_is_reported_with_what_was_read() {
    let bench = Bench::new().await;
    for (full, percent) in [(false, 0), (false, 1), (false, 100), (true, 0)] {
        let report = bench.check_some(full, percent).await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&report.document).unwrap();
        assert_eq!(document["findings"], serde_json::json!([]), "{document}");
        let packs = document["packs"].as_u64().unwrap();
        let read = document["packs_read"].as_u64().unwrap();
        // Of a sample at least one is read.
        assert!(packs > 0 && read == if full || percent > 0 { packs } else { 0 }, "{document}");
    }
    let failure = failure(bench.check_some(false, 101).await);
    assert!(failure.code == "assignment-invalid" && failure.cause.contains("sample_percent"), "{failure}");
}

#[tokio::test]
async fn damage_of_each_kind_fails_a_check_and_is_named() {
    for kind in ["/packs/", "/index/", "/points/"] {
        let bench = Bench::new().await;
        let key = bench.key_of(kind);
        let mut body = bench.doubles.store.get(&key).await.unwrap().to_vec();
        let middle = body.len() / 2;
        body[middle] ^= 1;
        bench.doubles.store.overwrite(&key, body);
        let failure = failure(bench.check(true).await);
        assert_eq!((failure.code.as_str(), failure.retryable), ("repository-damaged", false), "{kind}: {failure}");
        let mut lines = Vec::new();
        while let Some(event) = bench.task.desk.event_after(lines.len() as u64) {
            lines.push(format!("{event:?}"));
        }
        assert!(lines.iter().any(|line| line.contains(&key)), "{kind}: {lines:?}");
    }
}

#[tokio::test]
async fn a_store_that_refuses_is_told_apart_from_one_that_cannot() {
    for (fault, code, retryable) in [
        (Fault::Before(ErrorKind::Denied), "repository-denied", false),
        (Fault::Throttle, "repository-unavailable", true),
        (Fault::Lost, "repository-unavailable", true),
    ] {
        let bench = Bench::new().await;
        bench.doubles.faults.add(Rule::once("*", fault).always());
        let failure = failure(bench.check(false).await);
        assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure}");
        assert!(bench.doubles.faults.fired() > 0);
    }
}

#[tokio::test]
async fn an_assignment_without_work_is_refused() {
    let bench = Bench::new().await;
    let empty = wire::Assignment { work: None };
    let failure = failure(bench.movers.run(empty, bench.task.clone()).await);
    assert_eq!((failure.code.as_str(), failure.retryable), ("assignment-invalid", false), "{failure}");
    assert!(failure.cause.contains("work"), "{failure}");
}

#[tokio::test]
async fn a_backup_without_its_secret_fails_and_proposes_nothing() {
    let bench = Bench::new().await;
    let failure = failure(bench.backup().await);
    assert_eq!(failure.code, "db-secret-unreadable");
    let keys = bench.doubles.store.keys();
    assert!(!keys.iter().any(|key| key.contains("pnt-2")), "{keys:?}");
}

#[tokio::test]
async fn a_cancel_ends_work_that_waits_for_a_silent_store() {
    let bench = Bench::new().await;
    bench.doubles.faults.add(Rule::once("*", Fault::Hang).always());
    bench.task.cancel.cancel();
    let started = tokio::time::Instant::now();
    assert_eq!(bench.check(true).await, Err(Stopped::Cancelled));
    assert!(started.elapsed() < std::time::Duration::from_secs(2));
    assert!(bench.doubles.faults.fired() > 0);
}

#[tokio::test]
async fn a_restore_that_is_broken_off_names_what_it_may_have_left() {
    let bench = Bench::new().await;
    let part = RestoredPart::Database(DatabaseShare {
        target_name: "shop".into(),
        restored: RestoredDatabase {
            database: "shop".into(),
            restored_as: "shop_restored_1".into(),
            counted_tables: 0,
            counted_rows: 0,
        },
        skipped: Vec::new(),
        bytes: 0,
    });
    let restore = |restored: Vec<&RestoredPart>| {
        let named = |database: &str| wire::DatabaseRestore { database: database.into(), ..Default::default() };
        let part = |part: &&RestoredPart| wire::PartRestored {
            report: serde_json::to_vec(part).unwrap(),
            ..Default::default()
        };
        let restore = wire::RestorePostgres {
            root: serde_json::to_vec(&bench.root).unwrap(),
            target: instance(),
            domain: Some(bench.place.clone()),
            databases: vec![named("shop"), named("crm")],
            restored: restored.iter().map(part).collect(),
            ..Default::default()
        };
        wire::Assignment { work: Some(wire::assignment::Work::RestorePostgres(restore)) }
    };
    let session = &bench.task.session_id;
    let names = ["shop", "crm"].map(|name| working_name(session.as_str(), name, name));
    let left = bench.movers.left_behind(&restore(Vec::new()), session, &bench.task.desk).unwrap();
    assert!(names.iter().all(|name| left.cause.contains(name)), "{left}");
    let left = bench.movers.left_behind(&restore(vec![&part]), session, &bench.task.desk).unwrap();
    assert_eq!(names.map(|name| left.cause.contains(&name)), [false, true], "the first is complete: {left}");

    // The store hangs, and the restore has not begun anything: a cancel is obeyed at once, and nothing is left.
    bench.doubles.faults.add(Rule::once("*", Fault::Hang).always());
    bench.task.cancel.cancel();
    let started = tokio::time::Instant::now();
    assert_eq!(bench.movers.run(restore(Vec::new()), bench.task.clone()).await, Err(Stopped::Cancelled));
    assert!(started.elapsed() < std::time::Duration::from_secs(2));
}

#[tokio::test]
async fn a_copy_is_proposed_as_a_point_of_the_other_repository() {
    let bench = Bench::new().await;
    let cost = PassphraseCost { memory_kib: 8, iterations: 1, lanes: 1 };
    let key = NewKey::Passphrase(SecretString::new("another passphrase of the test"), cost);
    let now = jiff::Timestamp::now();
    let other = Repository::create(bench.doubles.store.clone(), "far", &key, now).await.unwrap();
    let domain_id: DomainId = "dom-2".parse().unwrap();
    let key = other.domain_key(&domain_id, true).await.unwrap();
    let target = wire::DomainLocation {
        prefix: "far".into(),
        repository_id: other.repository().id().to_string(),
        domain_id: domain_id.to_string(),
        ..bench.place.clone()
    };
    let keyless = failure(bench.copy(&target, None).await);
    assert_eq!(keyless.code, "assignment-invalid", "{keyless}");
    let report = bench.copy(&target, Some(SecretBytes::new(key.expose()))).await.unwrap();
    let root: PointRoot = serde_json::from_slice(&report.proposal.unwrap()).unwrap();
    assert_eq!(
        (root.point.as_str(), &root.session, root.epoch),
        ("pnt-copy", &bench.task.session_id, bench.task.epoch)
    );
    assert_eq!(root.created, bench.root.created);
    assert!(root.totals.bytes_stored > ROWS as u64 / 2, "{:?}", root.totals);
    let (_, shown) = bench.task.desk.progress_since(0).unwrap();
    assert_eq!(shown.bytes_read, ROWS as u64, "{shown:?}");
    let config = DomainConfig::new(bench._cache.path());
    let domain = other.domain(&domain_id, config).await.unwrap();
    domain.publish_point(&root).await.unwrap();

    let full = CheckDepth::Full;
    let found = domain.check(CheckScope::Domain, full, |_| {}).await.unwrap();
    assert!(found.is_clean(), "{:?}", found.findings);
    // With the key of the other domain nothing is written there.
    let foreign = bench.copy(&target, Some(bench.task.domain_key.clone())).await;
    assert!(foreign.is_err(), "{foreign:?}");
}
