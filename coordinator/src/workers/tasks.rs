//! Tasks of the engine's own that a session's workers have submitted: they outlive the workers, and the coordinator.

use haulier_domain::id::SessionId;
use haulier_proto::worker::v1::{TaskEnded, TaskSubmitted};
use prost::Message as _;

use super::{EVENT_TASK_ENDED, EVENT_TASK_SUBMITTED};
use crate::state::{Result, State};

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
    // An event that cannot be read says nothing; its task is found by the key of its object.
    let submitted = state.events_of_session(session, EVENT_TASK_SUBMITTED).await?;
    let submitted = submitted.iter().filter_map(|event| TaskSubmitted::decode(event.body.as_slice()).ok());
    let ended = state.events_of_session(session, EVENT_TASK_ENDED).await?;
    let ended: Vec<_> = ended.iter().filter_map(|event| TaskEnded::decode(event.body.as_slice()).ok()).collect();
    let mut tasks: Vec<Task> = Vec::new();
    for submitted in submitted {
        if tasks.iter().all(|known| known.submitted.task_id != submitted.task_id) {
            let ended = ended.iter().find(|ended| ended.task_id == submitted.task_id).cloned();
            tasks.push(Task { submitted, ended });
        }
    }
    Ok(tasks)
}
