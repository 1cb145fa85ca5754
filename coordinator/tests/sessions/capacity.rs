//! EC2 has no room for a worker: other instance types and other subnets are tried, each launch under a token of its own.

use std::collections::BTreeSet;

use haulier_cloud::compute::LaunchSpec;
use haulier_cloud::doubles::{Fault, Rule, SUBNET_IDS};
use haulier_coordinator::ledger::RowState;
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::SessionId;
use haulier_domain::session::SessionState;

use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{Running, Scene, backup_of, groups_of};

const NONE: &str = "InsufficientInstanceCapacity";
const TYPES: [&str; 2] = ["m7i.large", "m6i.large"];

fn backup(running: &Running) -> SessionId {
    let mut request = backup_of("orders");
    request.worker.instance_types = TYPES.map(str::to_owned).to_vec();
    let sessions = running.sessions.clone();
    running.run(async move { sessions.start_backup(request, None).await.unwrap() })
}

fn launched(scene: &Scene) -> Vec<(String, String)> {
    let launches = scene.access.memory.compute().launches().into_iter();
    launches.map(|(_, spec)| (spec.instance_type, spec.subnet_id)).collect()
}

/// Client tokens of every `RunInstances` call, in order.
fn tokens(scene: &Scene) -> Vec<String> {
    let calls = scene.access.faults.calls().into_iter();
    calls.filter(|call| call.operation == "RunInstances").map(|call| call.target).collect()
}

#[test]
fn the_next_type_then_the_next_zone_is_taken_and_each_launch_has_a_row_of_its_own() {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "orders");
    for instance_type in TYPES {
        scene.access.memory.compute().refuse_launches(instance_type, SUBNET_IDS[0], NONE, 1);
    }
    let running = scene.start();
    let id = backup(&running);
    running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(launched(&scene), [(TYPES[0].to_owned(), SUBNET_IDS[1].to_owned())]);
    let tokens = tokens(&scene);
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 3, "{tokens:?}");
    let (sessions, of) = (running.sessions.clone(), id.clone());
    let ledger = running.run(async move { sessions.ledger(Some(&of), false).await.unwrap() });
    let rows: Vec<_> = ledger.into_iter().filter(|row| row.resource.kind() == "ec2-instance").collect();
    assert_eq!(rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>(), tokens);
    assert!(rows.iter().all(|row| row.state == RowState::Removed), "{rows:#?}");
    assert_eq!(rows.iter().filter(|row| row.resource_id.is_some()).count(), 1, "{rows:#?}");
    assert_eq!(scene.leftovers(&[&id]), [""; 0]);
    assert_eq!(groups_of(&scene.access.memory, "orders"), before);
}

#[test]
fn a_full_subnet_is_left_for_another_and_a_type_that_is_not_offered_for_another() {
    for (code, want) in
        [("InsufficientFreeAddressesInSubnet", (TYPES[0], SUBNET_IDS[1])), ("Unsupported", (TYPES[1], SUBNET_IDS[0]))]
    {
        let scene = Scene::new(Script::Obedient);
        scene.access.memory.compute().refuse_launches(TYPES[0], SUBNET_IDS[0], code, 9);
        let running = scene.start();
        let id = backup(&running);
        running.assert_state(&id, SessionState::Succeeded);
        assert_eq!(launched(&scene), [(want.0.to_owned(), want.1.to_owned())], "{code}");
        assert_eq!(scene.leftovers(&[&id]), [""; 0], "{code}");
    }
}

#[test]
fn capacity_that_comes_back_is_taken_in_a_later_round() {
    let scene = Scene::new(Script::Obedient);
    for (instance_type, subnet) in TYPES.iter().flat_map(|it| SUBNET_IDS.map(|subnet| (*it, subnet))) {
        scene.access.memory.compute().refuse_launches(instance_type, subnet, NONE, 2);
    }
    let running = scene.start();
    let id = backup(&running);
    running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(launched(&scene), [(TYPES[0].to_owned(), SUBNET_IDS[0].to_owned())]);
    assert_eq!(tokens(&scene).len(), 9, "two rounds of four, then the first of the third");
}

#[test]
fn where_there_is_no_room_anywhere_the_session_says_what_it_tried() {
    let scene = Scene::new(Script::Obedient);
    for (instance_type, subnet) in TYPES.iter().flat_map(|it| SUBNET_IDS.map(|subnet| (*it, subnet))) {
        scene.access.memory.compute().refuse_launches(instance_type, subnet, NONE, u32::MAX);
    }
    let mut settings = scene.settings();
    settings.worker.launch_rounds = 3;
    let running = scene.start_with(settings, Observer::default().into());
    let id = backup(&running);
    let session = running.assert_state(&id, SessionState::Failed);
    let failure = session.failure().unwrap();
    assert_eq!((failure.code.as_str(), failure.retryable), ("worker-no-capacity", true));
    for part in TYPES.iter().chain(&SUBNET_IDS).chain(&["3 rounds"]) {
        assert!(failure.cause.contains(part), "{failure}");
    }
    assert_eq!(tokens(&scene).len(), 12);
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn a_quota_is_not_mistaken_for_a_want_of_room() {
    let scene = Scene::new(Script::Obedient);
    scene.access.memory.compute().refuse_launches(TYPES[0], SUBNET_IDS[0], "VcpuLimitExceeded", 1);
    let running = scene.start();
    let id = backup(&running);
    let session = running.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "cloud-exhausted");
    assert_eq!(tokens(&scene).len(), 1);
}

#[test]
fn a_crash_between_two_launches_leaves_one_worker() {
    for moment in [Moment::Done, Moment::Committed] {
        let scene = Scene::new(Script::Obedient);
        scene.access.memory.compute().refuse_launches(TYPES[0], SUBNET_IDS[0], NONE, 2);
        let (observer, frozen) = Observer::freezing("launch-worker", moment);
        let running = scene.start_with(scene.settings(), observer.into());
        let id = backup(&running);
        assert!(frozen.wait(), "{moment:?}");
        running.kill();
        let again = scene.start();
        again.assert_state(&id, SessionState::Succeeded);
        assert_eq!(launched(&scene), [(TYPES[1].to_owned(), SUBNET_IDS[0].to_owned())], "{moment:?}");
        assert_eq!(scene.leftovers(&[&id]), [""; 0], "{moment:?}");
    }
}

#[test]
fn an_answer_lost_after_the_second_launch_is_asked_for_with_the_same_token() {
    let scene = Scene::new(Script::Obedient);
    scene.access.memory.compute().refuse_launches(TYPES[0], SUBNET_IDS[0], NONE, 1);
    scene.access.faults.add(Rule::once("RunInstances", Fault::After).after_calls(1));
    let running = scene.start();
    let id = backup(&running);
    running.assert_state(&id, SessionState::Succeeded);
    let tokens = tokens(&scene);
    assert_eq!((tokens.len(), &tokens[1]), (3, &tokens[2]));
    let launches: Vec<LaunchSpec> = scene.access.memory.compute().launches().into_iter().map(|it| it.1).collect();
    assert_eq!(launches.len(), 1, "{launches:#?}");
    assert_eq!(scene.leftovers(&[&id]), [""; 0]);
}

#[test]
fn a_cancel_ends_the_wait_for_room() {
    let scene = Scene::new(Script::Obedient);
    for (instance_type, subnet) in TYPES.iter().flat_map(|it| SUBNET_IDS.map(|subnet| (*it, subnet))) {
        scene.access.memory.compute().refuse_launches(instance_type, subnet, NONE, u32::MAX);
    }
    let mut settings = scene.settings();
    settings.pace.capacity = std::time::Duration::from_secs(3600);
    let running = scene.start_with(settings, Observer::default().into());
    let id = backup(&running);
    running.until(&id, "its wait", |session| session.step == "wait-for-capacity");
    let (sessions, of) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.cancel(&of, "enough").await.unwrap() });
    running.assert_state(&id, SessionState::Cancelled);
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}
