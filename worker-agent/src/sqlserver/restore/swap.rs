//! A restored database takes the place of the one that it replaces: the old one is moved aside, and the new one gets its
//! name. The old one is dropped when it is remembered that the new one is complete; until then everything can be put back.

use std::collections::BTreeSet;

use haulier_domain::clash;
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::restore::{self, Swap};

use crate::mover::sinks::Stopped;
use crate::sqlserver::calls::Patience;
use crate::sqlserver::context::Context;
use crate::sqlserver::failures;
use crate::sqlserver::port::CallError;

/// The names that exist.
async fn names(what: &str, context: &Context) -> Result<BTreeSet<String>, Stopped> {
    let there = context.read(what, || context.server.databases()).await?;
    Ok(there.into_iter().map(|database| database.name).collect())
}

/// Goes on until the database has its final name.
pub(super) async fn take_place(working: &str, name: &str, what: &str, context: &Context) -> Result<(), Stopped> {
    let replaced = clash::replaced_name(working);
    let mut patience = Patience::new(&context.pace);
    let mut before = None;
    loop {
        let existing = names(what, context).await?;
        let next = restore::swap(&existing, working, name, &replaced);
        if before == Some(next) {
            // The call for it was lost on its way.
            let pause = patience.pause().ok_or_else(|| stuck(what, next))?;
            context.pause(pause).await?;
        }
        match next {
            Swap::Done => return Ok(()),
            Swap::MoveAside => rename(what, name, &replaced, context).await?,
            Swap::TakeName => rename(what, working, name, context).await?,
            // Somebody has dropped the old one meanwhile, so that there was nothing to move aside.
            Swap::Gone if before == Some(Swap::TakeName) && existing.contains(name) => return Ok(()),
            Swap::Taken => return Err(taken(what, name, &replaced).into()),
            Swap::Gone => {
                let cause = format!("database {working:?}, which was restored, is gone");
                return Err(Failure::new("restore-target-in-use", what, cause, "find out who drops databases").into());
            }
        }
        before = Some(next);
    }
}

/// Drops what was replaced, where it is still there. The restore is complete whether or not that can be had.
pub(super) async fn drop_replaced(working: &str, name: &str, context: &Context) -> Result<Option<String>, Stopped> {
    let what = format!("dropping what {name:?} has replaced");
    let replaced = clash::replaced_name(working);
    if !names(&what, context).await?.contains(&replaced) {
        return Ok(None);
    }
    let dropped = context.read(&what, || context.server.drop_database(&replaced)).await;
    match dropped {
        Ok(()) => Ok(None),
        Err(Stopped::Cancelled) => Err(Stopped::Cancelled),
        Err(Stopped::Failed(_)) if !names(&what, context).await?.contains(&replaced) => Ok(None),
        Err(Stopped::Failed(failure)) => {
            Ok(Some(format!("database {replaced:?}, which {name:?} has replaced, could not be dropped: {failure}")))
        }
    }
}

async fn rename(what: &str, from: &str, to: &str, context: &Context) -> Result<(), Stopped> {
    match context.settled(context.server.rename_database(from, to)).await? {
        // What has become of it is seen by the names.
        Ok(()) | Err(CallError::Lost(_) | CallError::Strange(_)) => Ok(()),
        Err(error) => {
            let mut failure = failures::call(what, &error);
            failure.cause = format!("{from:?} cannot be renamed to {to:?}: {}", failure.cause);
            failure.remedy = format!(
                "a Multi-AZ instance renames no database: convert it to Single-AZ first, or restore without replacing; {}",
                failure.remedy
            );
            Err(failure.into())
        }
    }
}

fn stuck(what: &str, step: Swap) -> Failure {
    let cause = format!("the instance renames no database ({step:?})");
    Failure::new("restore-target-in-use", what, cause, "look at the databases of the instance, then run again")
}

fn taken(what: &str, name: &str, replaced: &str) -> Failure {
    let cause = format!("somebody has made another database {name:?}; the one to be replaced is {replaced:?} now");
    let remedy = "decide which of the two is wanted under that name, rename it, and run again";
    Failure::new("restore-name-taken", what, cause, remedy)
}
