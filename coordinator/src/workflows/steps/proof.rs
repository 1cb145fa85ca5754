//! What a restore test has shown is stored beside its point: in the repository first, then in the catalogue.

use haulier_domain::failure::Failure;
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::proof::Proof;
use haulier_domain::session::Severity;

use super::publish::{DomainPlace, broken, find_repository};
use crate::sessions::VerifyRequest;
use crate::workflows::attempt::Delivered;
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, of_vault};

/// Stores the proof that the worker of this epoch has proposed in its report.
pub(in crate::workflows) async fn store(
    work: &Work,
    request: &VerifyRequest,
    place: &DomainPlace,
    delivered: &Delivered,
) -> Attempt<()> {
    let state = &work.services.state;
    let what = "storing the proof of a restore test";
    let epoch = delivered.epoch;
    if state.session(work.id()).await?.epoch != epoch {
        let cause = format!("epoch {epoch} of the session is over");
        return Err(Failure::new("worker-fenced", what, cause, "run the session again").retryable().into());
    }
    let report = delivered.completed.report.as_deref().unwrap_or_default();
    let proof = proposed(report, &request.point, work.id()).map_err(|cause| broken(what, &cause))?;
    let repository = find_repository(work, &place.repository).await?;
    work.services.vaults.store_proof(&repository, &place.domain, &proof).await.map_err(of_vault)?;
    state.add_proof(&proof).await?;
    work.log(Severity::Info, &format!("restore point {}: {}", proof.point, proof.verdict())).await;
    Ok(())
}

/// The proof in a report, if it is one of this point and session, and one at all.
fn proposed(report: &str, point: &PointId, session: &SessionId) -> Result<Proof, String> {
    let proof: Proof = serde_json::from_str(report).map_err(|error| format!("the report is no proof: {error}"))?;
    if (&proof.point, &proof.session) != (point, session) {
        return Err(format!("the proof is one of {} by {}", proof.point, proof.session));
    }
    if proof.databases.iter().any(|database| database.mismatches > 0) {
        return Err("the proof names tables that differ".to_owned());
    }
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use haulier_domain::proof::{DatabaseProof, VERSION};

    use super::*;

    #[test]
    fn only_a_proof_of_this_point_and_session_without_a_difference_is_taken() {
        let (point, session): (PointId, SessionId) = ("pnt-1".parse().unwrap(), "ses-1".parse().unwrap());
        let good = Proof {
            version: VERSION,
            point: point.clone(),
            session: session.clone(),
            verified_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            server_version: "15.18".into(),
            databases: vec![DatabaseProof::default()],
            exceptions: Vec::new(),
        };
        let taken = |proof: &Proof| proposed(&serde_json::to_string(proof).unwrap(), &point, &session);
        assert_eq!(taken(&good), Ok(good.clone()));
        let mut other = good.clone();
        other.point = "pnt-2".parse().unwrap();
        assert!(taken(&other).unwrap_err().contains("pnt-2"));
        let mut differing = good.clone();
        differing.databases[0].mismatches = 1;
        assert!(taken(&differing).unwrap_err().contains("differ"));
        assert!(proposed("{}", &point, &session).unwrap_err().contains("no proof"));
        assert!(proposed("", &point, &session).is_err());
    }
}
