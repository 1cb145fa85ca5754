//! A restore that ends without its worker's word says what may be left on its target.
//!
//! A worker that ends by itself has tidied up, or says what it could not. One that is lost, is cut off by the end of its
//! session, or takes no notice of a cancel says nothing, and the next one may never come to look: all workers are used up,
//! there is no room for another, or somebody cancels in between. Then the names are computed here.
//!
//! Tasks that RDS carries out by itself may go on after that, too: they are named with how they are cancelled.

use std::collections::BTreeSet;

use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::postgres::clash::{replaced_name, working_name};
use haulier_domain::postgres::left_behind::{Asked, CODE, LeftBehind};
use haulier_domain::session::{Outcome, Stop};
use haulier_proto::worker::v1::assignment::Work as Assigned;
use haulier_proto::worker::v1::{Assignment, Finished, PartRestored};
use prost::Message as _;

use crate::sessions::{DatabaseSelection, OnClash, Request, RestoreRequest};
use crate::state::{Result, Session, State};
use crate::workers::tasks::{self, Task};
use crate::workers::{EVENT_FINISHED, restored, worker_id};

/// The outcome, with what may be left where nobody has said that it is not.
pub(super) async fn said(state: &State, session: &Session, outcome: Outcome) -> Result<Outcome> {
    let (Request::DatabaseRestore(request), Err(stop)) = (&session.request, &outcome) else { return Ok(outcome) };
    let Some(epoch) = without_a_word(state, session).await? else { return Ok(outcome) };
    if is_native(state, session, epoch).await? {
        return said_natively(state, session, request, stop.clone(), epoch).await.map(Err);
    }
    let databases = unrestored(request, &restored::parts(state, &session.id).await?);
    if databases.is_empty() {
        return Ok(outcome);
    }
    let left = LeftBehind { key: session.id.as_str(), instance: &request.target.id, databases: &databases };
    let cause = format!("the session ended without a word from its worker of epoch {epoch}, which was at work");
    Ok(Err(match stop {
        Stop::Failed(failure) => Stop::Failed(left.add_to(failure.clone())),
        Stop::CancelledLeaving(failure) => Stop::CancelledLeaving(left.add_to(failure.clone())),
        Stop::Cancelled => Stop::CancelledLeaving(left.failure(cause)),
    }))
}

/// The epoch of the last worker at work, where it has not come to its end.
async fn without_a_word(state: &State, session: &Session) -> Result<Option<Epoch>> {
    let Some(epoch) = state.last_at_work(&session.id).await? else { return Ok(None) };
    let last = state.last_event(&session.id, epoch, EVENT_FINISHED).await?;
    let has_ended =
        last.is_some_and(|event| Finished::decode(event.body.as_slice()).is_ok_and(|last| last.result.is_some()));
    Ok((!has_ended).then_some(epoch))
}

/// Tasks that RDS may still be carrying out, since the worker that would have ended them was lost or cut off: what to do about
/// them, in words.
pub(super) async fn running_tasks(state: &State, session: &Session) -> Result<Option<String>> {
    if without_a_word(state, session).await?.is_none() {
        return Ok(None);
    }
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

/// Whether the worker was told to have RDS restore.
async fn is_native(state: &State, session: &Session, epoch: Epoch) -> Result<bool> {
    let (assignment, _) = state.assignment(&worker_id(&session.id, epoch)).await?;
    let assigned = Assignment::decode(assignment.as_slice()).ok().and_then(|assignment| assignment.work);
    Ok(matches!(assigned, Some(Assigned::RestoreSqlServer(_))))
}

/// What a native restore may have left: databases in the state RESTORING, or complete ones that nobody has reported. Without a
/// task of RDS there is none.
async fn said_natively(
    state: &State,
    session: &Session,
    request: &RestoreRequest,
    stop: Stop,
    epoch: Epoch,
) -> Result<Stop> {
    let restored = restored::parts(state, &session.id).await?;
    let tasks = tasks::of_session(state, &session.id).await?;
    let names: BTreeSet<&str> = tasks.iter().map(|task| task.submitted.database.as_str()).collect();
    let databases = half_restored(session.id.as_str(), &request.databases, &restored, &names);
    if databases.is_empty() {
        return Ok(stop);
    }
    let target = &request.target.id;
    let left = format!("{target} may still have databases that RDS was restoring: {}", databases.join(", "));
    let remedy = format!("look for them on {target}, and drop with msdb.dbo.rds_drop_database what is not wanted");
    let add_to = |failure: &Failure| Failure {
        cause: format!("{}; {left}", failure.cause),
        remedy: format!("{remedy}; {}", failure.remedy),
        ..failure.clone()
    };
    Ok(match &stop {
        Stop::Failed(failure) => Stop::Failed(add_to(failure)),
        Stop::CancelledLeaving(failure) => Stop::CancelledLeaving(add_to(failure)),
        Stop::Cancelled => {
            let what = format!("removing from {target} what was half-restored");
            let cause =
                format!("the session ended without a word from its worker of epoch {epoch}, which was at work; {left}");
            Stop::CancelledLeaving(Failure::new(CODE, what, cause, remedy))
        }
    })
}

/// What may be left of databases that tasks of RDS were for, those aside that are complete.
fn half_restored(
    key: &str,
    databases: &[DatabaseSelection],
    restored: &[PartRestored],
    tasks: &BTreeSet<&str>,
) -> Vec<String> {
    let is_open = |name: &&str| restored.iter().all(|part| !is_of(key, part, name));
    let replaced = |name: &str| {
        let of_name = |asked: &Asked| asked.replaces && asked.working_name(key) == name;
        databases.iter().map(asked).find(of_name)
    };
    let told = |name: &str| match replaced(name) {
        Some(Asked { name: last, .. }) => {
            format!("{name:?}, or {last:?} in its place and what that has replaced as {:?}", replaced_name(name))
        }
        None => format!("{name:?}"),
    };
    tasks.iter().copied().filter(is_open).map(told).collect()
}

/// Whether a task for a database of this name belongs to the part: RDS restores it under its last name, or under one of its own
/// until it takes the place of another. The name that was asked for, which a suffix was added to, is another database's.
fn is_of(key: &str, part: &PartRestored, name: &str) -> bool {
    name == part.restored_as || name == working_name(key, &part.database, &part.target_name)
}

/// The databases that nobody has reported as complete.
fn unrestored(request: &RestoreRequest, parts: &[PartRestored]) -> Vec<Asked> {
    let names = restored::names(request, parts);
    let open = request.databases.iter().zip(names).filter(|(_, name)| name.is_none());
    open.map(|(selection, _)| asked(selection)).collect()
}

fn asked(selection: &DatabaseSelection) -> Asked {
    Asked {
        database: selection.database.clone(),
        name: selection.name_on_target().to_owned(),
        replaces: selection.on_clash == OnClash::Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ses-1";

    fn part(database: &str, target_name: &str, restored_as: &str) -> PartRestored {
        PartRestored {
            database: database.into(),
            target_name: target_name.into(),
            restored_as: restored_as.into(),
            ..PartRestored::default()
        }
    }

    #[test]
    fn a_task_belongs_to_what_was_restored_under_its_name() {
        let working = working_name(KEY, "shop", "shop");
        let cases = [
            // Under the name that was asked for, under a suffix, in the place of another.
            (part("shop", "copy", "copy"), "copy", true),
            (part("shop", "shop", "shop_restored_1"), "shop_restored_1", true),
            (part("shop", "shop", "shop"), working.as_str(), true),
            // The database that it came from, and the one that had the name already.
            (part("shop", "copy", "copy"), "shop", false),
            (part("shop", "shop", "shop_restored_1"), "shop", false),
            (part("crm", "shop", "shop"), working.as_str(), false),
        ];
        for (part, name, expected) in cases {
            assert_eq!(is_of(KEY, &part, name), expected, "{part:?} {name}");
        }
    }

    #[test]
    fn what_was_to_be_replaced_is_named_with_what_was_half_restored() {
        let selection = |database: &str, target_name: &str, on_clash| DatabaseSelection {
            database: database.into(),
            target_name: target_name.into(),
            on_clash,
            schemas: Vec::new(),
            tables: Vec::new(),
        };
        let databases = [
            selection("crm", "", OnClash::Replace),
            selection("shop", "", OnClash::Replace),
            selection("erp", "", OnClash::Suffix),
        ];
        let (crm, shop) = (working_name(KEY, "crm", "crm"), working_name(KEY, "shop", "shop"));
        let tasks = BTreeSet::from([crm.as_str(), shop.as_str(), "erp_restored_1"]);
        let restored = [part("crm", "crm", "crm")];
        let said = half_restored(KEY, &databases, &restored, &tasks);
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[0], "\"erp_restored_1\"");
        for name in [&shop, &replaced_name(&shop), "\"shop\""] {
            assert!(said[1].contains(name), "{name}: {said:?}");
        }
        assert_eq!(half_restored(KEY, &databases, &restored, &BTreeSet::from([crm.as_str()])), [""; 0]);
    }
}
