//! The steps of sessions, as their flows name them.

/// By these a worker comes to its work.
const WORKER: [&str; 5] = ["plan-worker", "open-groups", "launch-worker", "join-instance", "assign"];

/// With these every session ends.
const END: [&str; 3] = ["begin-teardown", "teardown", "end"];

/// Steps of a backup.
pub(crate) fn backup() -> Vec<&'static str> {
    let before = ["wait-for-turn", "preflight", "check-login", "open-domain", "snapshot"];
    [&before[..], &WORKER, &["transfer", "publish"], &END].concat()
}

/// Steps of a restore.
pub(crate) fn restore() -> Vec<&'static str> {
    let before = ["wait-for-turn", "preflight", "check-login", "find-point", "read-point"];
    [&before[..], &WORKER, &["transfer"], &END].concat()
}

/// Those of them up to the transfer, which are cut short by a cancel.
pub(crate) fn up_to_transfer(steps: &[&'static str]) -> Vec<&'static str> {
    steps.split_inclusive(|step| *step == "transfer").next().unwrap_or_default().to_vec()
}
