//! Many sessions: turns on one instance, slots of a policy, cancels, a crowd.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use haulier_cloud::doubles::{Fault, MemoryDatabases, Rule};
use haulier_coordinator::sessions::{TailEvent, VerifyRequest};
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::SessionId;
use haulier_domain::session::SessionState;

use crate::support::observer::Observer;
use crate::support::prepared::prepared;
use crate::support::worker::Script;
use crate::support::{Running, Scene, backup_of, groups_of, instance, steps};

#[test]
fn sessions_on_one_instance_take_turns_in_order() {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "orders");
    let running = scene.start();
    let ids: Vec<_> = (0..4).map(|_| running.backup("orders")).collect();
    let sessions: Vec<_> = ids.iter().map(|id| running.assert_state(id, SessionState::Succeeded)).collect();
    for pair in sessions.windows(2) {
        assert!(pair[0].ended_at <= pair[1].started_at, "{pair:#?}");
    }
    assert_eq!(scene.leftovers(&ids.iter().collect::<Vec<_>>()), [""; 0]);
    assert_eq!(groups_of(&scene.access.memory, "orders"), before);
}

#[test]
fn a_policy_uses_no_more_workers_than_it_may() {
    let scene = Scene::new(Script::Endless);
    let running = scene.start();
    let start = |id: &str| {
        let mut request = backup_of(id);
        request.concurrency = 1;
        let sessions = running.sessions.clone();
        running.run(async move { sessions.start_backup(request, None).await.unwrap() })
    };
    let (first, second) = (start("orders"), start("billing"));
    running.until(&first, "transfer", |session| session.step == "transfer");
    assert_eq!(running.until(&second, "row", |_| true).state, SessionState::Queued);
    for id in [&first, &second] {
        let (sessions, id) = (running.sessions.clone(), id.clone());
        running.run(async move { sessions.cancel(&id, "enough").await.unwrap() });
    }
    running.assert_state(&first, SessionState::Cancelled);
    running.assert_state(&second, SessionState::Cancelled);
    assert_eq!(scene.access.memory.compute().launches().len(), 1);
}

#[test]
fn a_cancel_at_any_step_tears_down() {
    for (step, moment) in moments_of_cancels(&steps::backup()) {
        let scene = Scene::new(Script::Endless);
        let before = groups_of(&scene.access.memory, "orders");
        let (observer, frozen) = Observer::freezing(step, moment);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let id = running.backup("orders");
        assert!(frozen.wait(), "{moment:?} of {step}");
        cancel(&running, &id);
        frozen.release();
        running.assert_state(&id, SessionState::Cancelled);
        assert_eq!(scene.leftovers(&[]), [""; 0], "{moment:?} of {step}");
        assert_eq!(groups_of(&scene.access.memory, "orders"), before, "{moment:?} of {step}");
    }
}

/// Before and after each step up to the transfer, but not after that: a worker that works without an end has none.
fn moments_of_cancels(steps: &[&'static str]) -> Vec<(&'static str, Moment)> {
    let moments = |step| [Moment::Before, Moment::Done].map(|moment| (step, moment));
    let mut moments: Vec<_> = steps::up_to_transfer(steps).into_iter().flat_map(moments).collect();
    assert_eq!(moments.pop(), Some(("transfer", Moment::Done)));
    moments
}

#[test]
fn a_cancel_of_a_restore_at_any_step_tears_down() {
    let prepared = prepared(Script::Endless);
    for (step, moment) in moments_of_cancels(&steps::restore()) {
        let (observer, frozen) = Observer::freezing(step, moment);
        let running = prepared.scene.start_with(prepared.scene.settings(), Arc::new(observer));
        let id = running.restore(prepared.point.clone(), "billing");
        assert!(frozen.wait(), "{moment:?} of {step}");
        cancel(&running, &id);
        frozen.release();
        running.assert_state(&id, SessionState::Cancelled);
        prepared.assert_clean_after(&format!("{moment:?} of {step}"));
        running.kill();
    }
}

#[test]
fn the_steps_of_a_restore_are_these() {
    let prepared = prepared(Script::Obedient);
    let observer = Arc::new(Observer::default());
    let running = prepared.scene.start_with(prepared.scene.settings(), observer.clone());
    let id = running.restore(prepared.point, "billing");
    running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(observer.begun(), steps::restore());
}

#[test]
fn a_cancel_before_publication_publishes_nothing_and_one_after_it_changes_nothing() {
    for (step, wanted, points) in [("publish", SessionState::Cancelled, 0), ("teardown", SessionState::Succeeded, 1)] {
        let scene = Scene::new(Script::Obedient);
        let (observer, frozen) = Observer::freezing(step, Moment::Before);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let id = running.backup("orders");
        assert!(frozen.wait(), "{step}");
        cancel(&running, &id);
        frozen.release();
        running.assert_state(&id, wanted);
        let kept: &[_] = if points == 1 { &[&id] } else { &[] };
        assert_eq!(scene.leftovers(kept), [""; 0], "{step}");
        assert_eq!(scene.access.bucket.keys().iter().filter(|key| key.contains("/points/")).count(), points, "{step}");
    }
}

#[test]
fn a_cancel_after_the_root_was_written_comes_too_late_even_where_the_coordinator_dies() {
    let scene = Scene::new(Script::Obedient);
    let (observer, frozen) = Observer::freezing("publish", Moment::Done);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let id = running.backup("orders");
    assert!(frozen.wait());
    cancel(&running, &id);
    running.kill();
    let again = scene.start();
    again.assert_state(&id, SessionState::Succeeded);
    has_its_point(&scene, &again, &id);
}

#[test]
fn a_cancel_while_nobody_knows_whether_the_root_was_written_comes_too_late() {
    let scene = Scene::new(Script::Obedient);
    let mut settings = scene.settings();
    settings.pace.back_off = (Duration::from_secs(1), Duration::from_secs(1));
    let (observer, frozen) = Observer::freezing("publish", Moment::Before);
    let running = scene.start_with(settings, Arc::new(observer));
    let id = running.backup("orders");
    assert!(frozen.wait());
    let point = running.until(&id, "row", |_| true).point.unwrap();
    let keys = scene.access.bucket.keys();
    let (domain, _) = keys.iter().find_map(|key| key.split_once("/packs/")).unwrap();
    scene.access.faults.add(Rule::once("PutObject", Fault::After).on(format!("{domain}/points/{point}")));
    frozen.release();
    let faults = scene.access.faults.clone();
    running.until(&id, "the lost answer", move |_| faults.fired() > 0);
    cancel(&running, &id);
    running.assert_state(&id, SessionState::Succeeded);
    has_its_point(&scene, &running, &id);
}

/// The point is in the repository and in the catalogue, and nothing is left but its snapshot.
fn has_its_point(scene: &Scene, running: &Running, id: &SessionId) {
    let published = scene.access.bucket.keys().iter().filter(|key| key.contains("/points/")).count();
    let sessions = running.sessions.clone();
    let point = running.until(id, "row", |_| true).point.unwrap();
    let known = running.run(async move { sessions.point(&point).await.is_ok() });
    assert_eq!((published, known), (1, true));
    assert_eq!(scene.leftovers(&[id]), [""; 0]);
}

fn cancel(running: &Running, id: &SessionId) {
    let (sessions, id) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.cancel(&id, "changed my mind").await.unwrap() });
}

#[test]
fn a_worker_that_ignores_a_cancel_is_terminated() {
    let scene = Scene::new(Script::Deaf);
    let mut settings = scene.settings();
    settings.pace.cancel = Duration::from_millis(200);
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    let id = running.backup("orders");
    running.until(&id, "transfer", |session| session.step == "transfer");
    let (sessions, of) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.cancel(&of, "stop").await.unwrap() });
    running.assert_state(&id, SessionState::Cancelled);
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn a_repeated_start_with_the_same_key_starts_nothing_new() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let sessions = running.sessions.clone();
    let (one, other) = running.run(async move {
        let key = || Some("nightly@2026-11-20".to_owned());
        let one = sessions.start_backup(backup_of("orders"), key()).await.unwrap();
        (one, sessions.start_backup(backup_of("orders"), key()).await.unwrap())
    });
    assert_eq!(one, other);
    running.assert_state(&one, SessionState::Succeeded);
}

#[test]
fn fifty_sessions_at_once() {
    let scene = Scene::new(Script::Obedient);
    for number in 0..50 {
        scene.access.memory.databases().add(MemoryDatabases::postgres(&format!("db-{number}")));
    }
    let running = scene.start();
    let ids: Vec<_> = (0..50).map(|number| running.backup(&format!("db-{number}"))).collect();
    for id in &ids {
        running.assert_state(id, SessionState::Succeeded);
    }
    let mut left = scene.leftovers(&ids.iter().collect::<Vec<_>>());
    left.retain(|line| !(line.starts_with("db-instance db-") && line.ends_with(" {}")));
    assert_eq!(left, [""; 0]);
    assert_eq!(scene.access.bucket.keys().iter().filter(|key| key.contains("/points/")).count(), 50);
}

#[test]
fn a_point_is_restored_and_verified_and_a_follower_sees_all_of_it() {
    let prepared = prepared(Script::Obedient);
    let running = prepared.scene.start();
    let point = prepared.point.clone();
    let restored = running.restore(point.clone(), "billing");
    let verify = VerifyRequest {
        policy: None,
        point,
        near: instance("orders"),
        full: true,
        sample_percent: 0,
        restore: false,
        worker: Default::default(),
    };
    let sessions = running.sessions.clone();
    let verified = running.run(async move { sessions.start_verify(verify, None).await.unwrap() });
    let (sessions, of) = (running.sessions.clone(), restored.clone());
    let followed = running.run(async move { sessions.tail(&of, 0).map(Result::unwrap).collect::<Vec<_>>().await });
    running.assert_state(&restored, SessionState::Succeeded);
    running.assert_state(&verified, SessionState::Succeeded);
    prepared.assert_clean();
    let lines: Vec<_> = followed
        .iter()
        .filter_map(|event| match event {
            TailEvent::Log(line) => Some(line.sequence),
            _ => None,
        })
        .collect();
    assert_eq!(lines, (1..=lines.len() as u64).collect::<Vec<_>>(), "every line once, in order");
    assert!(matches!(followed.last(), Some(TailEvent::Session(session)) if session.state == SessionState::Succeeded));
}

#[test]
fn what_is_not_supported_is_refused_before_anything_is_made() {
    let scene = Scene::new(Script::Obedient);
    let mut aurora = MemoryDatabases::postgres("aurora");
    aurora.engine = "aurora-postgresql".into();
    aurora.cluster_id = Some("cluster".into());
    let mut mysql = MemoryDatabases::postgres("mysql");
    mysql.engine = "mysql".into();
    for database in [aurora, mysql] {
        scene.access.memory.databases().add(database);
    }
    let running = scene.start();
    for (id, code) in [("aurora", "db-not-supported"), ("mysql", "db-not-supported"), ("nowhere", "db-not-found")] {
        let session = running.backup(id);
        let session = running.assert_state(&session, SessionState::Failed);
        assert_eq!(session.failure().unwrap().code, code);
    }
    assert_eq!(scene.access.faults.calls_of("CreateDBSnapshot"), 0);
}
