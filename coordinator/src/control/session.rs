//! Sessions as wire messages.

use haulier_domain::session::{SessionKind, SessionState};
use haulier_proto::common::v1 as common;
use haulier_proto::control::v1 as wire;
use haulier_proto::to_timestamp;
use haulier_proto::worker::v1 as worker;

use super::convert;
use crate::sessions::{DatabaseSelection, OnClash, Request, RestoreRequest, Sessions};
use crate::state::{Result, Session};

/// The session as an operator is shown it, with what its workers have told.
///
/// # Errors
/// Where the state cannot be read.
pub(super) async fn shown(sessions: &Sessions, session: Session) -> Result<wire::Session> {
    let restored = sessions.restored(std::slice::from_ref(&session)).await?.pop().unwrap_or_default();
    Ok(to_wire(session, &restored))
}

/// The same of several.
///
/// # Errors
/// Where the state cannot be read.
pub(super) async fn all_shown(sessions: &Sessions, several: Vec<Session>) -> Result<Vec<wire::Session>> {
    let restored = sessions.restored(&several).await?;
    Ok(several.into_iter().zip(restored).map(|(session, restored)| to_wire(session, &restored)).collect())
}

fn to_wire(session: Session, restored: &[Option<String>]) -> wire::Session {
    let databases = match &session.request {
        Request::DatabaseRestore(request) => targets(request, restored),
        Request::Backup(_) | Request::Verify(_) | Request::Maintenance(_) | Request::Replicate(_) => Vec::new(),
    };
    let completed = session.completed();
    // One that makes a point knows its id from the start; there is such a point once it has ended well.
    let makes_one = matches!(session.kind, SessionKind::Backup | SessionKind::Replicate);
    let has_point = !makes_one || completed.is_some();
    wire::Session {
        point_id: session.point.as_ref().filter(|_| has_point).map(ToString::to_string).unwrap_or_default(),
        warnings: completed.map(|completed| completed.warnings.clone()).unwrap_or_default(),
        report: completed.and_then(|completed| completed.report.clone()).unwrap_or_default().into_bytes(),
        failure: session.failure().cloned().map(common::Failure::from),
        id: session.id.to_string(),
        kind: match session.kind {
            SessionKind::Backup => wire::SessionKind::Backup,
            SessionKind::DatabaseRestore => wire::SessionKind::DatabaseRestore,
            SessionKind::Verify => wire::SessionKind::Verify,
            SessionKind::Maintenance => wire::SessionKind::Maintenance,
            SessionKind::Replicate => wire::SessionKind::Replicate,
        }
        .into(),
        state: match session.state {
            SessionState::Queued => wire::SessionState::Queued,
            SessionState::Running => wire::SessionState::Running,
            SessionState::TearingDown => wire::SessionState::TearingDown,
            SessionState::Succeeded => wire::SessionState::Succeeded,
            SessionState::Warning => wire::SessionState::Warning,
            SessionState::Failed => wire::SessionState::Failed,
            SessionState::Cancelled => wire::SessionState::Cancelled,
        }
        .into(),
        policy: session.policy,
        resource: session.resource,
        step: session.step,
        epoch: session.epoch.0,
        progress: session.progress.map(convert::progress),
        created_at: Some(to_timestamp(session.created_at)),
        started_at: session.started_at.map(to_timestamp),
        ended_at: session.ended_at.map(to_timestamp),
        cancel_requested: session.cancel_requested,
        databases,
        temporary_place: String::new(),
        tasks: Vec::new(),
    }
}

/// The databases of a restore: as they were asked for, and those that are there under the names they have got.
pub(super) fn targets(request: &RestoreRequest, restored: &[Option<String>]) -> Vec<wire::DatabaseTarget> {
    let target = |(place, wanted): (usize, &DatabaseSelection)| {
        let restored = restored.get(place).cloned().flatten();
        wire::DatabaseTarget {
            source: wanted.database.clone(),
            restored: restored.is_some(),
            target: restored.unwrap_or_else(|| wanted.name_on_target().to_owned()),
            on_clash: match wanted.on_clash {
                OnClash::Refuse => worker::OnClash::Refuse,
                OnClash::Suffix => worker::OnClash::Suffix,
                OnClash::Replace => worker::OnClash::Replace,
            }
            .into(),
        }
    };
    request.databases.iter().enumerate().map(target).collect()
}

/// The states a filter names; unknown numbers of a newer client are left out.
pub(super) fn states(numbers: &[i32]) -> Vec<SessionState> {
    let known = |number: &i32| match wire::SessionState::try_from(*number).ok()? {
        wire::SessionState::Unspecified => None,
        wire::SessionState::Queued => Some(SessionState::Queued),
        wire::SessionState::Running => Some(SessionState::Running),
        wire::SessionState::TearingDown => Some(SessionState::TearingDown),
        wire::SessionState::Succeeded => Some(SessionState::Succeeded),
        wire::SessionState::Warning => Some(SessionState::Warning),
        wire::SessionState::Failed => Some(SessionState::Failed),
        wire::SessionState::Cancelled => Some(SessionState::Cancelled),
    };
    numbers.iter().filter_map(known).collect()
}
