//! Copies of points in another repository, over doubles, from start to end.

use std::sync::Arc;

use haulier_coordinator::repositories::{Import, NewRepository, copy_id};
use haulier_coordinator::sessions::{ReplicateRequest, WorkerConfiguration};
use haulier_coordinator::settings::Settings;
use haulier_coordinator::state::{CopyOf, KeyKind, Point, Repository};
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::session::SessionState;
use jiff::Timestamp;

use crate::support::native::native_backup_of;
use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{KMS_KEY, REGION, REPOSITORY, Running, Scene, instance};

const VAULT: &str = "vault";

/// Makes the other repository, unless it is there.
fn vault(running: &Running) -> (Repository, Repository) {
    let sessions = running.sessions.clone();
    running.run(async move {
        let state = sessions.state();
        let main = state.repository(REPOSITORY).await.unwrap();
        if let Ok(vault) = state.repository(VAULT).await {
            return (main, vault);
        }
        let new = NewRepository {
            name: VAULT.into(),
            bucket: "vault".into(),
            region: REGION.into(),
            prefix: "far".into(),
            key_kind: KeyKind::Kms,
            key_arn: KMS_KEY.into(),
            immutability: None,
        };
        let id = sessions.services().vaults.create(&new).await.unwrap().id;
        let NewRepository { name, bucket, region, prefix, key_kind, key_arn, immutability } = new;
        let created_at = Timestamp::now();
        let vault = Repository { name, id, bucket, region, prefix, key_kind, key_arn, created_at, immutability };
        state.add_repository(&vault).await.unwrap();
        (main, vault)
    })
}

/// Starts a copy and gives its session and what the copy is called.
fn replicate(running: &Running, point: &PointId) -> (SessionId, PointId) {
    let (main, vault) = vault(running);
    let copy = copy_id(point, &main.id, &vault.id);
    let request = ReplicateRequest {
        policy: None,
        point: point.clone(),
        repository: VAULT.into(),
        copy: copy.clone(),
        near: instance("orders"),
        worker: WorkerConfiguration::default(),
    };
    let sessions = running.sessions.clone();
    (running.run(async move { sessions.start_replicate(request, None).await.unwrap() }), copy)
}

fn catalogued(running: &Running, id: &PointId) -> Option<Point> {
    let (sessions, id) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.point(&id).await.ok() })
}

fn copies(scene: &Scene) -> Vec<String> {
    let keys = scene.access.bucket.keys().into_iter();
    keys.filter(|key| key.starts_with("far/domains/") && key.contains("/points/")).collect()
}

#[test]
fn a_copy_is_published_in_the_other_repository_with_its_origin() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let (id, copy) = replicate(&running, &point);
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.point.as_ref(), Some(&copy));
    let (original, copied) = (catalogued(&running, &point).unwrap(), catalogued(&running, &copy).unwrap());
    let (main, vault) = vault(&running);
    assert_eq!(copied.copy_of, Some(CopyOf { point: point.clone(), repository: main.id.clone() }));
    assert_eq!((&copied.repository, &copied.session), (&vault.name, &id));
    let expected = Point {
        id: copy.clone(),
        repository: vault.name.clone(),
        session: id.clone(),
        snapshot_id: String::new(),
        copy_of: copied.copy_of.clone(),
        summary: copied.summary.clone(),
        published_at: copied.published_at,
        ..original.clone()
    };
    assert_eq!(copied, expected);
    assert!(!original.snapshot_id.is_empty());
    assert_eq!(copies(&scene), [format!("far/domains/{}/points/{copy}", original.domain)]);

    // What the repository alone says of it is what the catalogue says.
    let sessions = running.sessions.clone();
    let stored = running.run({
        let (vault, copy, domain) = (vault.clone(), copy.clone(), copied.domain.clone());
        async move { sessions.services().vaults.read(&vault, &domain, &[copy]).await.unwrap().remove(0).unwrap() }
    });
    assert_eq!((stored.labels.copy_of, stored.labels.login), (copied.copy_of, copied.login));
    assert!(stored.labels.resource_id.starts_with("db-"), "{:?}", stored.labels.resource_id);
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);

    // A session that finds it there launches no worker.
    let launched = scene.fleet.log().copies.lock().unwrap().len();
    let (again, _) = replicate(&running, &point);
    let again = running.assert_state(&again, SessionState::Succeeded);
    assert_eq!(again.epoch.0, 0);
    assert_eq!((scene.fleet.log().copies.lock().unwrap().len(), copies(&scene).len()), (launched, 1));
}

#[test]
fn a_differential_point_is_copied_onto_the_copy_of_its_full_point() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = || {
        let id = running.start_backup(native_backup_of("crm", 7));
        running.assert_state(&id, SessionState::Succeeded).point.unwrap()
    };
    let (full, differential) = (backup(), backup());
    let copy = |point: &PointId| {
        let (id, copy) = replicate(&running, point);
        running.assert_state(&id, SessionState::Succeeded);
        copy
    };
    let (copied_full, copied) = (copy(&full), copy(&differential));
    let told = scene.fleet.log().copies.lock().unwrap().clone();
    let foundations: Vec<_> = told.iter().map(|copy| copy.stands_on_id.clone()).collect();
    assert_eq!(foundations, [String::new(), copied_full.to_string()]);
    let known = catalogued(&running, &copied).unwrap();
    assert_eq!(known.full_point, Some(copied_full));
    let ((_, vault), domain) = (vault(&running), known.domain.clone());
    let sessions = running.sessions.clone();
    let stored = running.run(async move {
        sessions.services().vaults.read(&vault, &domain, &[copied]).await.unwrap().remove(0).unwrap()
    });
    assert_eq!(stored.labels.full_point, known.full_point);
}

#[test]
fn a_copy_that_the_catalogue_has_lost_is_found_in_its_repository() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let (id, copy) = replicate(&running, &point);
    running.assert_state(&id, SessionState::Succeeded);
    let known = catalogued(&running, &copy).unwrap();
    running.kill();

    let elsewhere = tempfile::tempdir().unwrap();
    let settings = Settings { state_dir: elsewhere.path().to_owned(), ..scene.settings() };
    let other = scene.start_with(settings, Arc::new(Observer::default()));
    assert_eq!(catalogued(&other, &point), None);
    let (main, _) = vault(&other);
    let sessions = other.sessions.clone();
    let imported = other.run(async move {
        let (told, _events) = tokio::sync::mpsc::channel(16);
        Import::new(sessions.services(), &main, told).run().await.unwrap().unwrap()
    });
    assert_eq!((imported.added, imported.missed), (1, 0));
    let (again, same) = replicate(&other, &point);
    assert_eq!(same, copy);
    other.assert_state(&again, SessionState::Succeeded);
    let found = catalogued(&other, &copy).unwrap();
    assert_eq!((found.copy_of, found.session, found.resource), (known.copy_of, known.session, known.resource));
    assert_eq!(copies(&scene).len(), 1);
}

#[test]
fn a_crash_while_a_copy_is_published_leaves_one_copy() {
    for moment in [Moment::Before, Moment::Done, Moment::Committed] {
        let scene = Scene::new(Script::Obedient);
        let first = scene.start();
        let backup = first.backup("orders");
        let point = first.assert_state(&backup, SessionState::Succeeded).point.unwrap();
        first.kill();
        let (observer, frozen) = Observer::freezing("publish", moment);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let (id, copy) = replicate(&running, &point);
        assert!(frozen.wait(), "the session never came to {moment:?} of its publication");
        running.kill();
        let again = scene.start();
        again.assert_state(&id, SessionState::Succeeded);
        assert!(catalogued(&again, &copy).is_some(), "{moment:?}");
        assert_eq!(copies(&scene).len(), 1, "{moment:?}");
        assert_eq!(scene.leftovers(&[&backup]), [""; 0], "{moment:?}");
    }
}

#[test]
fn a_worker_that_dies_at_a_copy_is_replaced() {
    let scene = Scene::new(Script::DiesUpTo(1));
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let (id, _) = replicate(&running, &point);
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.epoch.0, 2);
    assert_eq!(copies(&scene).len(), 1);
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);
}

#[test]
fn a_prune_of_either_repository_is_told_of_a_copy_that_runs() {
    let scene = Scene::new(Script::Obedient);
    let (observer, frozen) = Observer::freezing("find-copy", Moment::Before);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let (id, _) = replicate(&running, &point);
    assert!(frozen.wait());
    let started = {
        let (sessions, id) = (running.sessions.clone(), id.clone());
        running.run(async move { sessions.get(&id).await.unwrap().started_at.unwrap() })
    };
    for repository in [REPOSITORY, VAULT] {
        let sessions = running.sessions.clone();
        let prune = running.run(async move {
            let domain = sessions.state().domains(repository).await.unwrap().remove(0);
            let request = haulier_coordinator::sessions::MaintenanceRequest {
                repository: repository.into(),
                domain,
                near: instance("orders"),
                dry_run: false,
                worker: WorkerConfiguration::default(),
            };
            sessions.start_maintenance(request, None).await.unwrap()
        });
        running.assert_state(&prune, SessionState::Succeeded);
        let told = scene.fleet.log().prunes.lock().unwrap().last().unwrap().oldest_session;
        assert_eq!(told, Some(haulier_proto::to_timestamp(started)), "{repository}");
    }
    frozen.release();
    running.assert_state(&id, SessionState::Succeeded);
}
