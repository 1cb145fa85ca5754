//! Backup sessions over doubles, from start to end.

use crate::support::worker::{Script, TOTAL};
use crate::support::{Scene, groups_of};
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
