//! Requests that start sessions.

use haulier_domain::id::SessionId;
use haulier_proto::control::v1 as wire;
use tonic::Status;

use super::repeat::{Answer, Keyed};
use super::restore::Depth;
use super::{restore, session, status};
use crate::policies::Policies;
use crate::sessions::{Request, RestoreRequest};

/// Starts a session for each resource of a policy.
pub(super) async fn run(
    policies: &Policies,
    mut request: wire::RunPolicyRequest,
) -> Result<wire::RunPolicyResponse, Status> {
    let key = std::mem::take(&mut request.idempotency_key);
    let what = format!("running policy {}", request.name);
    let keyed = Keyed::new(policies.sessions().state(), &what, "run-policy", &request, &key);
    let start = async {
        let run = policies.run(&request.name, &format!("by hand {}", keyed.key())).await;
        let run = run.map_err(|failure| status::of_failure(&failure))?;
        Ok(Answer { session_ids: run.sessions.iter().map(SessionId::to_string).collect(), skipped: run.skipped })
    };
    let (Answer { session_ids, skipped }, repeated_call) = keyed.once(start).await?;
    Ok(wire::RunPolicyResponse { session_ids, skipped, repeated_call })
}

/// Starts a check of a point.
pub(super) async fn check(
    policies: &Policies,
    mut request: wire::CheckPointRequest,
) -> Result<wire::CheckPointResponse, Status> {
    let key = std::mem::take(&mut request.idempotency_key);
    let what = format!("checking restore point {}", request.id);
    let depth = match request.sample_percent {
        percent if percent > 100 => {
            let cause = format!("a sample of {percent} percent is more than there is");
            return Err(status::invalid(&what, cause, "give 1 to 100"));
        }
        sample_percent => Depth::Read { full: request.full, sample_percent },
    };
    let keyed = Keyed::new(policies.sessions().state(), &what, "check-point", &request, &key);
    let start = async {
        let verify = restore::verify(policies, &request.id, depth).await?;
        let key = format!("check {}/{}", request.id, keyed.key());
        let session = policies.sessions().start_verify(verify, Some(key)).await;
        Ok(Answer::session(session.map_err(|error| status::of_state(&what, &error))?))
    };
    let (answer, repeated_call) = keyed.once(start).await?;
    Ok(wire::CheckPointResponse { session_id: answer.into_session(), repeated_call })
}

/// Starts a restore test of a point.
pub(super) async fn verify(
    policies: &Policies,
    mut request: wire::VerifyPointRequest,
) -> Result<wire::VerifyPointResponse, Status> {
    let key = std::mem::take(&mut request.idempotency_key);
    let what = format!("verifying restore point {}", request.id);
    let keyed = Keyed::new(policies.sessions().state(), &what, "verify-point", &request, &key);
    let start = async {
        let verify = restore::verify(policies, &request.id, Depth::Restore).await?;
        let key = format!("verify {}/{}", request.id, keyed.key());
        let session = policies.sessions().start_verify(verify, Some(key)).await;
        Ok(Answer::session(session.map_err(|error| status::of_state(&what, &error))?))
    };
    let (answer, repeated_call) = keyed.once(start).await?;
    Ok(wire::VerifyPointResponse { session_id: answer.into_session(), repeated_call })
}

/// Starts a restore.
pub(super) async fn restore(
    policies: &Policies,
    mut request: wire::RestoreDatabaseRequest,
) -> Result<wire::RestoreDatabaseResponse, Status> {
    let key = std::mem::take(&mut request.idempotency_key);
    let what = format!("restoring from {}", request.point_id);
    let sessions = policies.sessions();
    let keyed = Keyed::new(sessions.state(), &what, "restore-database", &request, &key);
    let start = async {
        let restore = restore::restore(policies, request.clone()).await?;
        let key = format!("restore {}/{}", request.point_id, keyed.key());
        let session = sessions.start_restore(restore, Some(key)).await;
        Ok(Answer::session(session.map_err(|error| status::of_state(&what, &error))?))
    };
    let (answer, repeated_call) = keyed.once(start).await?;
    let session_id = answer.into_session();
    let id: SessionId = status::parsed(&what, &session_id, "session-unknown")?;
    let session = sessions.state().session(&id).await.map_err(|error| status::of_state(&what, &error))?;
    let (databases, target_instance) = match &session.request {
        Request::DatabaseRestore(chosen) => shown(chosen),
        Request::Backup(_) | Request::Verify(_) | Request::Maintenance(_) | Request::Replicate(_) => Default::default(),
    };
    Ok(wire::RestoreDatabaseResponse { session_id, databases, target_instance, repeated_call })
}

/// Says what a restore would do.
pub(super) async fn plan(
    policies: &Policies,
    request: wire::PlanRestoreRequest,
) -> Result<wire::PlanRestoreResponse, Status> {
    let chosen = restore::restore(policies, request.restore.unwrap_or_default()).await?;
    let (databases, target_instance) = shown(&chosen);
    Ok(wire::PlanRestoreResponse { databases, target_instance })
}

fn shown(chosen: &RestoreRequest) -> (Vec<wire::DatabaseTarget>, String) {
    (session::targets(chosen, &[]), chosen.target.id.clone())
}
