//! What the workers of a restore have reported as complete. It stays, however the session ends.

use std::collections::BTreeMap;

use haulier_domain::id::SessionId;
use haulier_proto::worker::v1::PartRestored;
use prost::Message as _;

use super::EVENT_PART_RESTORED;
use crate::sessions::{DatabaseSelection, RestoreRequest};
use crate::state::{Result, State};

/// The parts that a session's workers have reported, in that order.
pub(crate) async fn parts(state: &State, session: &SessionId) -> Result<Vec<PartRestored>> {
    let events = state.events_of_session(session, EVENT_PART_RESTORED).await?;
    // One that cannot be read says nothing; its database is found on the target by its mark.
    Ok(events.iter().filter_map(|event| PartRestored::decode(event.body.as_slice()).ok()).collect())
}

/// The same of several sessions; a session that has none is left out.
pub(crate) async fn parts_of(state: &State, sessions: &[&SessionId]) -> Result<BTreeMap<SessionId, Vec<PartRestored>>> {
    let mut parts: BTreeMap<SessionId, Vec<PartRestored>> = BTreeMap::new();
    for (session, event) in state.events_of_sessions(sessions, EVENT_PART_RESTORED).await? {
        parts.entry(session).or_default().extend(PartRestored::decode(event.body.as_slice()));
    }
    Ok(parts)
}

/// For each database of the request the name it has got; `None` where nobody has reported it as complete.
pub(crate) fn names(request: &RestoreRequest, parts: &[PartRestored]) -> Vec<Option<String>> {
    let mut parts: Vec<_> = parts.iter().collect();
    let name = |wanted: &DatabaseSelection| {
        let place = parts
            .iter()
            .position(|part| part.database == wanted.database && part.target_name == wanted.name_on_target())?;
        Some(parts.remove(place).restored_as.clone())
    };
    request.databases.iter().map(name).collect()
}
