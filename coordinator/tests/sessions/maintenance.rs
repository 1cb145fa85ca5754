//! Maintenance sessions over doubles, from start to end.

use std::sync::Arc;

use haulier_coordinator::sessions::{MaintenanceRequest, WorkerConfiguration};
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::{PointId, SessionId};
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
fn a_worker_that_dies_at_it_is_replaced() {
    let scene = Scene::new(Script::DiesUpTo(1));
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let id = prune(&running, &point, false);
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.epoch.0, 2);
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);
}
