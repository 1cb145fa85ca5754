//! Restores whose workers are lost, cancelled, or say nothing: what is complete is told to the next worker, and what may be
//! left on the target is told to the operator.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use haulier_coordinator::sessions::{DatabaseSelection, OnClash};
use haulier_coordinator::state::Session;
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::SessionId;
use haulier_domain::postgres::clash::{replaced_name, working_name};
use haulier_domain::session::SessionState;

use crate::support::Running;
use crate::support::observer::Observer;
use crate::support::prepared::{Prepared, prepared};
use crate::support::worker::Script;

impl Prepared {
    fn restore(&self, running: &Running) -> SessionId {
        running.restore_databases(self.point.clone(), "billing", databases())
    }
}

/// Two databases: one under another name, one in place of what is there.
fn databases() -> Vec<DatabaseSelection> {
    let one = |database: &str, target_name: &str, on_clash| DatabaseSelection {
        database: database.into(),
        target_name: target_name.into(),
        on_clash,
        schemas: Vec::new(),
        tables: Vec::new(),
    };
    vec![one("shop", "copy", OnClash::Suffix), one("crm", "", OnClash::Replace)]
}

/// Working names of the two.
fn working(id: &SessionId) -> [String; 2] {
    [working_name(id.as_str(), "shop", "copy"), working_name(id.as_str(), "crm", "crm")]
}

fn cancel(running: &Running, id: &SessionId) {
    let (sessions, id) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.cancel(&id, "enough").await.unwrap() });
}

/// Waits until a worker has its restore.
fn at_work(prepared: &Prepared, running: &Running, id: &SessionId) {
    let fleet = prepared.scene.fleet.log();
    running.until(id, "its worker's assignment", move |_| !fleet.restores.lock().unwrap().is_empty());
}

/// What an operator is told names all of these, and none of those.
fn assert_named(session: &Session, code: &str, named: &[&String], others: &[&String]) {
    let failure = session.failure().unwrap();
    assert_eq!(failure.code, code, "{failure}");
    assert!(named.iter().all(|name| failure.cause.contains(*name)), "{failure}");
    assert!(!others.iter().any(|name| failure.cause.contains(*name)), "{failure}");
    assert!(failure.remedy.contains("drop"), "{failure}");
}

#[test]
fn the_next_worker_is_told_what_is_complete() {
    let prepared = prepared(Script::RestoresOneUpTo(1));
    let running = prepared.scene.start();
    let id = prepared.restore(&running);
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!((session.epoch.0, session.failure()), (2, None));
    let restores = prepared.scene.fleet.log().restores.lock().unwrap().clone();
    let told: Vec<Vec<(&str, &str, &str)>> = restores
        .iter()
        .map(|restore| {
            let parts = restore.restored.iter();
            parts.map(|part| (part.database.as_str(), part.target_name.as_str(), part.restored_as.as_str())).collect()
        })
        .collect();
    assert_eq!(told, [vec![], vec![("shop", "copy", "copy_restored_1")]]);
    assert_eq!(restores[1].restored[0].report, b"a report that only workers read");
    assert_eq!(restores[0].databases, restores[1].databases);
    prepared.assert_clean();
}

#[test]
fn a_coordinator_that_crashes_as_it_assigns_tells_the_same() {
    let prepared = prepared(Script::RestoresOneUpTo(1));
    let (observer, frozen) = Observer::freezing("clear", Moment::Done);
    let running = prepared.scene.start_with(prepared.scene.settings(), Arc::new(observer));
    let id = prepared.restore(&running);
    assert!(frozen.wait());
    running.kill();
    let again = prepared.scene.start();
    again.assert_state(&id, SessionState::Succeeded);
    let restores = prepared.scene.fleet.log().restores.lock().unwrap().clone();
    assert_eq!(restores.last().unwrap().restored.len(), 1);
    prepared.assert_clean();
}

#[test]
fn when_all_workers_are_lost_what_they_may_have_left_is_named() {
    let prepared = prepared(Script::RestoresOneUpTo(9));
    let mut settings = prepared.scene.settings();
    settings.worker.attempts = 1;
    let running = prepared.scene.start_with(settings, Arc::new(Observer::default()));
    let id = prepared.restore(&running);
    let session = running.assert_state(&id, SessionState::Failed);
    let [shop, crm] = working(&id);
    assert_named(&session, "worker-lost", &[&crm, &replaced_name(&crm)], &[&shop]);
    assert!(session.failure().unwrap().retryable);
    let sessions = running.sessions.clone();
    let restored = running.run(async move { sessions.restored(&[session]).await.unwrap().remove(0) });
    assert_eq!(restored, [Some("copy_restored_1".to_owned()), None], "what is complete stays");
    prepared.assert_clean();
}

#[test]
fn nothing_is_named_when_everything_is_complete_or_nothing_was_begun() {
    // Two workers have restored one each, and died.
    let both = prepared(Script::RestoresOneUpTo(9));
    let mut settings = both.scene.settings();
    settings.worker.attempts = 2;
    let running = both.scene.start_with(settings, Arc::new(Observer::default()));
    let id = both.restore(&running);
    let failure = running.assert_state(&id, SessionState::Failed).failure().unwrap().clone();
    assert!(failure.code == "worker-lost" && !failure.cause.contains("haulier_"), "{failure}");

    let none = prepared(Script::Mute);
    let mut settings = none.scene.settings();
    (settings.worker.attempts, settings.pace.boot) = (1, Duration::from_millis(300));
    let running = none.scene.start_with(settings, Arc::new(Observer::default()));
    let id = none.restore(&running);
    let failure = running.assert_state(&id, SessionState::Failed).failure().unwrap().clone();
    assert!(failure.code == "worker-lost" && !failure.cause.contains("haulier_"), "{failure}");
}

#[test]
fn a_cancel_that_is_ignored_or_comes_between_two_workers_names_what_may_be_left() {
    let deaf = prepared(Script::Deaf);
    let mut settings = deaf.scene.settings();
    (settings.pace.cancel, settings.pace.tidying) = (Duration::from_millis(200), Duration::from_millis(300));
    let running = deaf.scene.start_with(settings, Arc::new(Observer::default()));
    let id = deaf.restore(&running);
    at_work(&deaf, &running, &id);
    cancel(&running, &id);
    let session = running.assert_state(&id, SessionState::Cancelled);
    let [shop, crm] = working(&id);
    assert_named(&session, "restore-left-behind", &[&shop, &crm], &[]);
    deaf.assert_clean();

    let between = prepared(Script::RestoresOneUpTo(9));
    let (observer, frozen) = Observer::freezing("clear", Moment::Done);
    let running = between.scene.start_with(between.scene.settings(), Arc::new(observer));
    let id = between.restore(&running);
    assert!(frozen.wait());
    cancel(&running, &id);
    frozen.release();
    let session = running.assert_state(&id, SessionState::Cancelled);
    let [shop, crm] = working(&id);
    assert_named(&session, "restore-left-behind", &[&crm], &[&shop]);
    between.assert_clean();
}

#[test]
fn a_worker_that_was_stopped_before_it_had_begun_does_not_speak_for_an_earlier_one() {
    for (first, named) in [(Script::RestoresOneUpTo(1), true), (Script::BeginsLate, false)] {
        let prepared = prepared(first);
        let (observer, frozen) = Observer::freezing("clear", Moment::Done);
        let running = prepared.scene.start_with(prepared.scene.settings(), Arc::new(observer));
        let id = prepared.restore(&running);
        if named {
            assert!(frozen.wait());
            prepared.scene.fleet.follow(Script::BeginsLate);
            frozen.release();
        }
        let (fleet, workers) = (prepared.scene.fleet.log(), if named { 2 } else { 1 });
        running.until(&id, "the assignment", move |_| fleet.restores.lock().unwrap().len() == workers);
        cancel(&running, &id);
        let session = running.assert_state(&id, SessionState::Cancelled);
        let [shop, crm] = working(&id);
        if named {
            assert_named(&session, "restore-left-behind", &[&crm], &[&shop]);
        } else {
            assert_eq!(session.failure(), None, "nobody has begun");
        }
        prepared.assert_clean();
    }
}

#[test]
fn a_worker_that_tidies_up_is_given_its_time_and_its_word_is_taken() {
    let tidy = prepared(Script::Tidies(Duration::from_millis(1500)));
    let mut settings = tidy.scene.settings();
    (settings.pace.cancel, settings.pace.tidying) = (Duration::from_millis(200), Duration::from_secs(20));
    let running = tidy.scene.start_with(settings, Arc::new(Observer::default()));
    let id = tidy.restore(&running);
    at_work(&tidy, &running, &id);
    let began = Instant::now();
    cancel(&running, &id);
    let session = running.assert_state(&id, SessionState::Cancelled);
    assert_eq!(session.failure(), None, "it said that it has left nothing");
    assert!((Duration::from_millis(1500)..Duration::from_secs(15)).contains(&began.elapsed()), "{:?}", began.elapsed());
    tidy.assert_clean();

    let left = prepared(Script::LeavesBehind);
    let running = left.scene.start();
    let id = left.restore(&running);
    at_work(&left, &running, &id);
    cancel(&running, &id);
    let session = running.assert_state(&id, SessionState::Cancelled);
    let failure = session.failure().unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.cause.as_str()),
        ("restore-left-behind", "a template cannot be dropped")
    );
    left.assert_clean();
}

#[test]
fn a_restore_that_another_version_began_names_what_may_be_left() {
    let prepared = prepared(Script::Endless);
    let running = prepared.scene.start();
    let id = prepared.restore(&running);
    at_work(&prepared, &running, &id);
    let (sessions, of) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.state().set_workflow_version(&of, "0").await.unwrap() });
    running.kill();
    crate::crashes::begun_by_another_version(&prepared.scene.settings().state_dir.join("workflows.db"));
    let again = prepared.scene.start();
    let session = again.assert_state(&id, SessionState::Failed);
    let [shop, crm] = working(&id);
    assert_named(&session, "coordinator-upgraded", &[&shop, &crm], &[]);
    assert_eq!(
        prepared.scene.fleet.log().assignments.load(Ordering::SeqCst),
        2,
        "one of the backup, one of the restore"
    );
    prepared.assert_clean();
}
