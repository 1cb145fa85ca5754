//! Every call that a session with SQL Server makes besides those of other sessions fails once, in every way.

use std::sync::Arc;
use std::time::Duration;

use haulier_cloud::doubles::{Fault, Rule};
use haulier_cloud::error::ErrorKind;
use haulier_coordinator::settings::Settings;
use haulier_domain::session::SessionState;

use crate::support::native::native_backup_of;
use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{Scene, groups_of};

/// Calls that change something.
const CHANGES: [&str; 8] = [
    "CreateDBSnapshot",
    "CreateBucket",
    "PutPublicAccessBlock",
    "PutBucketPolicy",
    "PutBucketLifecycleConfiguration",
    "PutBucketTagging",
    "DeleteObjects",
    "DeleteBucket",
];

/// Calls that read.
const READS: [&str; 3] = ["DescribeOptionGroups", "GetRole", "DescribeDBSnapshots"];

fn backup_with(rule: Rule, wanted: SessionState, what: &str) {
    let scene = Scene::new(Script::Obedient);
    let settings = scene.settings();
    backup_in(&scene, settings, rule, wanted, what);
}

fn backup_in(scene: &Scene, settings: Settings, rule: Rule, wanted: SessionState, what: &str) {
    let before = groups_of(&scene.access.memory, "crm");
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    scene.access.faults.add(rule);
    let id = running.start_backup(native_backup_of("crm", 7));
    let session = running.ended(&id);
    assert!(scene.access.faults.fired() > 0, "{what}: the fault never fired");
    assert_eq!(session.state, wanted, "{what}: {:#?}", session.outcome);
    let kept: &[_] = if session.state == SessionState::Succeeded { &[&id] } else { &[] };
    assert_eq!(scene.leftovers(kept), [""; 0], "{what}");
    assert_eq!(groups_of(&scene.access.memory, "crm"), before, "{what}");
}

#[test]
fn an_answer_lost_after_the_effect_is_asked_for_again() {
    for operation in CHANGES {
        backup_with(Rule::once(operation, Fault::After), SessionState::Succeeded, operation);
    }
}

#[test]
fn a_call_lost_on_its_way_is_made_again() {
    for operation in CHANGES.iter().chain(&READS) {
        backup_with(Rule::once(*operation, Fault::Lost), SessionState::Succeeded, operation);
    }
}

#[test]
fn throttling_is_waited_out() {
    for operation in CHANGES.iter().chain(&READS) {
        backup_with(Rule::once(*operation, Fault::Throttle).times(3), SessionState::Succeeded, operation);
    }
}

#[test]
fn a_bucket_that_is_not_known_yet_is_asked_for_again() {
    for operation in ["PutPublicAccessBlock", "PutBucketPolicy", "PutBucketLifecycleConfiguration", "PutBucketTagging"]
    {
        let rule = Rule::once(operation, Fault::Before(ErrorKind::NotFound));
        let scene = Scene::new(Script::Obedient);
        let mut settings = scene.settings();
        settings.pace.settle = Duration::from_secs(2);
        backup_in(&scene, settings, rule, SessionState::Succeeded, operation);
    }
}

#[test]
fn a_refusal_fails_the_session_and_leaves_nothing() {
    for operation in ["DescribeOptionGroups", "CreateBucket", "PutBucketPolicy", "PutBucketTagging"] {
        backup_with(Rule::once(operation, Fault::Before(ErrorKind::Denied)), SessionState::Failed, operation);
    }
}

#[test]
fn teardown_outlasts_a_long_row_of_failures() {
    for operation in ["DeleteObjects", "DeleteBucket"] {
        let rule = Rule::once(operation, Fault::Before(ErrorKind::Denied)).times(12);
        backup_with(rule, SessionState::Succeeded, operation);
    }
}
