//! Requests to copy a restore point into another repository.

use haulier_domain::failure::Failure;
use haulier_domain::id::{PointId, SessionId};
use haulier_proto::control::v1 as wire;
use tonic::Status;

use super::repeat::{Answer, Keyed};
use super::{neighbour, restore, status};
use crate::policies::Policies;
use crate::repositories::copy_id;
use crate::sessions::{ReplicateRequest, Request, Sessions};
use crate::state::{Point, PointFilter, Repository, StateError};

/// Starts a copy, unless it is there or a session is at it.
pub(super) async fn start(
    policies: &Policies,
    mut request: wire::CopyPointRequest,
) -> Result<wire::CopyPointResponse, Status> {
    let key = std::mem::take(&mut request.idempotency_key);
    let what = format!("copying restore point {} to repository {}", request.id, request.repository);
    let failed = |error| status::of_state(&what, &error);
    let sessions = policies.sessions();
    let point = restore::point(policies, &request.id, &what).await?;
    let source = sessions.state().repository(&point.repository).await.map_err(failed)?;
    let target = sessions.state().repository(&request.repository).await.map_err(failed)?;
    if source.id == target.id {
        let cause = format!("the point lies in {} already", target.name);
        let failure = Failure::new("copy-to-its-own-repository", &what, cause, "name another repository");
        return Err(status::of_failure(&failure));
    }
    let copy = copy_id(&point.id, &source.id, &target.id);
    let at_it = at_it(sessions, &copy).await.map_err(failed)?;
    let keyed = Keyed::new(sessions.state(), &what, "copy-point", &request, &key);
    let begin = async {
        if is_there(sessions, &copy, &target).await.map_err(failed)? {
            return Ok(Answer::default());
        }
        has_full(sessions, &point, (&source, &target), &what).await?;
        match &at_it {
            Some(session) => Ok(Answer::session(session)),
            None => begin(policies, &point, &copy, &target, keyed.key(), &what).await.map(Answer::session),
        }
    };
    let (answer, repeated_call) = keyed.once(begin).await?;
    let already_copied = answer.session_ids.is_empty();
    let session_id = answer.into_session();
    let repeated_call = repeated_call || at_it.is_some_and(|session| session.as_str() == session_id);
    Ok(wire::CopyPointResponse { session_id, copy_id: copy.to_string(), already_copied, repeated_call })
}

/// Refuses a point that stands on a full one which is not there: its copy could not be restored.
async fn has_full(
    sessions: &Sessions,
    point: &Point,
    (source, target): (&Repository, &Repository),
    what: &str,
) -> Result<(), Status> {
    let Some(full) = &point.full_point else { return Ok(()) };
    let copy = copy_id(full, &source.id, &target.id);
    if is_there(sessions, &copy, target).await.map_err(|error| status::of_state(what, &error))? {
        return Ok(());
    }
    let cause = format!("the point stands on {full}, of which {} has no copy", target.name);
    let remedy = format!("copy that one first: haulier point copy {full} --to-repository {}", target.name);
    Err(status::of_failure(&Failure::new("copy-without-full", what, cause, remedy)))
}

/// Whether the catalogue has the copy. What it does not know of, the session finds in the repository.
async fn is_there(sessions: &Sessions, copy: &PointId, target: &Repository) -> Result<bool, StateError> {
    match sessions.state().point(copy).await {
        Ok(known) => Ok(known.repository == target.name),
        Err(StateError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The session that makes this copy and has not ended.
async fn at_it(sessions: &Sessions, copy: &PointId) -> Result<Option<SessionId>, StateError> {
    let makes_it = |request: &Request| matches!(request, Request::Replicate(replicate) if replicate.copy == *copy);
    let live = sessions.state().live_sessions().await?;
    Ok(live.into_iter().find(|session| makes_it(&session.request)).map(|session| session.id))
}

async fn begin(
    policies: &Policies,
    point: &Point,
    copy: &PointId,
    target: &Repository,
    key: String,
    what: &str,
) -> Result<SessionId, Status> {
    let sessions = policies.sessions();
    let filter = PointFilter { repository: Some(point.repository.clone()), resource: None };
    let mut points = sessions.points(&filter).await.map_err(|error| status::of_state(what, &error))?;
    // Its own instance first.
    points.sort_by_key(|other| other.resource != point.resource);
    let near = neighbour::of(policies, &points, &point.domain, &point.repository, what).await?;
    let (near, worker) = near.map_err(|failure| status::of_failure(&failure))?;
    let request = ReplicateRequest {
        policy: restore::named(point),
        point: point.id.clone(),
        repository: target.name.clone(),
        copy: copy.clone(),
        near,
        worker,
    };
    let key = format!("copy {}/{}/{key}", point.id, target.name);
    sessions.start_replicate(request, Some(key)).await.map_err(|error| status::of_state(what, &error))
}
