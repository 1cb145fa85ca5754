//! Tables of the restored copy are read as they were read at backup, several at once, and only added up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use haulier_domain::failure::Failure;
use haulier_domain::postgres::content::{Content, Tally};
use haulier_domain::postgres::quote;
use haulier_domain::postgres::verification::{Member, statement};
use tokio::task::JoinSet;

use super::super::connect::{Connector, Session};
use super::super::context::{Context, ProgressEvent, Stopped};
use super::super::failures;
use super::super::side_by_side::all_or_why;
use super::super::text::AS_TEXT;

/// A table to read, with the number of the group it belongs to.
pub(super) type Task = (usize, Member);

/// Reads the tables, so many at once, in the order given. Answers the content of each, with its group's number.
pub(super) async fn tables(
    connector: &Connector,
    database: &str,
    encoding: &str,
    tasks: VecDeque<Task>,
    parallel: usize,
    context: &Context,
) -> Result<Vec<(usize, Content)>, Stopped> {
    let readers = parallel.clamp(1, tasks.len().max(1));
    let tasks = Arc::new(Mutex::new(tasks));
    let mut running: JoinSet<Result<Vec<(usize, Content)>, Stopped>> = JoinSet::new();
    for _ in 0..readers {
        let (connector, tasks, context) = (connector.clone(), Arc::clone(&tasks), context.clone());
        let (database, encoding) = (database.to_owned(), encoding.to_owned());
        running.spawn(async move {
            let session = open(&connector, &database, &encoding).await?;
            let mut found = Vec::new();
            while let Some((group, member)) = next(&tasks) {
                found.push((group, read(&session, &database, &encoding, &member, &context).await?));
            }
            Ok(found)
        });
    }
    let mut done = Vec::new();
    while let Some(one) = running.join_next().await {
        let one = one.map_err(|error| Stopped::from(defect(&error.to_string()))).flatten();
        if one.is_err() {
            // The others have nothing to read any more.
            tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        done.push(one);
    }
    Ok(all_or_why(done)?.concat())
}

fn next(tasks: &Mutex<VecDeque<Task>>) -> Option<Task> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// A session that reads values as those of a backup do.
async fn open(connector: &Connector, database: &str, encoding: &str) -> Result<Session, Stopped> {
    let session = connector.connect(database).await?;
    let sql = format!("{AS_TEXT}; SET client_encoding = {}", quote::literal(encoding));
    session.execute("reading the restored copy", &sql).await?;
    Ok(session)
}

async fn read(
    session: &Session,
    database: &str,
    encoding: &str,
    member: &Member,
    context: &Context,
) -> Result<Content, Stopped> {
    let name = quote::qualified(&member.schema, &member.name);
    let doing = format!("reading table {name} of the scratch database {database:?}");
    let _moving = context.moving(format!("{database}: {name}"));
    let failed = |error: &tokio_postgres::Error| Stopped::from(failures::database(&doing, error));
    let sql = statement(member, encoding);
    let rows = session.obey(session.client().copy_out(&sql)).await?.map_err(|error| failed(&error))?;
    futures::pin_mut!(rows);
    let mut tally = Tally::default();
    while let Some(row) = session.obey(rows.try_next()).await?.map_err(|error| failed(&error))? {
        tally.push(&row);
        context.progress.report(ProgressEvent::Moved(row.len() as u64));
    }
    let cut = || defect("the scratch server's rows end within a row");
    Ok(tally.finish().ok_or_else(cut)?)
}

pub(super) fn defect(cause: &str) -> Failure {
    Failure::new("mover-defect", "reading the restored copy", cause, "report this with the session's log")
}
