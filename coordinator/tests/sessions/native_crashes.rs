//! The coordinator dies before, within and after each step of a session with SQL Server, and comes back: the same session
//! succeeds, in the same place of the temporary bucket, and nothing is left.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::session::SessionState;

use crate::support::native::native_backup_of;
use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{Scene, groups_of};

const FULL: [&str; 20] = [
    "wait-for-turn",
    "preflight",
    "check-login",
    "open-domain",
    "check-option-group",
    "wait-for-quiet",
    "choose-type",
    "snapshot",
    "wait-for-quiet-again",
    "open-temporary-bucket",
    "plan-worker",
    "open-groups",
    "launch-worker",
    "join-instance",
    "assign",
    "transfer",
    "publish",
    "begin-teardown",
    "teardown",
    "end",
];

const RESTORE: [&str; 8] = [
    "find-point",
    "read-point",
    "read-full-point",
    "check-option-group",
    "open-temporary-bucket",
    "assign",
    "transfer",
    "teardown",
];

fn backup_that_crashes_at(step: &str, moment: Moment) {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "crm");
    let (observer, frozen) = Observer::freezing(step, moment);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let id = running.start_backup(native_backup_of("crm", 7));
    assert!(frozen.wait(), "the session never came to {moment:?} of {step}");
    running.kill();
    let again = scene.start();
    let session = again.ended(&id);
    assert_eq!(session.state, SessionState::Succeeded, "{moment:?} of {step}: {:#?}", session.outcome);
    assert_eq!(scene.leftovers(&[&id]), [""; 0], "{moment:?} of {step}");
    assert_eq!(groups_of(&scene.access.memory, "crm"), before, "{moment:?} of {step}");
    assert_eq!(scene.access.memory.compute().launches().len(), 1, "{moment:?} of {step}");
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let places: BTreeSet<_> = told.iter().map(|backup| backup.temporary.clone().unwrap().prefix).collect();
    assert_eq!(places.len(), 1, "{moment:?} of {step}");
}

#[test]
fn the_steps_above_are_those_of_a_full_backup() {
    let scene = Scene::new(Script::Obedient);
    let observer = Arc::new(Observer::default());
    let running = scene.start_with(scene.settings(), observer.clone());
    let id = running.start_backup(native_backup_of("crm", 7));
    running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(observer.begun(), FULL);
}

#[test]
fn a_crash_before_a_step_is_made_up_for() {
    FULL.iter().for_each(|step| backup_that_crashes_at(step, Moment::Before));
}

#[test]
fn a_crash_between_a_step_and_its_commit_repeats_it_without_harm() {
    FULL.iter().for_each(|step| backup_that_crashes_at(step, Moment::Done));
}

#[test]
fn a_crash_after_a_commit_goes_on_with_the_next_step() {
    FULL.iter().for_each(|step| backup_that_crashes_at(step, Moment::Committed));
}

#[test]
fn a_restore_of_a_differential_point_survives_a_crash_at_each_of_its_own_steps() {
    for (step, moment) in RESTORE.iter().flat_map(|step| [(step, Moment::Before), (step, Moment::Done)]) {
        let scene = Scene::new(Script::Obedient);
        let first = scene.start();
        let full = first.start_backup(native_backup_of("crm", 7));
        first.assert_state(&full, SessionState::Succeeded);
        let backup = first.start_backup(native_backup_of("crm", 7));
        let point = first.assert_state(&backup, SessionState::Succeeded).point.unwrap();
        first.kill();
        let (observer, frozen) = Observer::freezing(step, moment);
        let running = scene.start_with(scene.settings(), Arc::new(observer));
        let id = running.restore(point, "erp");
        assert!(frozen.wait(), "{moment:?} of {step}");
        running.kill();
        let again = scene.start();
        again.assert_state(&id, SessionState::Succeeded);
        assert_eq!(scene.leftovers(&[&full]), [""; 0], "{moment:?} of {step}");
        assert_eq!(scene.fleet.log().native_restores.lock().unwrap()[0].roots.len(), 2, "{moment:?} of {step}");
    }
}

#[test]
fn a_session_of_another_version_is_ended_from_the_ledger_with_its_place_in_the_bucket() {
    let scene = Scene::new(Script::Endless);
    let running = scene.start();
    let id = running.start_backup(native_backup_of("crm", 0));
    running.until(&id, "transfer", |session| session.step == "transfer");
    let (sessions, of) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.state().set_workflow_version(&of, "0").await.unwrap() });
    running.kill();
    crate::crashes::begun_by_another_version(&scene.settings().state_dir.join("workflows.db"));
    let again = scene.start();
    let session = again.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "coordinator-upgraded");
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}
