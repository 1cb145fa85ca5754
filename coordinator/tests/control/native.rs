//! Points and sessions of SQL Server through the service: what a point stands on, what a restore of it may ask for, and what is
//! shown of the tasks that RDS carries out.

use haulier_coordinator::repositories::copy_id;
use haulier_coordinator::sessions::{PreparedBucket, Request};
use haulier_coordinator::state::Point;
use haulier_domain::id::SessionId;
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_proto::control::v1 as wire;
use haulier_proto::worker::v1 as worker;
use haulier_proto::worker::v1::database_login::Method;
use tonic::Code;

use crate::points::{POINT, restore, scene};
use crate::scene::{Scene, policy, refused, repository};

const FULL: &str = "pnt-full";
const DIFFERENTIAL: &str = "pnt-differential";

/// A scene with an instance `erp`, a full point of it, and a differential one.
async fn native() -> Scene {
    let scene = scene().await;
    scene.world.add_sql_server("erp");
    let more = "sqlserver: {temporary_buckets: [{region: eu-central-1, bucket: prepared, prefix: in}]}\n";
    scene.apply(&policy("native", "{include: [{ids: [erp]}]}", more)).await;
    let dump = scene.sessions().point(&POINT.parse().unwrap()).await.unwrap();
    let full = Point {
        id: FULL.parse().unwrap(),
        policy: "native".to_owned(),
        resource: "erp".to_owned(),
        engine: "sqlserver-se 15.00.4430.1.v1".to_owned(),
        ..dump
    };
    let differential = Point { id: DIFFERENTIAL.parse().unwrap(), full_point: Some(full.id.clone()), ..full.clone() };
    for point in [full, differential] {
        scene.sessions().state().add_point(&point).await.unwrap();
    }
    scene
}

fn of(point: &str, target: &str) -> wire::RestoreDatabaseRequest {
    wire::RestoreDatabaseRequest { point_id: point.to_owned(), target_instance: target.to_owned(), ..restore() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_differential_point_names_the_point_it_stands_on() {
    let scene = native().await;
    for (point, full) in [(FULL, ""), (DIFFERENTIAL, FULL)] {
        let request = wire::GetPointRequest { id: point.to_owned() };
        let shown = scene.client().get_point(request).await.unwrap().into_inner().point.unwrap();
        assert_eq!((shown.full_point_id.as_str(), shown.engine.starts_with("sqlserver-se")), (full, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_passes_through_the_bucket_that_the_policy_has_prepared() {
    let scene = native().await;
    let mut request = of(DIFFERENTIAL, "");
    let database = |target: &str| worker::DatabaseRestore {
        database: "shop".to_owned(),
        target_name: target.to_owned(),
        ..Default::default()
    };
    request.native = Some(worker::NativeRestoreOptions { keep_cdc: true, ..Default::default() });
    request.databases =
        vec![database("Copy of a shop with a name that is longer than PostgreSQL would take, by a few")];
    let started = scene.client().restore_database(request).await.unwrap().into_inner();
    let id: SessionId = started.session_id.parse().unwrap();
    let Request::DatabaseRestore(asked) = scene.sessions().get(&id).await.unwrap().request else {
        panic!("no restore")
    };
    assert_eq!(asked.bucket, Some(PreparedBucket { bucket: "prepared".into(), prefix: "in".into() }));
    assert_eq!(asked.target.id, "erp");
    assert_eq!(asked.native, RestoreOptions { keep_cdc: true, ..RestoreOptions::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sql_server_cannot_do_is_refused_at_once() {
    let scene = native().await;
    let tables = worker::DatabaseRestore {
        database: "shop".to_owned(),
        tables: vec!["dbo.items".to_owned()],
        ..Default::default()
    };
    let login = worker::DatabaseLogin { method: Some(Method::IamUser("app".to_owned())) };
    let options =
        |volume: &str| Some(worker::NativeRestoreOptions { data_file_volume: volume.to_owned(), ..Default::default() });
    for (request, want) in [
        (wire::RestoreDatabaseRequest { databases: vec![tables], ..of(FULL, "") }, "restore-part-unsupported"),
        (wire::RestoreDatabaseRequest { login: Some(login), ..of(FULL, "") }, "request-invalid"),
        (of(FULL, "shop"), "restore-into-other-engine"),
        (of(POINT, "erp"), "restore-into-other-engine"),
        (wire::RestoreDatabaseRequest { native: options("C:"), ..of(FULL, "") }, "request-invalid"),
        (wire::RestoreDatabaseRequest { native: options("H:"), ..of(FULL, "") }, "restore-volume-missing"),
        (wire::RestoreDatabaseRequest { native: options("H:"), ..of(POINT, "shop") }, "restore-option-unsupported"),
    ] {
        let (_, failure) = refused(scene.client().restore_database(request).await);
        assert_eq!(failure.code, want, "{failure}");
    }
    let verify = wire::VerifyPointRequest { id: FULL.to_owned(), ..Default::default() };
    let (code, failure) = refused(scene.client().verify_point(verify).await);
    assert_eq!((code, failure.code.as_str()), (Code::FailedPrecondition, "verify-engine-unsupported"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_differential_point_is_copied_once_its_full_point_is() {
    let scene = native().await;
    let vault = wire::CreateRepositoryRequest { prefix: "far".to_owned(), ..repository("vault") };
    scene.client().create_repository(vault).await.unwrap();
    let request = |key: &str| wire::CopyPointRequest {
        id: DIFFERENTIAL.to_owned(),
        repository: "vault".to_owned(),
        idempotency_key: key.to_owned(),
    };
    let (_, failure) = refused(scene.client().copy_point(request("a")).await);
    assert_eq!(failure.code, "copy-without-full");
    assert!(failure.remedy.contains(FULL), "{failure}");
    let state = scene.sessions().state();
    let (main, vault) = (state.repository("main").await.unwrap(), state.repository("vault").await.unwrap());
    let full = scene.sessions().point(&FULL.parse().unwrap()).await.unwrap();
    let copied = Point { id: copy_id(&full.id, &main.id, &vault.id), repository: "vault".to_owned(), ..full };
    state.add_point(&copied).await.unwrap();
    let started = scene.client().copy_point(request("b")).await.unwrap().into_inner();
    assert!(!started.session_id.is_empty() && !started.already_copied);
}
