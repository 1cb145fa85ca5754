//! Backup sessions over doubles, from start to end.

use crate::support::worker::{Script, TOTAL};
use crate::support::{Scene, backup_of, groups_of};
use haulier_domain::policy::{DEFAULT_LARGE_TABLE_BYTES, DEFAULT_SPLIT_TABLE_BYTES};
use haulier_domain::session::SessionState;

#[test]
fn a_backup_publishes_a_point_and_leaves_nothing_but_its_snapshot() {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "orders");
    let running = scene.start();
    let id = running.backup("orders");
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(scene.leftovers(&[&id]), [""; 0]);
    assert_eq!(groups_of(&scene.access.memory, "orders"), before);
    let progress = session.progress.clone().unwrap();
    assert_eq!((progress.phase.as_str(), progress.bytes_read), ("done", TOTAL), "the last figures are the totals");
    let (sessions, point) = (running.sessions.clone(), session.point.clone().unwrap());
    let point = running.run(async move { sessions.point(&point).await.unwrap() });
    assert_eq!((point.resource.as_str(), point.session), ("orders", id.clone()));
    assert!(scene.access.bucket.keys().iter().any(|key| key.ends_with(&format!("/points/{}", point.id))));
    let snapshot = format!("db-snapshot {}", point.snapshot_id);
    assert!(scene.access.memory.listing().contains(&snapshot), "{snapshot}");
}

#[test]
fn a_worker_is_told_how_to_read_and_store() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let mut request = backup_of("orders");
    request.parallel_streams = 7;
    request.large_table_bytes = 2 << 20;
    request.split_table_bytes = 5 << 20;
    request.compression_level = 11;
    for request in [request, backup_of("orders")] {
        let sessions = running.sessions.clone();
        let id = running.run(async move { sessions.start_backup(request, None).await.unwrap() });
        running.assert_state(&id, SessionState::Succeeded);
    }
    let told: Vec<_> = scene.fleet.log().backups.lock().unwrap().clone();
    let numbers: Vec<_> = told
        .iter()
        .map(|it| (it.parallel_streams, it.large_table_bytes, it.split_table_bytes, it.compression_level))
        .collect();
    assert_eq!(numbers, [(7, 2 << 20, 5 << 20, 11), (0, DEFAULT_LARGE_TABLE_BYTES, DEFAULT_SPLIT_TABLE_BYTES, 0)]);
}
