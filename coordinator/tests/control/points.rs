//! Restore points through the service: shown, restored, checked.

use haulier_coordinator::sessions::{Login, OnClash, Request};
use haulier_coordinator::state::Point;
use haulier_domain::id::{PointId, SessionId};
use haulier_proto::control::v1 as wire;
use haulier_proto::worker::v1 as worker;
use haulier_proto::worker::v1::database_login::Method;
use serde_json::json;
use tonic::Code;

use crate::scene::{OWN, REGION, Scene, policy, refused, repository};

pub(crate) const POINT: &str = "pnt-1";

pub(crate) async fn scene() -> Scene {
    let scene = Scene::with_repository(&["shop", "crm"]).await;
    let more = "worker: {instance_type: c7i.xlarge}\n";
    scene.apply(&policy("nightly", "{include: [{ids: [shop]}]}", more)).await;
    let summary = json!({
        "databases": [{"name": "shop", "consistent-at": "2026-11-20T03:00:01Z", "bytes": 100, "tables": 7}],
        "remarks": ["databases are not consistent with each other"],
        "server-version": "15.18", "bytes-read": 100, "roles": 3,
        "totals": {"bytes_read": 100, "bytes_new": 50, "bytes_stored": 20},
    });
    let point = Point {
        id: POINT.parse().unwrap(),
        repository: "main".to_owned(),
        domain: "dom-1".parse().unwrap(),
        session: "ses-1".parse().unwrap(),
        policy: "nightly".to_owned(),
        account: OWN.to_owned(),
        region: REGION.to_owned(),
        resource: "shop".to_owned(),
        engine: "postgres 15.18".to_owned(),
        login: Some(Login::MasterSecret),
        copy_of: None,
        full_point: None,
        snapshot_id: "haulier-1".to_owned(),
        summary,
        consistent_at: "2026-11-20T03:00:01Z".parse().ok(),
        published_at: "2026-11-20T03:05:00Z".parse().unwrap(),
        locked_until: None,
    };
    scene.sessions().state().add_point(&point).await.unwrap();
    scene
}

async fn request_of(scene: &Scene, id: &str) -> Request {
    let id: SessionId = id.parse().unwrap();
    scene.sessions().get(&id).await.unwrap().request
}

pub(crate) fn restore() -> wire::RestoreDatabaseRequest {
    wire::RestoreDatabaseRequest { point_id: POINT.to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_shown_with_its_databases_and_figures() {
    let scene = scene().await;
    let request = wire::GetPointRequest { id: POINT.to_owned() };
    let point = scene.client().get_point(request).await.unwrap().into_inner().point.unwrap();
    assert_eq!((point.bytes_read, point.bytes_new, point.bytes_stored), (100, 50, 20));
    assert_eq!((point.databases[0].name.as_str(), point.databases[0].tables), ("shop", 7));
    assert_eq!(point.remarks.len(), 1);
    let list = |resource: &str, repository: &str| {
        let (resource, repository) = (resource.to_owned(), repository.to_owned());
        let mut client = scene.client();
        async move {
            let request = wire::ListPointsRequest { resource, repository };
            client.list_points(request).await.unwrap().into_inner().points.len()
        }
    };
    assert_eq!((list("", "").await, list("crm", "").await, list("shop", "main").await), (1, 0, 1));
    let resources = scene.client().list_resources(wire::ListResourcesRequest {}).await.unwrap().into_inner().resources;
    let last: Vec<_> = resources.iter().map(|r| (r.id.as_str(), r.last_point_id.as_str())).collect();
    assert_eq!(last, [("crm", ""), ("shop", POINT)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_by_default_where_the_point_came_from() {
    let scene = scene().await;
    let started = scene.client().restore_database(restore()).await.unwrap().into_inner();
    let Request::DatabaseRestore(request) = request_of(&scene, &started.session_id).await else { panic!() };
    assert_eq!((request.target.id.as_str(), request.target.place.region.as_str()), ("shop", REGION));
    assert_eq!(request.login, Login::MasterSecret);
    assert_eq!(request.worker.instance_types, ["c7i.xlarge"]);
    assert!(request.roles);
    let names: Vec<_> = request.databases.iter().map(|database| database.database.as_str()).collect();
    assert_eq!(names, ["shop"], "no name means every database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_where_it_is_asked_to_and_only_once() {
    let scene = scene().await;
    let wanted = worker::DatabaseRestore {
        database: "shop".to_owned(),
        target_name: "shop2".to_owned(),
        on_clash: worker::OnClash::Suffix.into(),
        schemas: vec!["public".to_owned()],
        tables: Vec::new(),
    };
    let request = wire::RestoreDatabaseRequest {
        target_instance: "crm".to_owned(),
        databases: vec![wanted],
        without_roles: true,
        login: Some(worker::DatabaseLogin { method: Some(Method::IamUser("app".to_owned())) }),
        idempotency_key: "k".to_owned(),
        ..restore()
    };
    let started = scene.client().restore_database(request.clone()).await.unwrap().into_inner();
    let again = scene.client().restore_database(request).await.unwrap().into_inner();
    assert_eq!(again, wire::RestoreDatabaseResponse { repeated_call: true, ..started.clone() });
    let Request::DatabaseRestore(request) = request_of(&scene, &started.session_id).await else { panic!() };
    assert_eq!((request.target.id.as_str(), request.login), ("crm", Login::Iam("app".to_owned())));
    assert_eq!((request.databases[0].target_name.as_str(), request.databases[0].on_clash), ("shop2", OnClash::Suffix));
    assert!(!request.roles);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_cannot_be_meant_is_refused() {
    let scene = scene().await;
    let named = |database: &str, target: &str| worker::DatabaseRestore {
        database: database.to_owned(),
        target_name: target.to_owned(),
        ..Default::default()
    };
    let login = Some(worker::DatabaseLogin { method: Some(Method::SecretArn("hunter2".to_owned())) });
    for (request, code) in [
        (wire::RestoreDatabaseRequest { point_id: "pnt-2".to_owned(), ..restore() }, Code::NotFound),
        (wire::RestoreDatabaseRequest { point_id: "shop".to_owned(), ..restore() }, Code::NotFound),
        (wire::RestoreDatabaseRequest { databases: vec![named("crm", "")], ..restore() }, Code::NotFound),
        (
            wire::RestoreDatabaseRequest { databases: vec![named("shop", "rdsadmin")], ..restore() },
            Code::InvalidArgument,
        ),
        (wire::RestoreDatabaseRequest { login, ..restore() }, Code::InvalidArgument),
    ] {
        assert_eq!(refused(scene.client().restore_database(request.clone()).await).0, code, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_runs_next_to_the_points_instance_even_without_its_policy() {
    let scene = scene().await;
    scene.client().delete_policy(wire::DeletePolicyRequest { name: "nightly".to_owned() }).await.unwrap();
    let request = wire::CheckPointRequest { id: POINT.to_owned(), full: true, ..Default::default() };
    let started = scene.client().check_point(request).await.unwrap().into_inner();
    let Request::Verify(request) = request_of(&scene, &started.session_id).await else { panic!() };
    let point: PointId = POINT.parse().unwrap();
    assert_eq!((request.point, request.near.id.as_str(), request.full), (point, "shop", true));
    assert_eq!(request.worker.instance_types, [""; 0]);
    let sampled =
        |sample_percent| wire::CheckPointRequest { id: POINT.to_owned(), sample_percent, ..Default::default() };
    let started = scene.client().check_point(sampled(5)).await.unwrap().into_inner();
    let Request::Verify(request) = request_of(&scene, &started.session_id).await else { panic!() };
    assert_eq!((request.full, request.sample_percent, request.restore), (false, 5, false));
    assert_eq!(refused(scene.client().check_point(sampled(101)).await).0, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_is_a_session_for_each_domain_next_to_its_instance() {
    let scene = scene().await;
    let request =
        wire::PruneRepositoryRequest { name: "main".to_owned(), dry_run: true, idempotency_key: "k".to_owned() };
    let started = scene.client().prune_repository(request.clone()).await.unwrap().into_inner();
    assert_eq!((started.session_ids.len(), started.skipped.len(), started.repeated_call), (1, 0, false));
    let Request::Maintenance(asked) = request_of(&scene, &started.session_ids[0]).await else { panic!() };
    assert_eq!((asked.domain.as_str(), asked.near.id.as_str(), asked.dry_run), ("dom-1", "shop", true));
    let again = scene.client().prune_repository(request.clone()).await.unwrap().into_inner();
    assert_eq!((again.session_ids, again.repeated_call), (started.session_ids, true));
    let other = wire::PruneRepositoryRequest { dry_run: false, ..request.clone() };
    assert_eq!(refused(scene.client().prune_repository(other).await).0, Code::AlreadyExists);
    let unknown = wire::PruneRepositoryRequest { name: "none".to_owned(), idempotency_key: String::new(), ..request };
    assert_eq!(refused(scene.client().prune_repository(unknown).await).0, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_without_any_instance_is_skipped_with_its_reason() {
    let scene = scene().await;
    let point: PointId = POINT.parse().unwrap();
    let mut point = scene.sessions().point(&point).await.unwrap();
    point.id = "pnt-2".parse().unwrap();
    point.repository = "lost".to_owned();
    point.resource = "gone".to_owned();
    let lost = wire::CreateRepositoryRequest { prefix: "lost".to_owned(), ..repository("lost") };
    scene.client().create_repository(lost).await.unwrap();
    scene.sessions().state().add_point(&point).await.unwrap();
    let request = wire::PruneRepositoryRequest { name: "lost".to_owned(), ..Default::default() };
    let started = scene.client().prune_repository(request).await.unwrap().into_inner();
    assert!(started.session_ids.is_empty());
    assert!(started.skipped[0].starts_with("dom-1: no instance"), "{:?}", started.skipped);
}
