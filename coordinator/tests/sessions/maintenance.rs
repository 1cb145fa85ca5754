//! Maintenance sessions over doubles, from start to end.

use std::sync::Arc;

use haulier_coordinator::repositories::{Proposal, RepositoryVaults, Vaults as _};
use haulier_coordinator::sessions::{MaintenanceRequest, WorkerConfiguration};
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::{Epoch, PointId, SessionId};
use haulier_domain::session::SessionState;
use haulier_proto::to_timestamp;
use serde_json::Value;

use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{Running, Scene, instance};

fn prune(running: &Running, point: &PointId, dry_run: bool) -> SessionId {
    let (sessions, point) = (running.sessions.clone(), point.clone());
    running.run(async move {
        let point = sessions.point(&point).await.unwrap();
        let request = MaintenanceRequest {
            repository: point.repository,
            domain: point.domain,
            near: instance("orders"),
            dry_run,
            worker: WorkerConfiguration::default(),
        };
        sessions.start_maintenance(request, None).await.unwrap()
    })
}

#[test]
fn a_prune_runs_on_a_worker_of_its_own_and_leaves_nothing() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    // What a retention would do: without its point, nothing of the backup is needed.
    let key = scene.access.bucket.keys().into_iter().find(|key| key.ends_with(&format!("/points/{point}"))).unwrap();
    let bucket = scene.access.bucket.clone();
    running.run(async move { haulier_cloud::object_store::ObjectStore::delete(&*bucket, &key).await.unwrap() });
    let packs = || scene.access.bucket.keys().iter().filter(|key| key.contains("/packs/")).count();
    assert_eq!(packs(), 1);

    let figures = |id: &SessionId| -> Value {
        let session = running.assert_state(id, SessionState::Succeeded);
        let report = session.completed().unwrap().report.clone().unwrap();
        serde_json::from_str::<Value>(&report).unwrap()["figures"].clone()
    };
    let dry = figures(&prune(&running, &point, true));
    assert_eq!((dry["marked"]["objects"].as_u64(), dry["freed_now"]["objects"].as_u64()), (Some(1), Some(0)));
    assert_eq!(packs(), 1);
    let marked = figures(&prune(&running, &point, false));
    assert_eq!(marked["marked"], dry["marked"]);
    assert_eq!(packs(), 1, "it is marked");
    let swept = figures(&prune(&running, &point, false));
    assert_eq!(swept["freed_now"]["objects"].as_u64(), Some(1));
    assert_eq!(packs(), 0);
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);
}

#[test]
fn a_prune_is_told_of_the_oldest_session_that_runs() {
    let scene = Scene::new(Script::Obedient);
    let (observer, frozen) = Observer::freezing("publish", Moment::Before);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let backup = running.backup("orders");
    assert!(frozen.wait());
    // A session that is at the end of its work, and a prune of the same repository.
    let started = {
        let (sessions, id) = (running.sessions.clone(), backup.clone());
        running.run(async move { sessions.get(&id).await.unwrap().started_at.unwrap() })
    };
    let sessions = running.sessions.clone();
    let (repository, domain) = running.run(async move {
        let repository = sessions.state().repositories().await.unwrap().remove(0).name;
        let domain = sessions.state().domains(&repository).await.unwrap().remove(0);
        (repository, domain)
    });
    let request = MaintenanceRequest {
        repository,
        domain,
        near: instance("orders"),
        dry_run: false,
        worker: WorkerConfiguration::default(),
    };
    let sessions = running.sessions.clone();
    let id = running.run(async move { sessions.start_maintenance(request, None).await.unwrap() });
    running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(scene.fleet.log().prunes.lock().unwrap()[0].oldest_session, Some(to_timestamp(started)));
    frozen.release();
    running.assert_state(&backup, SessionState::Succeeded);
}

#[test]
fn a_worker_that_dies_at_it_is_replaced_and_the_next_one_is_told_of_the_sessions_of_its_time() {
    let scene = Scene::new(Script::DiesUpTo(1));
    let observer = Arc::new(Observer::default());
    let running = scene.start_with(scene.settings(), observer.clone());
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let id = prune(&running, &point, false);
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.epoch.0, 2);
    let begun = observer.begun();
    let own = &begun[begun.iter().position(|step| step == "find-sessions").unwrap()..];
    let looks: Vec<&str> =
        own.iter().map(String::as_str).filter(|step| ["find-sessions", "clear", "assign"].contains(step)).collect();
    assert_eq!(looks, ["find-sessions", "assign", "clear", "find-sessions", "assign"]);
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);
}

#[test]
fn prunes_of_a_domain_take_turns_and_those_that_delete_nothing_wait_for_none() {
    let scene = Scene::new(Script::Obedient);
    let (observer, frozen) = Observer::freezing("remove-strays", Moment::Before);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let first = prune(&running, &point, false);
    assert!(frozen.wait());
    let second = prune(&running, &point, false);
    let dry = prune(&running, &point, true);
    running.assert_state(&dry, SessionState::Succeeded);
    let (sessions, waiting) = (running.sessions.clone(), second.clone());
    let state = running.run(async move { sessions.get(&waiting).await.unwrap().state });
    assert_eq!(state, SessionState::Queued);
    frozen.release();
    running.assert_state(&first, SessionState::Succeeded);
    running.assert_state(&second, SessionState::Succeeded);
}

#[test]
fn what_an_interrupted_publication_has_left_stops_no_prune() {
    let scene = Scene::new(Script::Obedient);
    let (observer, frozen) = Observer::freezing("publish", Moment::Before);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let stopped = running.backup("orders");
    assert!(frozen.wait());
    let (sessions, id) = (running.sessions.clone(), stopped.clone());
    running.run(async move { sessions.cancel(&id, "").await.unwrap() });
    frozen.release();
    let stopped = running.assert_state(&stopped, SessionState::Cancelled);
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    // Another point over the same data, as if the session that was stopped had come to create it.
    let stray = stopped.point.clone().unwrap();
    let sessions = running.sessions.clone();
    let vaults = RepositoryVaults::new(scene.access.clone(), scene.settings().state_dir.join("look"));
    let known = point.clone();
    let (place, other) = (stray, stopped.id);
    running.run(async move {
        let known = sessions.point(&known).await.unwrap();
        let repository = sessions.state().repository(&known.repository).await.unwrap();
        let root = vaults.root(&repository, &known.domain, &known.id).await.unwrap();
        let mut root: Value = serde_json::from_slice(&root).unwrap();
        root["point"] = place.to_string().into();
        root["session"] = other.to_string().into();
        let proposal = Proposal {
            since: jiff::Timestamp::UNIX_EPOCH,
            point: place,
            session: other,
            epoch: Epoch(root["epoch"].as_u64().unwrap()),
            root: serde_json::to_vec(&root).unwrap(),
            labels: Default::default(),
        };
        vaults.publish(&repository, &known.domain, &proposal).await.unwrap();
    });
    let points =
        || -> Vec<String> { scene.access.bucket.keys().into_iter().filter(|key| key.contains("/points/")).collect() };
    assert_eq!(points().len(), 2);
    // As long as it is whole it stays.
    running.assert_state(&prune(&running, &point, false), SessionState::Succeeded);
    assert_eq!(points().len(), 2);
    let gone = |key: &String| key.contains("/packs/") || key.contains("/index/") || key.ends_with(point.as_str());
    for key in scene.access.bucket.keys().into_iter().filter(gone) {
        let bucket = scene.access.bucket.clone();
        running.run(async move { haulier_cloud::object_store::ObjectStore::delete(&*bucket, &key).await.unwrap() });
    }
    running.assert_state(&prune(&running, &point, false), SessionState::Succeeded);
    assert_eq!(points(), [""; 0]);
}
