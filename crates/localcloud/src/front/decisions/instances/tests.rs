//! Tables after "Amazon EC2 instance state changes" and "Change the instance initiated shutdown behavior".

use super::*;

const ID: &str = "i-0123456789abcdef0";

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// An instance that boots.
pub(crate) fn instance(id: &str, groups: &[&str]) -> Instance {
    Instance {
        id: id.to_owned(),
        reservation_id: "r-1".to_owned(),
        launch_index: 0,
        image_id: "ami-1".to_owned(),
        instance_type: "t3.micro".to_owned(),
        subnet: Subnet { id: "subnet-1".into(), vpc_id: "vpc-1".into(), zone: "eu-central-1a".into() },
        private_address: None,
        group_ids: groups.iter().map(|group| (*group).to_owned()).collect(),
        profile: None,
        user_data: Vec::new(),
        terminate_on_shutdown: true,
        metadata_tokens: "required".to_owned(),
        client_token: None,
        launched_at: now(),
        state: State::Pending,
        state_reason: None,
        ended_at: None,
        booting: true,
        tags: Tags::new(),
    }
}

fn in_state(state: State, terminate_on_shutdown: bool) -> Instances {
    let mut instances = Instances::default();
    instances.insert(Instance { state, terminate_on_shutdown, booting: false, ..instance(ID, &[]) });
    instances
}

#[test]
fn pending_becomes_running_and_nothing_else_does() {
    use State::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    for (before, after) in [
        (Pending, Running),
        (Running, Running),
        (ShuttingDown, ShuttingDown),
        (Terminated, Terminated),
        (Stopping, Stopping),
        (Stopped, Stopped),
    ] {
        let mut instances = in_state(before, true);
        instances.started(ID);
        assert_eq!(instances.get(ID).unwrap().state, after, "{before:?}");
    }
}

#[test]
fn terminating_twice_is_no_error() {
    use State::{Pending, Running, ShuttingDown, Stopped, Terminated};
    for (before, after) in [
        (Pending, ShuttingDown),
        (Running, ShuttingDown),
        (Stopped, ShuttingDown),
        (ShuttingDown, ShuttingDown),
        (Terminated, Terminated),
    ] {
        let mut instances = in_state(before, true);
        let changes = instances.terminate(&[ID.to_owned()]).unwrap();
        assert_eq!(changes, [StateChange { id: ID.to_owned(), previous: before, current: after }]);
    }
}

#[test]
fn terminating_is_all_or_none() {
    let mut instances = in_state(State::Running, true);
    for (other, code) in
        [("i-00000000000000000", "InvalidInstanceID.NotFound"), ("nonsense", "InvalidInstanceID.Malformed")]
    {
        let error = instances.terminate(&[ID.to_owned(), other.to_owned()]).unwrap_err();
        assert_eq!(error.code, code);
        assert_eq!(instances.get(ID).unwrap().state, State::Running);
    }
}

#[test]
fn power_off_follows_the_shutdown_behaviour() {
    use State::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    for (before, terminate, during, after) in [
        (Running, true, Some(ShuttingDown), Terminated),
        (Pending, true, Some(ShuttingDown), Terminated),
        (Running, false, Some(Stopping), Stopped),
        (ShuttingDown, true, None, Terminated),
        (Terminated, true, None, Terminated),
    ] {
        let mut instances = in_state(before, terminate);
        assert_eq!(instances.powered_off(ID).map(|change| change.current), during, "{before:?}");
        instances.ended(ID, now());
        assert_eq!(instances.get(ID).unwrap().state, after, "{before:?}");
    }
    assert_eq!(Instances::default().powered_off(ID), None);
}

#[test]
fn a_failed_boot_ends_the_instance() {
    let mut instances = in_state(State::Pending, true);
    instances.boot_failed(ID, now());
    let instance = instances.get(ID).unwrap();
    assert!(!instance.exists());
    assert_eq!(instance.state_reason.as_ref().unwrap().0, "Server.InternalError");
}

#[test]
fn the_terminated_are_listed_for_an_hour() {
    let mut instances = in_state(State::ShuttingDown, true);
    instances.ended(ID, now());
    instances.forget_old(now() + jiff::SignedDuration::from_mins(59));
    assert!(instances.get(ID).is_ok());
    instances.forget_old(now() + jiff::SignedDuration::from_mins(60));
    assert!(instances.get(ID).is_err());
}
