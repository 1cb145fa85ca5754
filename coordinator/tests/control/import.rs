//! A catalogue made anew from a repository alone.

use bytes::Bytes;
use haulier_cloud::object_store::ObjectStore as _;
use haulier_coordinator::repositories::{PointLabels, Proposal};
use haulier_coordinator::sessions::{
    Account, BackupRequest, InstanceRef, Login, NativeOptions, Place, Request, WorkerConfiguration,
};
use haulier_coordinator::state::{NewSession, Point, PointFilter, Repository};
use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, Epoch, PointId, SessionId};
use haulier_domain::proof::{Proof, VERSION};
use haulier_domain::secret::SecretBytes;
use haulier_domain::session::{SessionKind, Stop};
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::import_repository_response::Event;
use haulier_repository::{Domain, DomainConfig, DomainKey, PointRoot, StreamKind};
use tonic::Code;

use crate::scene::{OWN, REGION, Scene, refused, repository};

/// What an import has told.
#[derive(Default)]
struct Told {
    missed: Vec<(String, String, Failure)>,
    progress: Vec<(String, u64, u64)>,
    result: wire::ImportResult,
}

impl Told {
    fn counts(&self) -> (u64, u64, u64, u64, u64) {
        let wire::ImportResult { points_added, points_known, points_in_work, proofs, missed, .. } = self.result;
        (points_added, points_known, points_in_work, proofs, missed)
    }
}

async fn import(scene: &Scene, repository: wire::CreateRepositoryRequest) -> Told {
    let request = wire::ImportRepositoryRequest { repository: Some(repository) };
    let mut events = scene.client().import_repository(request).await.unwrap().into_inner();
    let mut told = Told::default();
    while let Some(response) = events.message().await.unwrap() {
        match response.event.unwrap() {
            Event::Missed(missed) => {
                told.missed.push((missed.domain_id, missed.object, missed.failure.unwrap().into()));
            }
            Event::Progress(at) => told.progress.push((at.domain_id, at.points_done, at.points)),
            Event::Result(result) => told.result = result,
        }
    }
    told
}

fn by_name() -> wire::CreateRepositoryRequest {
    wire::CreateRepositoryRequest { name: "main".to_owned(), ..Default::default() }
}

async fn main_repository(scene: &Scene) -> Repository {
    scene.sessions().state().repository("main").await.unwrap()
}

fn labels(instance: &str) -> PointLabels {
    PointLabels {
        account: OWN.to_owned(),
        region: REGION.to_owned(),
        instance: instance.to_owned(),
        resource_id: format!("db-{}", instance.to_uppercase()),
        engine_version: "15.18".to_owned(),
        login: Some(Login::MasterSecret),
        policy: "nightly".to_owned(),
        snapshot_id: "haulier-0123".to_owned(),
        copy_of: None,
        full_point: None,
    }
}

/// Stores a point as a worker does, and publishes it as the coordinator does, without a line in the catalogue.
async fn publish(scene: &Scene, domain: &str, point: &str, labels: PointLabels) {
    let repository = main_repository(scene).await;
    let vaults = &scene.sessions().services().vaults;
    let id: DomainId = domain.parse().unwrap();
    let key = vaults.domain_key(&repository, &id).await.unwrap();
    let key = DomainKey::from_bytes(SecretBytes::new(key.expose().to_vec())).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let (bucket, config) = (scene.world.bucket.clone(), DomainConfig::new(cache.path()));
    let open = Domain::open(bucket, &repository.prefix, repository.id.clone(), id.clone(), &key, config).unwrap();
    let writer = open.writer().await.unwrap();
    let mut stream = writer.stream("manifest", StreamKind::Document).unwrap();
    stream.write(Bytes::from(format!("{{\"databases\":[\"{point}\"]}}"))).await.unwrap();
    let manifest = stream.finish().await.unwrap();
    let written = writer.finish().await.unwrap();
    let session: SessionId = format!("ses-{}", &point["pnt-".len()..]).parse().unwrap();
    let root = serde_json::json!({
        "version": PointRoot::VERSION, "point": point, "session": session, "epoch": 1,
        "created": "2026-11-20T10:00:00Z", "engine": "postgres", "manifest": manifest, "catalogue": written.catalogue,
        "totals": written.totals,
        "summary": {"databases": [{"name": "shop", "consistent-at": "2026-11-20T09:59:00Z", "bytes": 7, "tables": 2}],
                    "remarks": ["a remark"], "server-version": "15.17", "bytes-read": 7, "roles": 1},
    });
    let root = serde_json::to_vec(&root).unwrap();
    let proposal = Proposal {
        since: jiff::Timestamp::UNIX_EPOCH,
        point: point.parse().unwrap(),
        session,
        epoch: Epoch(1),
        root,
        labels,
    };
    vaults.publish(&repository, &id, &proposal).await.unwrap();
}

async fn prove(scene: &Scene, domain: &str, point: &str) -> Proof {
    let proof = Proof {
        version: VERSION,
        point: point.parse().unwrap(),
        session: "ses-proof".parse().unwrap(),
        verified_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        server_version: "15.18".into(),
        databases: Vec::new(),
        exceptions: Vec::new(),
    };
    let repository = main_repository(scene).await;
    let vaults = &scene.sessions().services().vaults;
    vaults.store_proof(&repository, &domain.parse().unwrap(), &proof).await.unwrap();
    proof
}

async fn catalogue(scene: &Scene) -> Vec<Point> {
    scene.sessions().points(&PointFilter::default()).await.unwrap()
}

/// The one object whose key ends so.
fn object(scene: &Scene, end: &str) -> String {
    scene.world.bucket.keys().into_iter().find(|key| key.ends_with(end)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_catalogue_comes_back_with_everything_that_is_known_of_its_points() {
    let lost = Scene::with_repository(&["shop", "crm"]).await;
    publish(&lost, "dom-db-shop", "pnt-1", labels("shop")).await;
    publish(&lost, "dom-db-shop", "pnt-2", PointLabels::default()).await;
    publish(&lost, "dom-db-crm", "pnt-3", PointLabels { login: Some(Login::Iam("app".into())), ..labels("crm") }).await;
    let proof = prove(&lost, "dom-db-shop", "pnt-1").await;

    let scene = Scene::start_in(lost.world.clone()).await;
    assert_eq!(refused(scene.client().import_repository(request(by_name())).await).0, Code::NotFound);
    let told = import(&scene, repository("main")).await;
    assert_eq!(told.counts(), (3, 0, 0, 1, 0), "{:?}", told.missed);
    let found = told.result.repository.unwrap();
    assert_eq!((found.id, found.points), (main_repository(&lost).await.id.to_string(), 3));
    assert_eq!(
        told.progress,
        [("dom-db-crm", 0, 1), ("dom-db-crm", 1, 1), ("dom-db-shop", 0, 2), ("dom-db-shop", 2, 2)]
            .map(|(domain, done, all)| (domain.to_owned(), done, all))
    );

    let points = catalogue(&scene).await;
    let of = |id: &str| points.iter().find(|point| point.id.as_str() == id).unwrap();
    let full = of("pnt-1");
    assert_eq!((full.account.as_str(), full.region.as_str(), full.resource.as_str()), (OWN, REGION, "shop"));
    assert_eq!((full.engine.as_str(), full.policy.as_str()), ("postgres 15.18", "nightly"));
    assert_eq!((full.session.as_str(), full.snapshot_id.as_str()), ("ses-1", "haulier-0123"));
    assert_eq!((full.login.clone(), full.domain.as_str()), (Some(Login::MasterSecret), "dom-db-shop"));
    assert_eq!(full.consistent_at, Some("2026-11-20T09:59:00Z".parse().unwrap()));
    assert_eq!(full.published_at, "2026-11-20T10:00:00Z".parse().unwrap());
    assert_eq!(full.summary["remarks"][0], "a remark");
    assert!(full.summary["totals"]["bytes_stored"].as_u64() > Some(0), "{}", full.summary);
    assert_eq!(of("pnt-3").login, Some(Login::Iam("app".into())));
    // What an old point does not say stays unknown.
    let bare = of("pnt-2");
    assert_eq!((bare.account.as_str(), bare.resource.as_str(), bare.login.clone()), ("", "", None));
    assert_eq!(bare.engine, "postgres 15.17");

    let state = scene.sessions().state();
    assert_eq!(state.latest_proof(&proof.point).await.unwrap(), Some(proof));
    let domains: Vec<String> = state.domains("main").await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(domains, ["dom-db-crm", "dom-db-shop"]);
    // The next backup of the instance goes to the domain of its points.
    let other: DomainId = "dom-other".parse().unwrap();
    assert_eq!(state.domain("main", "db-SHOP", &other).await.unwrap().as_str(), "dom-db-shop");

    // Again, now by name alone: nothing is changed, and nothing is there twice.
    let again = import(&scene, by_name()).await;
    assert_eq!(again.counts(), (0, 3, 0, 0, 0));
    assert_eq!(catalogue(&scene).await, points);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_imported_point_does_not_say_is_asked_for() {
    let lost = Scene::with_repository(&["shop"]).await;
    publish(&lost, "dom-1", "pnt-1", PointLabels { login: None, ..labels("shop") }).await;
    publish(&lost, "dom-1", "pnt-2", PointLabels::default()).await;
    let scene = Scene::start_in(lost.world.clone()).await;
    import(&scene, repository("main")).await;
    let restore = |point: &str| wire::RestoreDatabaseRequest { point_id: point.to_owned(), ..Default::default() };
    let (code, failure) = refused(scene.client().restore_database(restore("pnt-1")).await);
    assert_eq!((code, failure.code.as_str()), (Code::FailedPrecondition, "restore-login-unknown"));
    let (_, failure) = refused(
        scene.client().check_point(wire::CheckPointRequest { id: "pnt-2".to_owned(), ..Default::default() }).await,
    );
    assert_eq!(failure.code, "point-origin-unknown");
    let check = wire::CheckPointRequest { id: "pnt-1".to_owned(), ..Default::default() };
    scene.client().check_point(check).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_and_holds_nothing_up() {
    let lost = Scene::with_repository(&["shop"]).await;
    for point in ["pnt-1", "pnt-2", "pnt-3"] {
        publish(&lost, "dom-1", point, labels("shop")).await;
    }
    publish(&lost, "dom-2", "pnt-4", labels("shop")).await;
    prove(&lost, "dom-1", "pnt-3").await;
    let bucket = &lost.world.bucket;
    let damaged = object(&lost, "/points/pnt-2");
    let whole = bucket.get(&damaged).await.unwrap();
    bucket.overwrite(&damaged, vec![1; 500]);
    bucket.overwrite(&object(&lost, "/pnt-3/ses-proof"), vec![1; 500]);
    let strange = object(&lost, "/points/pnt-1").replace("pnt-1", "README.txt");
    bucket.overwrite(&strange, "hello");
    bucket.overwrite(&object(&lost, "/dom-2/key"), "not a key");
    bucket.overwrite("prod/domains/dom-3/packs/aa/bb", "left over");

    let scene = Scene::start_in(lost.world.clone()).await;
    let told = import(&scene, repository("main")).await;
    assert_eq!(told.counts(), (2, 0, 0, 0, 5));
    let missed: Vec<_> = told
        .missed
        .iter()
        .map(|(domain, object, failure)| (domain.as_str(), object.as_str(), failure.code.as_str()))
        .collect();
    assert_eq!(
        missed,
        [
            ("dom-1", strange.as_str(), "repository-damaged"),
            ("dom-1", "pnt-2", "repository-damaged"),
            ("dom-1", "pnt-3", "repository-damaged"),
            ("dom-2", "", "repository-damaged"),
            ("dom-3", "", "domain-without-key"),
        ],
        "{:#?}",
        told.missed
    );
    let ids: Vec<String> = catalogue(&scene).await.iter().map(|point| point.id.to_string()).collect();
    assert_eq!(ids, ["pnt-3", "pnt-1"]);
    // Once the point is whole again it is imported, and the others are left as they are.
    bucket.overwrite(&damaged, whole);
    assert_eq!(import(&scene, by_name()).await.counts(), (1, 2, 0, 0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_a_session_is_publishing_is_left_to_it() {
    let scene = Scene::with_repository(&["shop"]).await;
    publish(&scene, "dom-1", "pnt-1", labels("shop")).await;
    publish(&scene, "dom-1", "pnt-2", labels("shop")).await;
    let point: PointId = "pnt-1".parse().unwrap();
    let state = scene.sessions().state();
    let id = state.create_session(&backup_of(&point, "ses-live")).await.unwrap();
    assert_eq!(import(&scene, by_name()).await.counts(), (1, 0, 1, 0, 0));
    assert!(state.point(&point).await.is_err());
    // A session that has ended publishes nothing any more.
    state.begin_teardown(&id, &Err(Stop::Cancelled)).await.unwrap();
    state.end_session(&id).await.unwrap();
    assert_eq!(import(&scene, by_name()).await.counts(), (1, 1, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_its_session_left_unpublished_is_named_and_not_taken_for_one() {
    let scene = Scene::with_repository(&["shop"]).await;
    publish(&scene, "dom-1", "pnt-1", labels("shop")).await;
    let point: PointId = "pnt-1".parse().unwrap();
    let state = scene.sessions().state();
    // The session that the point's root names.
    let id = state.create_session(&backup_of(&point, "ses-1")).await.unwrap();
    state.begin_teardown(&id, &Err(Stop::Cancelled)).await.unwrap();
    state.end_session(&id).await.unwrap();
    let told = import(&scene, by_name()).await;
    assert_eq!(told.counts(), (0, 0, 0, 0, 1));
    assert_eq!((told.missed[0].1.as_str(), told.missed[0].2.code.as_str()), ("pnt-1", "point-unpublished"));
    assert!(state.point(&point).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_makes_no_repository_and_takes_none_for_another() {
    let scene = Scene::with_repository(&["shop"]).await;
    publish(&scene, "dom-1", "pnt-1", labels("shop")).await;
    import(&scene, by_name()).await;
    let elsewhere = wire::CreateRepositoryRequest { prefix: "other".to_owned(), ..repository("second") };
    let before = scene.world.bucket.keys();
    let (code, failure) = refused(scene.client().import_repository(request(elsewhere.clone())).await);
    assert_eq!((code, failure.code.as_str()), (Code::NotFound, "repository-missing"));
    let taken = wire::CreateRepositoryRequest { name: "main".to_owned(), ..elsewhere };
    assert_eq!(refused(scene.client().import_repository(request(taken)).await).0, Code::AlreadyExists);
    let far = wire::CreateRepositoryRequest { bucket: "far-away".to_owned(), ..repository("far") };
    assert_eq!(refused(scene.client().import_repository(request(far)).await).1.code, "bucket-in-other-region");
    assert_eq!(scene.world.bucket.keys(), before);
    assert_eq!(scene.sessions().state().repositories().await.unwrap().len(), 1);
    // The same repository under a second name: its points are in the catalogue, under the first.
    let told = import(&scene, repository("second")).await;
    assert_eq!(told.counts(), (0, 0, 0, 0, 1));
    assert_eq!(told.missed[0].2.code, "point-elsewhere");
}

fn request(repository: wire::CreateRepositoryRequest) -> wire::ImportRepositoryRequest {
    wire::ImportRepositoryRequest { repository: Some(repository) }
}

fn backup_of(point: &PointId, session: &str) -> NewSession {
    let account = Account { id: OWN.to_owned(), role_arn: None, external_id: None };
    let place = Place { account, region: REGION.to_owned() };
    let request = BackupRequest {
        policy: None,
        instance: InstanceRef { place, id: "shop".to_owned() },
        repository: "main".to_owned(),
        login: Login::MasterSecret,
        databases: Vec::new(),
        snapshot: false,
        worker: WorkerConfiguration::default(),
        concurrency: 0,
        parallel_streams: 0,
        compression_level: 0,
        large_table_bytes: 0,
        split_table_bytes: 0,
        native: NativeOptions::default(),
    };
    NewSession {
        id: session.parse().unwrap(),
        kind: SessionKind::Backup,
        request: Request::Backup(request),
        workflow_version: "0".to_owned(),
        point: Some(point.clone()),
        idempotency_key: None,
    }
}
