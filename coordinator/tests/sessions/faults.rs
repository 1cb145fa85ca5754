//! Every call to the cloud fails once, in every way: lost before or after its effect, throttled, refused for good.

use haulier_cloud::doubles::{Fault, Rule};
use haulier_cloud::error::ErrorKind;
use haulier_domain::session::SessionState;

use crate::support::worker::Script;
use crate::support::{Scene, groups_of};

/// Calls of a backup that change something.
const CHANGES: [&str; 12] = [
    "CreateDBSnapshot",
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "AuthorizeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "RevokeSecurityGroupEgress",
    "RunInstances",
    "ModifyDBInstance",
    "AssumeRole",
    "TerminateInstances",
    "DeleteSecurityGroup",
    "PutObject",
];

/// Calls that read.
const READS: [&str; 6] = [
    "DescribeDBInstances",
    "DescribeDBSnapshots",
    "DescribeInstances",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeImages",
];

fn backup_with(rule: Rule, wanted: Option<SessionState>, what: &str) {
    let scene = Scene::new(Script::Obedient);
    let before = groups_of(&scene.access.memory, "orders");
    let running = scene.start();
    scene.access.faults.add(rule);
    let id = running.backup("orders");
    let session = running.ended(&id);
    assert!(scene.access.faults.fired() > 0, "{what}: the fault never fired");
    if let Some(wanted) = wanted {
        assert_eq!(session.state, wanted, "{what}: {:#?}", session.outcome);
    }
    let succeeded = session.state == SessionState::Succeeded;
    let kept: &[_] = if succeeded { &[&id] } else { &[] };
    assert_eq!(scene.leftovers(kept), [""; 0], "{what}");
    assert_eq!(groups_of(&scene.access.memory, "orders"), before, "{what}");
    let points = scene.access.bucket.keys().iter().filter(|key| key.contains("/points/")).count();
    assert_eq!(points, usize::from(succeeded), "{what}");
}

#[test]
fn an_answer_lost_after_the_effect_is_asked_for_again() {
    for operation in CHANGES {
        backup_with(Rule::once(operation, Fault::After), Some(SessionState::Succeeded), operation);
    }
}

#[test]
fn a_call_lost_on_its_way_is_made_again() {
    for operation in CHANGES.iter().chain(&READS) {
        backup_with(Rule::once(*operation, Fault::Lost), Some(SessionState::Succeeded), operation);
    }
}

#[test]
fn what_was_made_a_moment_ago_and_is_not_known_yet_is_asked_for_again() {
    for (operation, calls) in [
        ("RevokeSecurityGroupEgress", 3),
        ("AuthorizeSecurityGroupIngress", 1),
        ("AuthorizeSecurityGroupEgress", 3),
        ("RunInstances", 1),
        ("ModifyDBInstance", 1),
    ] {
        for skipped in 0..calls {
            let rule = Rule::once(operation, Fault::NotYet).after_calls(skipped);
            backup_with(rule, Some(SessionState::Succeeded), &format!("{operation} after {skipped}"));
        }
    }
}

#[test]
fn what_is_never_known_ends_the_session_and_leaves_nothing() {
    for operation in ["AuthorizeSecurityGroupIngress", "RunInstances", "ModifyDBInstance"] {
        backup_with(Rule::once(operation, Fault::NotYet).times(1000), Some(SessionState::Failed), operation);
    }
}

#[test]
fn throttling_is_waited_out() {
    for operation in CHANGES.iter().chain(&READS) {
        backup_with(Rule::once(*operation, Fault::Throttle).times(3), Some(SessionState::Succeeded), operation);
    }
}

#[test]
fn a_listing_that_lags_behind_misleads_nobody() {
    for operation in ["DescribeDBSnapshots", "DescribeInstances", "DescribeSecurityGroups"] {
        backup_with(Rule::once(operation, Fault::Stale).times(2), Some(SessionState::Succeeded), operation);
    }
}

#[test]
fn a_refusal_fails_the_session_with_its_reason_and_leaves_nothing() {
    for operation in ["CreateDBSnapshot", "CreateSecurityGroup", "RunInstances", "ModifyDBInstance", "AssumeRole"] {
        let rule = Rule::once(operation, Fault::Before(ErrorKind::Denied));
        backup_with(rule, Some(SessionState::Failed), operation);
    }
}

#[test]
fn teardown_outlasts_a_long_row_of_failures() {
    for operation in ["TerminateInstances", "ModifyDBInstance", "DeleteSecurityGroup"] {
        let skip = u32::from(operation == "ModifyDBInstance");
        let rule = Rule::once(operation, Fault::Before(ErrorKind::Denied)).after_calls(skip).times(12);
        backup_with(rule, Some(SessionState::Succeeded), operation);
    }
}
