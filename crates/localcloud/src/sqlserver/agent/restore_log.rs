//! RESTORE_DB_LOG and RESTORE_DB_LOG_NORECOVERY.

use super::super::backup::{Header, Inspected, Kind, Records, inspect};
use super::super::restore::CannotRestore;
use super::super::roll_forward::{CannotRollForward, FALLS_SHORT, check};
use super::restore::{Incoming, RANGE, incoming, objects};
use super::{Failure, Run};

pub(super) async fn run(run: &Run, norecovery: bool) -> Result<(), Failure> {
    let order = &run.task.order;
    let (bucket, location) = run.bucket().await?;
    let files = incoming(run, &bucket, objects(&bucket, &location).await?).await?;
    let Ok([mut file]) = <[_; 1]>::try_from(files) else {
        return Err(Failure(vec!["A transaction log backup is restored from exactly one file.".to_owned()]));
    };
    while file.offset < file.size {
        file.read(&bucket, RANGE).await?;
        run.progress(file.offset, file.size)?;
    }
    if !file.unpacker.is_whole() {
        return Err(Failure(vec![format!("The volume on device '{}' is incomplete.", file.key)]));
    }
    let (header, records) = tokio::task::spawn_blocking(move || read(&file)).await??;
    let done = run.instance.change(|state| {
        let outcome = check(&header, records, state.get(&order.database), order.stop)?;
        let falls_short = outcome.falls_short;
        if let Some(database) = state.get_mut(&order.database) {
            outcome.apply(database);
            if !norecovery && !falls_short {
                database.come_online();
            }
        }
        Ok::<_, CannotRollForward>(falls_short)
    });
    match done.map_err(|error| Failure(vec![format!("{error:#}")]))? {
        Ok(true) => run.note(FALLS_SHORT),
        Ok(false) => {}
        Err(error) => {
            return Err(Failure(vec![error.to_string(), "RESTORE LOG is terminating abnormally.".to_owned()]));
        }
    }
    Ok(())
}

/// The log in a file that came whole. Blocking.
fn read(file: &Incoming) -> Result<(Box<Header>, Records), Failure> {
    let path = file.draft.path();
    let (header, range) = match inspect(path)? {
        Inspected::Plain(header, range) if header.kind == Kind::Log => (header, range),
        // Also what is encrypted, where no key was given.
        Inspected::Foreign => return Err(CannotRestore::Malformed(file.key.clone()).into()),
        Inspected::Plain(..) | Inspected::Compressed => return Err(CannotRollForward::OtherKind.into()),
    };
    let records = Records::read(path, &range)?.ok_or(CannotRollForward::OtherKind)?;
    Ok((header, records))
}
