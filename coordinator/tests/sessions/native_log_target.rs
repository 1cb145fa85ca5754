//! Sessions of log backups that end without a word from the worker that has replaced the instance's place for them: what it was
//! is told to the operator, once.

use std::sync::Arc;
use std::time::Duration;

use haulier_coordinator::settings::Settings;
use haulier_coordinator::state::Session;
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::SessionId;
use haulier_domain::session::SessionState;
use haulier_domain::sqlserver::log_target::CODE;

use crate::native_logs::{back_up, log_backup_of, scene};
use crate::support::observer::{Frozen, Observer};
use crate::support::worker::Script;
use crate::support::{Running, Scene};

/// A scene whose instance has a full point, so that log backups come next, by workers that follow the script.
struct Backed {
    scene: Scene,
    full: SessionId,
}

fn backed(script: Script) -> Backed {
    let scene = scene(Script::Obedient);
    let running = scene.start();
    let (full, _) = back_up(&running, "crm");
    running.kill();
    scene.fleet.follow(script);
    Backed { scene, full }
}

impl Backed {
    fn settings(&self, attempts: u64) -> Settings {
        let mut settings = self.scene.settings();
        settings.worker.attempts = attempts;
        settings
    }

    /// A session that is frozen once its first worker is lost and everything of it is removed.
    fn between_two(&self, attempts: u64) -> (Running, SessionId, Frozen) {
        let (observer, frozen) = Observer::freezing("clear", Moment::Done);
        let running = self.scene.start_with(self.settings(attempts), Arc::new(observer));
        let id = running.start_backup(log_backup_of("crm"));
        assert!(frozen.wait());
        (running, id, frozen)
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.scene.leftovers(&[&self.full]), [""; 0]);
    }
}

fn cancel(running: &Running, id: &SessionId) {
    let (sessions, id) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.cancel(&id, "enough").await.unwrap() });
}

/// Waits until so many workers of log backups have begun.
fn at_work(backed: &Backed, running: &Running, id: &SessionId, workers: usize) {
    let fleet = backed.scene.fleet.log();
    running.until(id, "its worker's assignment", move |_| fleet.native_backups.lock().unwrap().len() > workers);
}

/// What an operator is told names the place that the worker of that epoch has found, once, and what to run.
#[track_caller]
fn assert_named(session: &Session, code: &str, found_by: u64, last: u64) {
    let failure = session.failure().unwrap();
    let before = format!("arn:aws:s3:::found-by-{found_by}");
    assert_eq!(failure.code, code, "{failure}");
    assert_eq!(failure.cause.matches("crm may still copy them to the temporary bucket").count(), 1, "{failure}");
    assert!(failure.cause.contains(&format!("and not to {before}: ")), "{failure}");
    assert!(failure.cause.contains(&format!("its worker of epoch {last}")), "{failure}");
    let statement = format!("exec msdb.dbo.rds_tlog_copy_setup @target_s3_arn = N'{before}'");
    assert_eq!(failure.remedy.matches(&statement).count(), 1, "{failure}");
}

#[test]
fn when_all_workers_are_lost_the_place_that_the_last_one_found_is_named() {
    for attempts in 1..=3 {
        let backed = backed(Script::SubmitsUpTo(9));
        let running = backed.scene.start_with(backed.settings(attempts), Arc::new(Observer::default()));
        let id = running.start_backup(log_backup_of("crm"));
        let session = running.assert_state(&id, SessionState::Failed);
        assert_named(&session, "worker-lost", attempts, attempts);
        assert!(session.failure().unwrap().retryable);
        backed.assert_clean();
    }
}

#[test]
fn a_place_that_the_first_worker_found_is_named_whenever_the_later_ones_are_lost() {
    for (script, last) in [(Script::DiesUpTo(9), 3), (Script::Mute, 1)] {
        let backed = backed(Script::SubmitsUpTo(9));
        let (observer, frozen) = Observer::freezing("clear", Moment::Done);
        let mut settings = backed.settings(3);
        settings.pace.boot = Duration::from_millis(2_000);
        let running = backed.scene.start_with(settings, Arc::new(observer));
        let id = running.start_backup(log_backup_of("crm"));
        assert!(frozen.wait());
        backed.scene.fleet.follow(script);
        frozen.release();
        assert_named(&running.assert_state(&id, SessionState::Failed), "worker-lost", 1, last);
        backed.assert_clean();
    }
}

#[test]
fn a_cancel_between_two_workers_names_the_place() {
    let backed = backed(Script::SubmitsUpTo(9));
    let (running, id, frozen) = backed.between_two(3);
    cancel(&running, &id);
    frozen.release();
    assert_named(&running.assert_state(&id, SessionState::Cancelled), CODE, 1, 1);
    backed.assert_clean();
}

#[test]
fn a_worker_that_ignores_a_cancel_or_was_stopped_before_it_had_begun_vouches_for_nothing() {
    for (script, last) in [(Script::Deaf, 2), (Script::BeginsLate, 1)] {
        let backed = backed(Script::SubmitsUpTo(1));
        let (observer, frozen) = Observer::freezing("clear", Moment::Done);
        let mut settings = backed.settings(3);
        (settings.pace.cancel, settings.pace.tidying) = (Duration::from_millis(500), Duration::from_millis(500));
        let running = backed.scene.start_with(settings, Arc::new(observer));
        let id = running.start_backup(log_backup_of("crm"));
        assert!(frozen.wait());
        backed.scene.fleet.follow(script);
        frozen.release();
        at_work(&backed, &running, &id, 2);
        cancel(&running, &id);
        assert_named(&running.assert_state(&id, SessionState::Cancelled), CODE, 1, last);
        backed.assert_clean();
    }
}

#[test]
fn a_worker_that_boots_after_a_cancel_is_told_what_to_tidy_up() {
    let backed = backed(Script::SubmitsUpTo(1));
    let (running, id, frozen) = backed.between_two(3);
    backed.scene.fleet.follow(Script::Late);
    frozen.release();
    running.until(&id, "its second worker", |session| session.epoch.0 == 2 && session.step == "transfer");
    cancel(&running, &id);
    backed.scene.fleet.follow(Script::Endless);
    let session = running.assert_state(&id, SessionState::Cancelled);
    assert_eq!(session.failure(), None, "it had its assignment, and has put the place back");
    let told = backed.scene.fleet.log().native_backups.lock().unwrap()[2].log_target_arn.clone();
    assert_eq!(told, "arn:aws:s3:::found-by-1");
    backed.assert_clean();
}

#[test]
fn a_worker_that_ends_by_itself_has_the_last_word() {
    for (script, state, code) in [
        (Script::Obedient, SessionState::Succeeded, None),
        (Script::Fails, SessionState::Failed, Some("db-auth-failed")),
        (Script::Endless, SessionState::Cancelled, None),
        (Script::LeavesBehind, SessionState::Cancelled, Some("restore-left-behind")),
    ] {
        let backed = backed(Script::SubmitsUpTo(1));
        let (running, id, frozen) = backed.between_two(3);
        backed.scene.fleet.follow(script);
        frozen.release();
        if state == SessionState::Cancelled {
            at_work(&backed, &running, &id, 2);
            cancel(&running, &id);
        }
        let session = running.assert_state(&id, state);
        let failure = session.failure();
        assert_eq!(failure.map(|failure| failure.code.as_str()), code, "{script:?}");
        assert!(failure.is_none_or(|failure| !failure.to_string().contains("found-by")), "{script:?}: {failure:?}");
        // One reported in its turn where the first worker had found it.
        let told = backed.scene.fleet.log().native_backups.lock().unwrap()[2].log_target_arn.clone();
        assert_eq!(told, "arn:aws:s3:::found-by-1", "{script:?}");
    }
}

#[test]
fn a_warning_of_the_place_is_not_lost_with_a_point_that_is_not_published() {
    let backed = backed(Script::IdleLeaving);
    let running = backed.scene.start();
    let id = running.start_backup(log_backup_of("crm"));
    let session = running.assert_state(&id, SessionState::Failed);
    assert_named(&session, "worker-broke-protocol", 1, 1);
    backed.assert_clean();
}

#[test]
fn a_worker_that_has_replaced_nothing_is_lost_without_a_word_of_it() {
    let backed = backed(Script::DiesUpTo(9));
    let running = backed.scene.start_with(backed.settings(1), Arc::new(Observer::default()));
    let id = running.start_backup(log_backup_of("crm"));
    let session = running.assert_state(&id, SessionState::Failed);
    let failure = session.failure().unwrap();
    assert!(failure.code == "worker-lost" && !failure.remedy.contains("rds_tlog_copy_setup"), "{failure}");
}

#[test]
fn a_session_that_another_version_began_names_the_place() {
    let backed = backed(Script::SubmitsUpTo(1));
    let (running, id, frozen) = backed.between_two(3);
    backed.scene.fleet.follow(Script::Endless);
    frozen.release();
    at_work(&backed, &running, &id, 2);
    let (sessions, of) = (running.sessions.clone(), id.clone());
    running.run(async move { sessions.state().set_workflow_version(&of, "0").await.unwrap() });
    running.kill();
    crate::crashes::begun_by_another_version(&backed.scene.settings().state_dir.join("workflows.db"));
    let again = backed.scene.start();
    assert_named(&again.assert_state(&id, SessionState::Failed), "coordinator-upgraded", 1, 2);
    backed.assert_clean();
}
