//! Published points, read from their domain.

use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, PointId};
use haulier_repository::{Domain, PointRoot};
use serde_json::Value;

use super::{PointFacts, PointLabels, StoredPoint};
use crate::failures;
use crate::state::Point;

/// Points that are read at once.
pub(super) const AT_ONCE: usize = 8;

/// Reads a point and what lies beside it. A proof that cannot be read keeps nothing back.
pub(super) async fn read(domain: &Domain, repository: &str, id: &PointId) -> Result<StoredPoint, Failure> {
    let what = format!("reading restore point {id} of repository {repository}");
    let root = domain.read_point(id).await.map_err(|error| failures::repository(&what, &error))?;
    let (mut proofs, mut unread) = (Vec::new(), Vec::new());
    let beside = format!("reading the proofs of restore point {id} of repository {repository}");
    match domain.list_proofs(id).await {
        Ok(sessions) => {
            for session in sessions {
                match domain.read_proof(id, &session).await {
                    Ok(proof) => proofs.push(proof),
                    Err(error) => unread.push(failures::repository(&beside, &error)),
                }
            }
        }
        Err(error) => unread.push(failures::repository(&beside, &error)),
    }
    Ok(StoredPoint {
        facts: facts(&root),
        labels: PointLabels::of(&root),
        id: root.point,
        session: root.session,
        created: root.created,
        engine: root.engine,
        proofs,
        unread,
    })
}

impl StoredPoint {
    /// The point as the catalogue has it.
    pub(crate) fn catalogued(&self, repository: &str, domain: &DomainId) -> Point {
        let labels = &self.labels;
        Point {
            id: self.id.clone(),
            repository: repository.to_owned(),
            domain: domain.clone(),
            session: self.session.clone(),
            policy: labels.policy.clone(),
            account: labels.account.clone(),
            region: labels.region.clone(),
            resource: labels.instance.clone(),
            engine: format!("{} {}", self.engine, labels.engine_version).trim_end().to_owned(),
            login: labels.login.clone(),
            snapshot_id: labels.snapshot_id.clone(),
            copy_of: labels.copy_of.clone(),
            full_point: labels.full_point.clone(),
            summary: self.facts.summary.clone(),
            consistent_at: self.facts.consistent_at,
            // The moment of its publication is not stored. That of its making lies just before it, and sorts alike.
            published_at: self.created,
            locked_until: self.facts.locked_until,
        }
    }
}

/// What the catalogue keeps of a root.
pub(super) fn facts(root: &PointRoot) -> PointFacts {
    let summary = serde_json::to_value(root).ok().and_then(|root| root.get("summary").cloned()).unwrap_or(Value::Null);
    let first = summary["databases"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|database| database["consistent-at"].as_str().and_then(|at| at.parse().ok()));
    let totals = serde_json::to_value(root.totals).unwrap_or(Value::Null);
    let summary = match summary {
        Value::Object(mut fields) => {
            fields.insert("totals".to_owned(), totals);
            Value::Object(fields)
        }
        _ => Value::Object([("totals".to_owned(), totals)].into_iter().collect()),
    };
    PointFacts { summary, consistent_at: first, locked_until: root.locked_until }
}
