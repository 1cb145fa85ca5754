//! What is refused at once, before a worker is booted for it, and what is told where it used to be passed over.

use haulier_coordinator::state::{DurableEvent, NewWorker};
use haulier_coordinator::workers::worker_id;
use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, SessionId};
use haulier_domain::session::{Completed, Stop};
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::RepositoryOutcome;
use haulier_proto::worker::v1 as worker;
use prost::Message as _;
use tonic::Code;

use crate::points::{restore, scene};
use crate::scene::{OTHER, REGION, Scene, policy, refused, repository};

fn shop() -> worker::DatabaseRestore {
    worker::DatabaseRestore { database: "shop".to_owned(), ..Default::default() }
}

fn of(database: worker::DatabaseRestore) -> wire::RestoreDatabaseRequest {
    wire::RestoreDatabaseRequest { databases: vec![database], ..restore() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_must_fail_boots_no_worker() {
    let scene = scene().await;
    scene.world.set_version("crm", "14.12");
    let to = |instance: &str| wire::RestoreDatabaseRequest { target_instance: instance.to_owned(), ..restore() };
    let replace = worker::DatabaseRestore {
        target_name: "postgres".to_owned(),
        on_clash: worker::OnClash::Replace.into(),
        ..shop()
    };
    for (request, want, part) in [
        (
            of(worker::DatabaseRestore { tables: vec!["items".to_owned()], ..shop() }),
            (Code::InvalidArgument, "restore-table-name"),
            "schema.table",
        ),
        (
            of(worker::DatabaseRestore { database: "sohp".to_owned(), ..shop() }),
            (Code::NotFound, "restore-database-unknown"),
            "\"shop\"",
        ),
        (of(replace), (Code::InvalidArgument, "restore-name-reserved"), "another target name"),
        (to("crm"), (Code::FailedPrecondition, "restore-into-older-major"), "PostgreSQL 15 or newer"),
        (to("gone"), (Code::NotFound, "db-not-found"), "haulier resource list"),
    ] {
        let plan = wire::PlanRestoreRequest { restore: Some(request.clone()) };
        let planned = refused(scene.client().plan_restore(plan).await);
        let (code, failure) = refused(scene.client().restore_database(request).await);
        assert_eq!((code, failure.code.as_str()), want, "{failure}");
        assert!(failure.remedy.contains(part), "{failure}");
        assert_eq!(planned, (code, failure), "a plan is refused alike");
    }
    let sessions = scene.client().list_sessions(wire::ListSessionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(sessions.sessions, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_be_restored_and_starts_nothing() {
    let scene = scene().await;
    let on_clash = worker::OnClash::Replace.into();
    let request = wire::RestoreDatabaseRequest { on_clash, idempotency_key: "k".to_owned(), ..restore() };
    let plan = wire::PlanRestoreRequest { restore: Some(request.clone()) };
    let plan = scene.client().plan_restore(plan).await.unwrap().into_inner();
    let (source, target) = ("shop".to_owned(), "shop".to_owned());
    assert_eq!(plan.databases, [wire::DatabaseTarget { source, target, on_clash, restored: false }]);
    assert_eq!(plan.target_instance, "shop");
    let sessions = scene.client().list_sessions(wire::ListSessionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(sessions.sessions, []);
    let started = scene.client().restore_database(request).await.unwrap().into_inner();
    assert_eq!((started.databases, started.repeated_call), (plan.databases, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_names_its_databases_as_asked_for_and_then_as_they_came_to_be_called() {
    let scene = scene().await;
    let suffix =
        worker::DatabaseRestore { target_name: "shop2".to_owned(), on_clash: worker::OnClash::Suffix.into(), ..shop() };
    let id = scene.client().restore_database(of(suffix)).await.unwrap().into_inner().session_id;
    let named = || async {
        let request = wire::GetSessionRequest { id: id.clone() };
        let session = scene.client().get_session(request).await.unwrap().into_inner().session.unwrap();
        let row = |one: wire::DatabaseTarget| (one.source, one.target, one.restored);
        session.databases.into_iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(named().await, [("shop".to_owned(), "shop2".to_owned(), false)]);
    reported(&scene, &id, "shop2", "shop2_restored_1").await;
    let outcome = Ok(Completed { warnings: Vec::new(), report: None });
    scene.sessions().state().begin_teardown(&id.parse().unwrap(), &outcome).await.unwrap();
    assert_eq!(named().await, [("shop".to_owned(), "shop2_restored_1".to_owned(), true)]);
}

/// A worker of the session reports the database as complete: one of a later epoch than any that it may come to by itself.
async fn reported(scene: &Scene, id: &str, target_name: &str, restored_as: &str) {
    let (state, session) = (scene.sessions().state(), id.parse::<SessionId>().unwrap());
    let (worker, token_sha256) = (worker_id(&session, Epoch(9)), "t".to_owned());
    let new = NewWorker { id: worker.clone(), session, epoch: Epoch(9), region: REGION.to_owned(), token_sha256 };
    state.create_worker(&new).await.unwrap();
    let part = worker::PartRestored {
        database: "shop".to_owned(),
        target_name: target_name.to_owned(),
        restored_as: restored_as.to_owned(),
        report: Vec::new(),
    };
    let event = DurableEvent::Other { kind: "part-restored", body: part.encode_to_vec() };
    assert_eq!(state.commit_event(&worker, 1, &event).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_failed_names_what_it_has_restored_all_the_same() {
    let scene = scene().await;
    let named = |target_name: &str| worker::DatabaseRestore { target_name: target_name.to_owned(), ..shop() };
    let suffix = worker::DatabaseRestore { on_clash: worker::OnClash::Suffix.into(), ..named("second") };
    let request = wire::RestoreDatabaseRequest { databases: vec![named("first"), suffix], ..restore() };
    let id = scene.client().restore_database(request).await.unwrap().into_inner().session_id;
    reported(&scene, &id, "second", "second_restored_1").await;
    let lost = Failure::new("worker-lost", "restoring", "its machine is gone", "restore the rest");
    scene.sessions().state().begin_teardown(&id.parse().unwrap(), &Err(Stop::Failed(lost))).await.unwrap();

    let answer = scene.client().get_session(wire::GetSessionRequest { id: id.clone() }).await.unwrap().into_inner();
    let listed = scene.client().list_sessions(wire::ListSessionsRequest::default()).await.unwrap().into_inner();
    for session in [answer.session.unwrap(), listed.sessions[0].clone()] {
        assert_eq!(session.failure.unwrap().code, "worker-lost");
        let rows: Vec<_> = session.databases.iter().map(|one| (one.target.as_str(), one.restored)).collect();
        assert_eq!(rows, [("first", false), ("second_restored_1", true)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_let_nobody_in_are_told_beside_what_was_found() {
    let scene = Scene::with_repository(&["shop"]).await;
    let list = || async { scene.client().list_resources(wire::ListResourcesRequest {}).await.unwrap().into_inner() };
    scene.apply(&policy("own", "{include: all}", "")).await;
    assert_eq!(list().await.missed, []);
    let accounts = format!("accounts:\n  - role_arn: arn:aws:iam::{OTHER}:role/haulier\n");
    scene.apply(&policy("other", "{include: all}", &accounts)).await;
    let listed = list().await;
    assert_eq!(listed.resources.len(), 1);
    let [missed] = listed.missed.as_slice() else { panic!("{:?}", listed.missed) };
    assert_eq!((missed.account.as_str(), missed.region.as_str()), (OTHER, REGION));
    let failure = missed.failure.clone().unwrap();
    assert!(failure.what.contains(OTHER) && failure.cause.contains("AssumeRole"), "{failure:?}");
    scene.client().delete_policy(wire::DeletePolicyRequest { name: "own".to_owned() }).await.unwrap();
    let alone = list().await;
    assert_eq!((alone.resources.len(), alone.missed.len()), (0, 1), "nothing found is told in the same way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_where_its_bucket_is() {
    let scene = Scene::start(&[]).await;
    let create = |request: wire::CreateRepositoryRequest| {
        let mut client = scene.client();
        async move { client.create_repository(request).await }
    };
    let at = |bucket: &str| wire::CreateRepositoryRequest { bucket: bucket.to_owned(), ..repository("x") };
    let (code, failure) = refused(create(at("far-away")).await);
    assert_eq!((code, failure.code.as_str()), (Code::FailedPrecondition, "bucket-in-other-region"));
    assert!(failure.cause.contains("us-west-2") && failure.cause.contains(REGION), "{failure}");
    assert!(failure.remedy.contains("--region us-west-2"), "{failure}");
    let (code, failure) = refused(create(at("nowhere")).await);
    assert_eq!((code, failure.code.as_str()), (Code::NotFound, "bucket-unknown"));

    let outcome = |answer: wire::CreateRepositoryResponse| (answer.outcome(), answer.repository.unwrap().id);
    let (made, id) = outcome(create(repository("main")).await.unwrap().into_inner());
    assert_eq!(made, RepositoryOutcome::Created);
    let again = outcome(create(repository("main")).await.unwrap().into_inner());
    assert_eq!(again, (RepositoryOutcome::Unchanged, id.clone()));
    let adopted = outcome(create(repository("second")).await.unwrap().into_inner());
    assert_eq!(adopted, (RepositoryOutcome::Adopted, id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_by_a_name_that_nothing_bears_is_refused() {
    let scene = scene().await;
    let mut client = scene.client();
    let sessions = |policy: &str, resource: &str| wire::ListSessionsRequest {
        policy: policy.to_owned(),
        resource: resource.to_owned(),
        ..Default::default()
    };
    let points = |resource: &str, repository: &str| wire::ListPointsRequest {
        resource: resource.to_owned(),
        repository: repository.to_owned(),
    };
    for (refusal, code) in [
        (refused(client.list_sessions(sessions("nihgtly", "")).await), "policy-unknown"),
        (refused(client.list_sessions(sessions("", "sohp")).await), "resource-unknown"),
        (refused(client.list_points(points("sohp", "")).await), "resource-unknown"),
        (refused(client.list_points(points("", "mian")).await), "repository-unknown"),
        (
            refused(
                client.list_ledger(wire::ListLedgerRequest { session_id: "ses-none".to_owned(), open: false }).await,
            ),
            "session-unknown",
        ),
    ] {
        assert_eq!((refusal.0, refusal.1.code.as_str()), (Code::NotFound, code), "{}", refusal.1);
    }
    // What is there and has nothing yet is an empty list.
    assert_eq!(client.list_sessions(sessions("nightly", "crm")).await.unwrap().into_inner().sessions, []);
    assert_eq!(client.list_points(points("crm", "main")).await.unwrap().into_inner().points, []);
    // So is what has been: the sessions of a policy outlive it.
    let id = scene.run("nightly", "").await.session_ids.remove(0);
    client.delete_policy(wire::DeletePolicyRequest { name: "nightly".to_owned() }).await.unwrap();
    let of_deleted = client.list_sessions(sessions("nightly", "")).await.unwrap().into_inner().sessions;
    assert_eq!(of_deleted[0].id, id);
    let request =
        wire::ListSessionsRequest { states: vec![wire::SessionState::Failed.into()], ..sessions("nightly", "") };
    assert_eq!(client.list_sessions(request).await.unwrap().into_inner().sessions, []);
}
