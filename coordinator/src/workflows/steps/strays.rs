//! Points that were created and never published.
//!
//! A session may end between the two looks of a publication: its workflow was given up, or another version of the coordinator
//! ends it. What it leaves in the repository is in no catalogue and nobody was told of it. Where it is whole it does no harm.
//! Where a prune has deleted what it needs, every later prune would stop at it, since no one knows what a point needs that
//! cannot be read.

use std::collections::BTreeSet;

use haulier_domain::id::PointId;
use haulier_domain::session::Severity;

use super::publish::{DomainPlace, find_repository};
use crate::repositories::Stray;
use crate::state::{PointFilter, Session, StateError};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, of_vault};

/// Removes those of the domain that are not whole.
pub(in crate::workflows) async fn remove(work: &Work, place: &DomainPlace) -> Attempt<()> {
    let (state, vaults) = (&work.services.state, &work.services.vaults);
    let repository = find_repository(work, &place.repository).await?;
    let filter = PointFilter { repository: Some(place.repository.clone()), resource: None };
    let known: BTreeSet<PointId> = state.points(&filter).await?.into_iter().map(|point| point.id).collect();
    for stray in vaults.strays(&repository, &place.domain, &known).await.map_err(of_vault)? {
        let over = match state.session(&stray.session).await {
            Ok(session) => has_left(&session, &stray),
            Err(StateError::Missing { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if over && vaults.withdraw(&repository, &place.domain, &stray.point).await.map_err(of_vault)? {
            let Stray { point, session } = &stray;
            let text = format!("removed restore point {point}, which {session} left incomplete and never published");
            work.log(Severity::Warning, &text).await;
        }
    }
    Ok(())
}

/// Whether the session was to make the point, and has ended without it.
fn has_left(session: &Session, stray: &Stray) -> bool {
    session.ended_at.is_some()
        && session.point.as_ref() == Some(&stray.point)
        && matches!(session.outcome, Some(Err(_)))
}
