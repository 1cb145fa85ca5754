//! Policies through the service: stored, resolved, run.

use haulier_coordinator::sessions::Request;
use haulier_proto::control::v1 as wire;
use tonic::Code;

use crate::scene::{OTHER, OWN, REGION, Scene, policy, refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_with_faults_is_refused_as_a_whole() {
    let scene = Scene::start(&[]).await;
    let document = policy("nightly", "{include: all}", "concurrency: 0\nretention: 30\n");
    let request = wire::ApplyPolicyRequest { document: document.clone() };
    let answer = scene.client().apply_policy(request).await.unwrap().into_inner();
    let told: Vec<(u32, &str)> = answer.faults.iter().map(|fault| (fault.line, fault.field.as_str())).collect();
    assert_eq!(told, [(5, "repository"), (8, "concurrency"), (9, "retention")]);
    assert!(answer.faults[0].remedy.contains("haulier repository create"), "{:?}", answer.faults);
    let valid = scene.client().validate_policy(wire::ValidatePolicyRequest { document }).await.unwrap().into_inner();
    assert_eq!(valid.faults, answer.faults);
    let listed = scene.client().list_policies(wire::ListPoliciesRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.policies, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_stored_shown_as_written_replaced_and_removed() {
    let scene = Scene::with_repository(&[]).await;
    let document = policy("nightly", "{include: all}", "schedule: {cron: 0 3 * * *, time_zone: Europe/Berlin} # why\n");
    let applied = scene.apply(&document).await;
    assert_eq!((applied.name.as_str(), applied.created), ("nightly", true));
    assert!(!scene.apply(&document).await.created);
    let name = || "nightly".to_owned();
    let get = || async { scene.client().get_policy(wire::GetPolicyRequest { name: name() }).await };
    let stored = get().await.unwrap().into_inner().policy.unwrap();
    assert_eq!((stored.document, stored.schedule.as_str()), (document, "0 3 * * * Europe/Berlin"));
    assert!(stored.next_run.unwrap().seconds > stored.applied_at.unwrap().seconds);
    scene.client().delete_policy(wire::DeletePolicyRequest { name: name() }).await.unwrap();
    let (code, failure) = refused(get().await);
    assert_eq!((code, failure.code.as_str()), (Code::NotFound, "policy-unknown"));
    let (code, _) = refused(scene.client().delete_policy(wire::DeletePolicyRequest { name: name() }).await);
    assert_eq!(code, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_starts_a_session_for_each_resource_and_nothing_twice() {
    let scene = Scene::with_repository(&["shop", "crm", "scratch", "vip"]).await;
    scene.apply(&policy("all", "{include: all, exclude: [{ids: [scratch]}]}", "databases: [a]\n")).await;
    scene.apply(&policy("vip", "{include: [{ids: [vip, gone]}]}", "priority: 200\n")).await;
    let first = scene.run("all", "k-1").await;
    assert_eq!(first.session_ids.len(), 2);
    assert_eq!(first.skipped, ["vip: belongs to policy vip of priority 200"]);
    assert_eq!(scene.run("all", "k-1").await, wire::RunPolicyResponse { repeated_call: true, ..first.clone() });
    let other = scene.run("all", "k-2").await;
    assert!(other.session_ids.iter().all(|id| !first.session_ids.contains(id)));
    let vip = scene.run("vip", "").await;
    assert_eq!(vip.skipped, ["gone: there is no such DB instance in the policy's accounts and Regions"]);
    let filter = wire::ListSessionsRequest { policy: "all".to_owned(), ..Default::default() };
    let listed = scene.client().list_sessions(filter).await.unwrap().into_inner();
    assert_eq!(listed.sessions.len(), 4);
    assert!(listed.sessions.iter().all(|session| session.policy == "all" && session.point_id.is_empty()));
    let id = first.session_ids[0].parse().unwrap();
    let request = scene.sessions().get(&id).await.unwrap().request;
    assert!(matches!(request, Request::Backup(backup) if backup.databases == ["a"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_lets_nobody_in_does_not_hold_up_the_others() {
    let scene = Scene::with_repository(&["shop"]).await;
    let accounts = format!("accounts:\n  - id: \"{OWN}\"\n  - role_arn: arn:aws:iam::{OTHER}:role/haulier\n");
    scene.apply(&policy("both", "{include: all}", &accounts)).await;
    let run = scene.run("both", "").await;
    assert_eq!(run.session_ids.len(), 1);
    assert!(run.skipped[0].contains(&format!("account {OTHER} in {REGION}: AssumeRole")), "{:?}", run.skipped);
    let alone = format!("accounts:\n  - role_arn: arn:aws:iam::{OTHER}:role/haulier\n");
    scene.apply(&policy("alone", "{include: all}", &alone)).await;
    let request = wire::RunPolicyRequest { name: "alone".to_owned(), idempotency_key: String::new() };
    let (code, failure) = refused(scene.client().run_policy(request).await);
    assert_eq!((code, failure.code.as_str()), (Code::FailedPrecondition, "cloud-role-refused"));
    assert!(failure.remedy.contains(&format!("role arn:aws:iam::{OTHER}:role/haulier")), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_listed_with_their_policy() {
    let scene = Scene::with_repository(&["shop", "crm"]).await;
    scene.world.add(OTHER, REGION, &["shop"]);
    let list = || async {
        let answer = scene.client().list_resources(wire::ListResourcesRequest {}).await.unwrap().into_inner();
        let row = |resource: wire::Resource| (resource.account, resource.id, resource.policy);
        answer.resources.into_iter().map(row).collect::<Vec<_>>()
    };
    let row = |account: &str, id: &str, policy: &str| (account.to_owned(), id.to_owned(), policy.to_owned());
    assert_eq!(list().await, [row(OWN, "crm", ""), row(OWN, "shop", "")]);
    scene.apply(&policy("own", "{include: [{ids: [shop]}]}", "")).await;
    let accounts = format!("accounts:\n  - role_arn: arn:aws:iam::{OTHER}:role/haulier\n");
    scene.apply(&policy("other", "{include: all}", &accounts)).await;
    assert_eq!(list().await, [row(OWN, "crm", ""), row(OWN, "shop", "own"), row(OTHER, "shop", "other")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_says_of_its_transfers_is_what_its_sessions_are_asked() {
    let scene = Scene::with_repository(&["shop"]).await;
    let transfer = "transfer:\n  parallel_streams: 3\n  large_table_bytes: 2097152\n  split_table_bytes: 4194304\n  compression_level: 9\n";
    for (name, more, want) in
        [("said", transfer, (3, 2 << 20, 4 << 20, 9)), ("unsaid", "priority: 900\n", (0, 0, 0, 0))]
    {
        scene.apply(&policy(name, "{include: all}", more)).await;
        let id = scene.run(name, "").await.session_ids[0].parse().unwrap();
        let Request::Backup(asked) = scene.sessions().get(&id).await.unwrap().request else { panic!("not a backup") };
        let told = (asked.parallel_streams, asked.large_table_bytes, asked.split_table_bytes, asked.compression_level);
        assert_eq!(told, want, "{name}");
    }
    let wrong = policy("nightly", "{include: all}", "transfer: {parallel_streams: many, level: 3}\n");
    let request = wire::ValidatePolicyRequest { document: wrong };
    let faults = scene.client().validate_policy(request).await.unwrap().into_inner().faults;
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["transfer.parallel_streams", "transfer.level"]);
}
