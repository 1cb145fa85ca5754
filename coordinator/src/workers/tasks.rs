//! Tasks of the engine's own that a session's workers have submitted: they outlive the workers, and the coordinator.

use std::collections::{BTreeMap, BTreeSet};

use haulier_domain::id::SessionId;
use haulier_proto::worker::v1::{LogTargetReplaced, TaskEnded, TaskSubmitted};
use prost::Message as _;

use super::{EVENT_LOG_TARGET, EVENT_TASK_ENDED, EVENT_TASK_SUBMITTED};
use crate::state::{Result, State, WorkerEvent};

/// A task, as far as workers have told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What was submitted.
    pub submitted: TaskSubmitted,
    /// How it ended; `None` while no worker has said so.
    pub ended: Option<TaskEnded>,
}

/// The tasks of a session, in the order in which workers told of them. One that several have told of is listed once.
///
/// # Errors
/// Where the state cannot be read.
pub async fn of_session(state: &State, session: &SessionId) -> Result<Vec<Task>> {
    let submitted = state.events_of_session(session, EVENT_TASK_SUBMITTED).await?;
    let ended = state.events_of_session(session, EVENT_TASK_ENDED).await?;
    Ok(together(&submitted, &ended))
}

/// Where the session's instance copied log backups to before the session, as the last of its workers that replaced it has
/// told: an ARN. The operator may have set another one in between. `None` while none has, and once it is so again.
///
/// # Errors
/// Where the state cannot be read.
pub(crate) async fn log_target(state: &State, session: &SessionId) -> Result<Option<String>> {
    Ok(replaced(&state.events_of_session(session, EVENT_LOG_TARGET).await?))
}

fn replaced(told: &[WorkerEvent]) -> Option<String> {
    let read = |event: &WorkerEvent| LogTargetReplaced::decode(event.body.as_slice()).ok();
    told.iter().rev().find_map(read).map(|told| told.target_arn).filter(|arn| !arn.is_empty())
}

/// Which of these sessions have a task of which no worker has said that it has ended.
pub(crate) async fn unended(state: &State, sessions: &[&SessionId]) -> Result<BTreeSet<SessionId>> {
    let submitted = by_session(state.events_of_sessions(sessions, EVENT_TASK_SUBMITTED).await?);
    let ended = by_session(state.events_of_sessions(sessions, EVENT_TASK_ENDED).await?);
    let of = |session: &SessionId| ended.get(session).map(Vec::as_slice).unwrap_or_default();
    let is_open = |(session, submitted): (SessionId, Vec<WorkerEvent>)| {
        let open = together(&submitted, of(&session)).iter().any(|task| task.ended.is_none());
        open.then_some(session)
    };
    Ok(submitted.into_iter().filter_map(is_open).collect())
}

fn by_session(events: Vec<(SessionId, WorkerEvent)>) -> BTreeMap<SessionId, Vec<WorkerEvent>> {
    let mut by_session: BTreeMap<SessionId, Vec<WorkerEvent>> = BTreeMap::new();
    for (session, event) in events {
        by_session.entry(session).or_default().push(event);
    }
    by_session
}

/// What was submitted, with its end. An event that cannot be read says nothing; its task is found by the key of its object.
fn together(submitted: &[WorkerEvent], ended: &[WorkerEvent]) -> Vec<Task> {
    let submitted = submitted.iter().filter_map(|event| TaskSubmitted::decode(event.body.as_slice()).ok());
    let ended: Vec<_> = ended.iter().filter_map(|event| TaskEnded::decode(event.body.as_slice()).ok()).collect();
    let mut tasks: Vec<Task> = Vec::new();
    for submitted in submitted {
        if tasks.iter().all(|known| known.submitted.task_id != submitted.task_id) {
            let ended = ended.iter().find(|ended| ended.task_id == submitted.task_id).cloned();
            tasks.push(Task { submitted, ended });
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_was_put_back_is_replaced_no_longer() {
        let event = |arn: &str| WorkerEvent {
            kind: EVENT_LOG_TARGET.to_owned(),
            body: LogTargetReplaced { target_arn: arn.to_owned() }.encode_to_vec(),
        };
        for (told, expected) in [
            (&[][..], None),
            (&["arn:a"], Some("arn:a")),
            (&["arn:a", "arn:b"], Some("arn:b")),
            (&["arn:a", ""], None),
            (&["arn:a", "", "arn:b"], Some("arn:b")),
        ] {
            let told: Vec<_> = told.iter().map(|arn| event(arn)).collect();
            assert_eq!(replaced(&told).as_deref(), expected);
        }
    }
}
