//! A restore test leaves its proof beside the point, or nothing.

use std::sync::Arc;

use haulier_coordinator::sessions::VerifyRequest;
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::PointId;
use haulier_domain::session::SessionState;

use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{Running, Scene, instance};

fn verify(running: &Running, point: &PointId) -> haulier_domain::id::SessionId {
    let request = VerifyRequest {
        policy: None,
        point: point.clone(),
        near: instance("orders"),
        full: false,
        sample_percent: 0,
        restore: true,
        worker: Default::default(),
    };
    let sessions = running.sessions.clone();
    running.run(async move { sessions.start_verify(request, None).await.unwrap() })
}

#[test]
fn a_proof_is_stored_beside_its_point_and_in_the_catalogue() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let backup = running.backup("orders");
    let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
    let points = || scene.access.bucket.keys().into_iter().filter(|key| key.contains("/points/")).collect::<Vec<_>>();
    let proofs = || scene.access.bucket.keys().into_iter().filter(|key| key.contains("/proofs/")).collect::<Vec<_>>();
    let before = points();
    let latest = || {
        let (sessions, point) = (running.sessions.clone(), point.clone());
        running.run(async move { sessions.state().latest_proof(&point).await.unwrap() })
    };
    assert_eq!(latest(), None);
    let first = verify(&running, &point);
    running.assert_state(&first, SessionState::Succeeded);
    assert_eq!(latest().map(|proof| proof.session), Some(first.clone()));
    let second = verify(&running, &point);
    running.assert_state(&second, SessionState::Succeeded);
    assert_eq!(latest().map(|proof| proof.session), Some(second.clone()));
    let stored = proofs();
    assert_eq!(stored.len(), 2, "{stored:?}");
    for session in [&first, &second] {
        let name = format!("/proofs/{point}/{session}");
        assert!(stored.iter().any(|key| key.ends_with(&name)), "{name} is not among {stored:?}");
    }
    assert_eq!(points(), before);
    assert_eq!(scene.leftovers(&[&backup]), [""; 0]);
}

#[test]
fn a_crash_while_a_proof_is_stored_leaves_one_proof() {
    for moment in [Moment::Before, Moment::Done, Moment::Committed] {
        let scene = Scene::new(Script::Obedient);
        let (observer, frozen) = Observer::freezing("store-proof", moment);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let backup = running.backup("orders");
        let point = running.assert_state(&backup, SessionState::Succeeded).point.unwrap();
        let id = verify(&running, &point);
        assert!(frozen.wait(), "the session never came to {moment:?} of its proof");
        running.kill();
        let again = scene.start();
        again.assert_state(&id, SessionState::Succeeded);
        let proofs = scene.access.bucket.keys().into_iter().filter(|key| key.contains("/proofs/")).count();
        assert_eq!(proofs, 1, "{moment:?}");
        assert_eq!(scene.leftovers(&[&backup]), [""; 0], "{moment:?}");
    }
}
