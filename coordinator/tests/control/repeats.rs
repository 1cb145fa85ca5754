//! Requests that are sent again, and keys that are used twice.

use haulier_proto::control::v1 as wire;
use haulier_proto::worker::v1 as worker;
use tonic::Code;

use crate::points::{POINT, restore, scene};
use crate::scene::{OWN, REGION, Scene, policy, refused};

fn run(name: &str, key: &str) -> wire::RunPolicyRequest {
    wire::RunPolicyRequest { name: name.to_owned(), idempotency_key: key.to_owned() }
}

fn check(full: bool, key: &str) -> wire::CheckPointRequest {
    wire::CheckPointRequest { id: POINT.to_owned(), full, idempotency_key: key.to_owned(), sample_percent: 0 }
}

fn restore_as(name: &str, key: &str) -> wire::RestoreDatabaseRequest {
    let shop =
        worker::DatabaseRestore { database: "shop".to_owned(), target_name: name.to_owned(), ..Default::default() };
    wire::RestoreDatabaseRequest { databases: vec![shop], idempotency_key: key.to_owned(), ..restore() }
}

async fn count(scene: &Scene) -> usize {
    scene.client().list_sessions(wire::ListSessionsRequest::default()).await.unwrap().into_inner().sessions.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_request_is_refused_and_the_same_request_is_answered_alike() {
    let scene = scene().await;
    let mut client = scene.client();
    scene.apply(&policy("other", "{include: [{ids: [crm]}]}", "")).await;

    let ran = client.run_policy(run("nightly", "r")).await.unwrap().into_inner();
    assert!(!ran.repeated_call && ran.session_ids.len() == 1);
    let again = client.run_policy(run("nightly", "r")).await.unwrap().into_inner();
    assert_eq!(again, wire::RunPolicyResponse { repeated_call: true, ..ran.clone() });

    let restored = client.restore_database(restore_as("a", "k")).await.unwrap().into_inner();
    assert!(!restored.repeated_call);
    let again = client.restore_database(restore_as("a", "k")).await.unwrap().into_inner();
    assert_eq!(again, wire::RestoreDatabaseResponse { repeated_call: true, ..restored.clone() });

    let checked = client.check_point(check(false, "c")).await.unwrap().into_inner();
    let again = client.check_point(check(false, "c")).await.unwrap().into_inner();
    assert_eq!((again.repeated_call, again.session_id), (true, checked.session_id));

    let before = count(&scene).await;
    for refusal in [
        refused(client.run_policy(run("other", "r")).await),
        refused(client.run_policy(run("nightly", "k")).await),
        refused(client.check_point(check(true, "c")).await),
        refused(client.check_point(check(false, "k")).await),
        refused(client.restore_database(restore_as("b", "k")).await),
        refused(client.restore_database(restore_as("a", "c")).await),
    ] {
        let (code, failure) = refusal;
        assert_eq!((code, failure.code.as_str()), (Code::AlreadyExists, "idempotency-key-reused"), "{failure}");
        assert!(failure.cause.contains(", which started ses-") && !failure.remedy.is_empty(), "{failure}");
    }
    assert_eq!(count(&scene).await, before, "a refusal starts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_run_starts_nothing_for_what_has_come_since() {
    let scene = Scene::with_repository(&["shop"]).await;
    scene.apply(&policy("all", "{include: all}", "")).await;
    let first = scene.run("all", "k").await;
    scene.world.add(OWN, REGION, &["crm"]);
    assert_eq!(scene.run("all", "k").await.session_ids, first.session_ids);
    assert_eq!(scene.run("all", "k2").await.session_ids.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_does_not_use_its_key_up() {
    let scene = scene().await;
    let mut client = scene.client();
    assert_eq!(refused(client.restore_database(restore_as("rdsadmin", "k")).await).1.code, "restore-name-reserved");
    let mended = client.restore_database(restore_as("shop2", "k")).await.unwrap().into_inner();
    assert!(!mended.repeated_call && !mended.session_id.is_empty());
}
