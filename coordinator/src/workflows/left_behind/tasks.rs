//! Tasks that RDS may still be carrying out, since the worker that would have ended them was lost or cut off.

use super::last_word;
use crate::state::{Result, Session, State};
use crate::workers::tasks::{self, Task};

/// What to do about them, in words; `None` where there are none.
pub(in crate::workflows) async fn running(state: &State, session: &Session) -> Result<Option<String>> {
    let Some((_, None)) = last_word(state, session).await? else { return Ok(None) };
    let tasks = tasks::of_session(state, &session.id).await?;
    let open: Vec<String> = tasks.into_iter().filter(|task| task.ended.is_none()).map(named).collect();
    Ok((!open.is_empty()).then(|| {
        format!(
            "RDS may still be at {}: cancel it with msdb.dbo.rds_cancel_task on {} if it is",
            open.join(", "),
            session.resource
        )
    }))
}

fn named(Task { submitted, .. }: Task) -> String {
    format!("task {} ({} of {})", submitted.task_id, submitted.kind, submitted.database)
}
