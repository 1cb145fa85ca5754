//! The coordinator dies before, within and after each step, and comes back: the same session succeeds, with the same
//! worker wherever there was one, and nothing is left.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::session::SessionState;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::observer::Observer;
use crate::support::prepared::prepared;
use crate::support::worker::Script;
use crate::support::{Scene, groups_of, steps};

fn crash_at(step: &str, moment: Moment) {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "orders");
    let (observer, frozen) = Observer::freezing(step, moment);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let id = running.backup("orders");
    assert!(frozen.wait(), "the session never came to {moment:?} of {step}");
    running.kill();
    let again = scene.start();
    let session = again.ended(&id);
    assert_eq!(session.state, SessionState::Succeeded, "{moment:?} of {step}: {:#?}", session.outcome);
    assert_eq!(scene.leftovers(&[&id]), [""; 0], "{moment:?} of {step}");
    assert_eq!(groups_of(&scene.access.memory, "orders"), before, "{moment:?} of {step}");
    let launched = scene.access.memory.compute().launches().len();
    assert_eq!(launched, 1, "{moment:?} of {step}: another worker was launched");
    let points = scene.access.bucket.keys().iter().filter(|key| key.contains("/points/")).count();
    assert_eq!(points, 1, "{moment:?} of {step}");
}

#[test]
fn the_steps_of_a_backup_are_these() {
    let scene = Scene::new(Script::Obedient);
    let observer = Arc::new(Observer::default());
    let running = scene.start_with(scene.settings(), observer.clone());
    let id = running.backup("orders");
    running.assert_state(&id, SessionState::Succeeded);
    let steps = steps::backup();
    assert_eq!(observer.begun(), steps);
    assert_eq!(steps.iter().collect::<BTreeSet<_>>().len(), steps.len());
}

#[test]
fn a_crash_before_a_step_is_made_up_for() {
    steps::backup().iter().for_each(|step| crash_at(step, Moment::Before));
}

#[test]
fn a_crash_between_a_step_and_its_commit_repeats_it_without_harm() {
    steps::backup().iter().for_each(|step| crash_at(step, Moment::Done));
}

#[test]
fn a_crash_after_a_commit_goes_on_with_the_next_step() {
    steps::backup().iter().for_each(|step| crash_at(step, Moment::Committed));
}

#[test]
fn a_session_of_another_version_is_ended_from_the_ledger() {
    let scene = Scene::new(Script::Endless);
    let before = groups_of(&scene.access.memory, "orders");
    let running = scene.start();
    let id = running.backup("orders");
    running.until(&id, "transfer", |session| session.step == "transfer");
    let (sessions, of) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.state().set_workflow_version(&of, "0").await.unwrap() });
    running.kill();
    begun_by_another_version(&scene.settings().state_dir.join("workflows.db"));
    let again = scene.start();
    let session = again.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "coordinator-upgraded");
    assert_eq!(scene.leftovers(&[]), [""; 0]);
    assert_eq!(groups_of(&scene.access.memory, "orders"), before);
}

/// Marks every workflow as one that another version of the coordinator began.
pub(crate) fn begun_by_another_version(file: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await.unwrap();
        let marked = sqlx::query("UPDATE workflow_status SET application_version = '0'").execute(&pool).await.unwrap();
        assert!(marked.rows_affected() >= 1);
        pool.close().await;
    });
}

#[test]
fn a_coordinator_whose_checkpoints_are_gone_ends_every_session_all_the_same() {
    for (step, end) in [
        ("wait-for-turn", SessionState::Succeeded),
        ("transfer", SessionState::Failed),
        ("teardown", SessionState::Succeeded),
    ] {
        let scene = Scene::new(Script::Obedient);
        let before = groups_of(&scene.access.memory, "orders");
        let (observer, frozen) = Observer::freezing(step, Moment::Before);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let id = running.backup("orders");
        assert!(frozen.wait(), "{step}");
        running.kill();
        for suffix in ["", "-wal", "-shm"] {
            let file = scene.settings().state_dir.join(format!("workflows.db{suffix}"));
            std::fs::remove_file(&file).unwrap_or_else(|error| assert!(!file.exists(), "{error}"));
        }
        let again = scene.start();
        again.assert_state(&id, end);
        let kept: &[_] = if end == SessionState::Succeeded { &[&id] } else { &[] };
        assert_eq!(scene.leftovers(kept), [""; 0], "{step}");
        assert_eq!(groups_of(&scene.access.memory, "orders"), before, "{step}");
        assert_eq!(scene.access.memory.compute().launches().len(), 1, "{step}");
    }
}

#[test]
fn a_restore_survives_a_crash_at_each_of_its_own_steps() {
    for (step, moment) in [
        ("find-point", Moment::Done),
        ("read-point", Moment::Before),
        ("read-point", Moment::Done),
        ("join-instance", Moment::Done),
        ("transfer", Moment::Before),
        ("transfer", Moment::Done),
        ("teardown", Moment::Before),
    ] {
        let prepared = prepared(Script::Obedient);
        let scene = &prepared.scene;
        let (observer, frozen) = Observer::freezing(step, moment);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let id = running.restore(prepared.point.clone(), "billing");
        assert!(frozen.wait(), "{moment:?} of {step}");
        running.kill();
        let again = scene.start();
        again.assert_state(&id, SessionState::Succeeded);
        prepared.assert_clean_after(&format!("{moment:?} of {step}"));
        assert_eq!(scene.access.memory.compute().launches().len(), 2, "{moment:?} of {step}");
    }
}
