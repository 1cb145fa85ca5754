//! The DB snapshot of a session: part of its restore point, removed if there is to be none.

use haulier_cloud::databases::DbSnapshot;
use haulier_domain::failure::Failure;
use haulier_domain::id::Epoch;
use haulier_domain::session::Severity;
use jiff::Timestamp;

use super::preflight::Source;
use crate::failures;
use crate::ledger::{Intent, Resource, TAG_INSTALLATION, TAG_SEALED, TAG_SESSION};
use crate::sealed_tag::SealedTag;
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, During as _, Trouble};

/// The identifier of the session's snapshot.
pub(in crate::workflows) fn name(work: &Work) -> String {
    work.naming.of_session("snapshot")
}

/// Takes the snapshot and waits until it is available. Its identifier is its token: one of that name that carries this
/// session's tags is the one that an earlier attempt made.
pub(in crate::workflows) async fn take(work: &Work, source: &Source) -> Attempt<()> {
    let name = name(work);
    let what = || format!("taking snapshot {name} of {}", source.id);
    let intent = Intent {
        session: work.id().clone(),
        epoch: Epoch(0),
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        name: name.clone(),
        resource: Resource::DbSnapshot,
    };
    let entry = work.services.state.intend(&intent).await?;
    let databases = work.services.cloud.databases(work.place()).await.during(what)?;
    let mut tags = work.naming.tags(Epoch(0), &name);
    let sealed = SealedTag { instance: &source.id, policy: &work.session.policy, created: Timestamp::now() };
    let sealed = work.services.key.seal(&sealed.encode()).map_err(|error| sealing(what(), &error))?;
    tags.insert(TAG_SEALED.to_owned(), sealed);
    match databases.create_snapshot(&source.id, &name, &tags).await {
        Ok(_) => {}
        Err(error) if error.is_already_exists() => {
            match databases.snapshot(&name).await.during(what)? {
                Some(snapshot) if is_ours(work, &snapshot) => {}
                Some(_) => return Err(error).during(what),
                // The name is taken and the snapshot not listed: the listing lags behind.
                None => return Err(Trouble::Again(failures::cloud(&what(), &error))),
            }
        }
        Err(error) => return Err(error).during(what),
    }
    work.services.state.mark_created(entry.id, &name).await?;
    work.log(Severity::Info, &format!("snapshot {name} is being taken")).await;
    available(work, &name).await
}

async fn available(work: &Work, name: &str) -> Attempt<()> {
    let what = || format!("waiting for snapshot {name}");
    let settled = work.services.poller.snapshot(work.place(), name, |snapshot| {
        match snapshot.map(|snapshot| snapshot.status.as_str()) {
            Some("available") => Some(Ok(())),
            Some("creating") | None => None,
            Some(status) => Some(Err(Trouble::from(
                Failure::new(
                    "db-snapshot-failed",
                    what(),
                    format!("RDS reports it as {status:?}"),
                    "see the instance's events in RDS, then run the session again",
                )
                .retryable(),
            ))),
        }
    });
    work.wait(work.services.settings.pace.session, || unknown(what()), settled).await
}

fn is_ours(work: &Work, snapshot: &DbSnapshot) -> bool {
    let tagged = |key: &str, value: &str| snapshot.tags.get(key).is_some_and(|tag| tag == value);
    tagged(TAG_SESSION, work.id().as_str()) && tagged(TAG_INSTALLATION, work.services.installation.as_str())
}

fn unknown(what: String) -> Failure {
    Failure::new("db-snapshot-failed", what, "it did not become available in time", "run the session again").retryable()
}

fn sealing(what: String, error: &crate::installation_key::KeyError) -> Failure {
    Failure::new("coordinator-key", what, error.to_string(), "see the coordinator's log")
}
