//! Restore points: where their data lies, how they are read, and how one is published.

use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, Epoch, PointId, RepositoryId};
use haulier_domain::immutability::Immutability;
use haulier_domain::native_backup::Engine;
use haulier_domain::session::{Severity, Stop};
use haulier_proto::worker::v1::{DomainLocation, PointProposed};
use jiff::Timestamp;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::preflight::Source;
use super::snapshot;
use crate::repositories::{PointLabels, Proposal, domain_of};
use crate::sessions::BackupRequest;
use crate::state::{Point, PointFilter, Repository, StateError};
use crate::workers::EVENT_POINT_PROPOSED;
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, Trouble, of_vault};

/// What a point stands beside and upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::workflows) struct Standing {
    /// A snapshot of the same session belongs to it.
    pub(in crate::workflows) snapshot: bool,
    /// The full point that a differential one stands on.
    pub(in crate::workflows) full_point: Option<PointId>,
}

/// Where a domain lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::workflows) struct DomainPlace {
    /// Repository by name.
    pub(super) repository: String,
    /// Its id.
    pub(super) repository_id: RepositoryId,
    /// Bucket.
    pub(super) bucket: String,
    /// Region of the bucket.
    pub(super) region: String,
    /// Prefix of the repository.
    pub(super) prefix: String,
    /// The domain.
    pub(super) domain: DomainId,
    /// For a backup: the last published point of the instance in it, which the new one is likely to resemble.
    #[serde(default)]
    pub(super) base_point: Option<PointId>,
    /// Immutability of the repository.
    #[serde(default)]
    pub(super) immutability: Option<Immutability>,
}

impl DomainPlace {
    pub(super) fn new(repository: Repository, domain: DomainId) -> Self {
        Self {
            repository: repository.name,
            repository_id: repository.id,
            bucket: repository.bucket,
            region: repository.region,
            prefix: repository.prefix,
            domain,
            base_point: None,
            immutability: repository.immutability,
        }
    }

    /// As it goes over the wire.
    pub(super) fn to_wire(&self) -> DomainLocation {
        DomainLocation {
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            repository_id: self.repository_id.to_string(),
            domain_id: self.domain.to_string(),
            immutability: self.immutability.map(Into::into),
        }
    }
}

/// The domain of the instance in the policy's repository, with a key.
pub(in crate::workflows) async fn open_domain(work: &Work, repository: &str, source: &Source) -> Attempt<DomainPlace> {
    let repository = find_repository(work, repository).await?;
    let fresh = domain_of(&source.resource_id).ok_or_else(|| {
        let what = format!("naming the domain of {}", source.id);
        Failure::new("db-not-supported", what, "RDS gives no resource id for it", "see the instance in RDS")
    })?;
    let domain = work.services.state.domain(&repository.name, &source.resource_id, &fresh).await?;
    work.services.vaults.domain_key(&repository, &domain).await.map_err(of_vault)?;
    let base_point = nearest_point(work, &repository.name, &source.id, &domain, Timestamp::now()).await?;
    Ok(DomainPlace { base_point, ..DomainPlace::new(repository, domain) })
}

/// The published point of the instance in this domain whose data was current closest to a moment: what is stored of that
/// moment resembles it most.
pub(super) async fn nearest_point(
    work: &Work,
    repository: &str,
    resource: &str,
    domain: &DomainId,
    at: Timestamp,
) -> Attempt<Option<PointId>> {
    let filter = PointFilter { resource: Some(resource.to_owned()), repository: Some(repository.to_owned()) };
    let mut points = work.services.state.points(&filter).await?;
    points.retain(|point| point.domain == *domain);
    Ok(nearest(&points, at).map(|point| point.id.clone()))
}

/// Of points that are equally near, the first.
fn nearest(points: &[Point], at: Timestamp) -> Option<&Point> {
    points.iter().min_by_key(|point| point.consistent_at.unwrap_or(point.published_at).duration_since(at).abs())
}

/// The domain that a published point lies in.
pub(in crate::workflows) async fn domain_of_point(work: &Work, point: &PointId) -> Attempt<DomainPlace> {
    let point = work.services.state.point(point).await?;
    let repository = find_repository(work, &point.repository).await?;
    Ok(DomainPlace::new(repository, point.domain))
}

/// The same, for a restore into an instance of the point's own kind.
pub(in crate::workflows) async fn domain_for(work: &Work, target: &Source, point: &PointId) -> Attempt<DomainPlace> {
    let known = work.services.state.point(point).await?;
    match Engine::of_point(&known.engine) {
        // A point that was found in a repository may not say what it is of: its worker will.
        Some(engine) if engine != target.engine() => Err(Failure::new(
            "restore-into-other-engine",
            format!("restoring {point} into {}", target.id),
            format!("the point is of {}, and the instance runs {}", engine.title(), target.engine().title()),
            "name an instance of the point's own engine",
        )
        .into()),
        _ => domain_of_point(work, point).await,
    }
}

/// A domain of a repository, by name.
pub(in crate::workflows) async fn known_domain(
    work: &Work,
    repository: &str,
    domain: &DomainId,
) -> Attempt<DomainPlace> {
    Ok(DomainPlace::new(find_repository(work, repository).await?, domain.clone()))
}

/// The root of a published point, JSON.
pub(in crate::workflows) async fn read_root(work: &Work, place: &DomainPlace, point: &PointId) -> Attempt<String> {
    let repository = find_repository(work, &place.repository).await?;
    let root = work.services.vaults.root(&repository, &place.domain, point).await.map_err(of_vault)?;
    Ok(String::from_utf8_lossy(&root).into_owned())
}

/// Publishes what the worker of this epoch has proposed. A worker of an older epoch publishes nothing, whatever it stored.
pub(in crate::workflows) async fn point(
    work: &Work,
    request: &BackupRequest,
    source: &Source,
    (place, standing): (&DomainPlace, &Standing),
    epoch: Epoch,
) -> Attempt<()> {
    let state = &work.services.state;
    let root = proposed(work, epoch).await?;
    let Some(point) = work.session.point.clone() else {
        return Err(broken(PUBLISHING, "the session was to make no restore point"));
    };
    let repository = find_repository(work, &place.repository).await?;
    let snapshot_id = if standing.snapshot { snapshot::name(work) } else { String::new() };
    let proposal = Proposal {
        point: point.clone(),
        session: work.id().clone(),
        epoch,
        since: work.session.created_at,
        root,
        labels: labels(work, request, source, &snapshot_id, standing),
    };
    if !state.begin_publication(work.id()).await? {
        return Err(Trouble::Stop(Stop::Cancelled));
    }
    let facts = work.services.vaults.publish(&repository, &place.domain, &proposal).await.map_err(of_vault)?;
    state
        .add_point(&Point {
            id: point.clone(),
            repository: repository.name,
            domain: place.domain.clone(),
            session: work.id().clone(),
            policy: work.session.policy.clone(),
            account: work.place().account.id.clone(),
            region: work.place().region.clone(),
            resource: source.id.clone(),
            engine: format!("{} {}", source.engine, source.engine_version),
            login: Some(request.login.clone()),
            snapshot_id,
            copy_of: None,
            full_point: standing.full_point.clone(),
            summary: facts.summary,
            consistent_at: facts.consistent_at,
            published_at: Timestamp::now(),
            locked_until: facts.locked_until,
        })
        .await?;
    work.log(Severity::Info, &format!("restore point {point} is published")).await;
    Ok(())
}

const PUBLISHING: &str = "publishing the restore point";

/// The root that the worker of this epoch has proposed, JSON.
pub(super) async fn proposed(work: &Work, epoch: Epoch) -> Attempt<Vec<u8>> {
    let state = &work.services.state;
    if state.session(work.id()).await?.epoch != epoch {
        let cause = format!("epoch {epoch} of the session is over");
        return Err(Failure::new("worker-fenced", PUBLISHING, cause, "run the session again").retryable().into());
    }
    let Some(event) = state.last_event(work.id(), epoch, EVENT_POINT_PROPOSED).await? else {
        return Err(broken(PUBLISHING, "the worker finished without proposing a restore point"));
    };
    let proposed = PointProposed::decode(event.body.as_slice());
    Ok(proposed.map_err(|_| broken(PUBLISHING, "the proposal is malformed"))?.root)
}

/// What should be found in the repository if the coordinator's state is lost.
fn labels(
    work: &Work,
    request: &BackupRequest,
    source: &Source,
    snapshot_id: &str,
    standing: &Standing,
) -> PointLabels {
    PointLabels {
        account: work.place().account.id.clone(),
        region: work.place().region.clone(),
        instance: source.id.clone(),
        resource_id: source.resource_id.clone(),
        engine_version: source.engine_version.clone(),
        login: Some(request.login.clone()),
        policy: work.session.policy.clone(),
        snapshot_id: snapshot_id.to_owned(),
        copy_of: None,
        full_point: standing.full_point.clone(),
    }
}

pub(super) async fn find_repository(work: &Work, name: &str) -> Attempt<Repository> {
    match work.services.state.repository(name).await {
        Err(StateError::Missing { .. }) => Err(Failure::new(
            "repository-missing",
            format!("looking up repository {name}"),
            "this installation has no repository of that name",
            "create it with `haulier repository create`, or name another one in the policy",
        )
        .into()),
        found => Ok(found?),
    }
}

pub(super) fn broken(what: &str, cause: &str) -> Trouble {
    Failure::new("worker-broke-protocol", what, cause, "use a worker image of the coordinator's version").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(id: &str, consistent_at: Option<&str>, published_at: &str) -> Point {
        Point {
            id: id.parse().unwrap(),
            repository: "main".into(),
            domain: "dom-1".parse().unwrap(),
            session: "ses-1".parse().unwrap(),
            policy: String::new(),
            account: String::new(),
            region: String::new(),
            resource: "orders".into(),
            engine: "postgres".into(),
            login: None,
            snapshot_id: String::new(),
            copy_of: None,
            full_point: None,
            summary: serde_json::Value::Null,
            consistent_at: consistent_at.map(|at| at.parse().unwrap()),
            published_at: published_at.parse().unwrap(),
            locked_until: None,
        }
    }

    #[test]
    fn the_nearest_point_is_that_of_the_closest_moment_and_not_of_the_latest_publication() {
        let points = [
            // A copy of an old point, published last.
            point("pnt-copy", Some("2026-11-01T10:00:00Z"), "2026-11-26T10:00:00Z"),
            point("pnt-new", Some("2026-11-20T10:00:00Z"), "2026-11-20T10:05:00Z"),
            point("pnt-without", None, "2026-11-10T10:00:00Z"),
        ];
        let at = |moment: &str| nearest(&points, moment.parse().unwrap()).map(|point| point.id.to_string());
        assert_eq!(at("2026-11-27T10:00:00Z").as_deref(), Some("pnt-new"));
        assert_eq!(at("2026-11-02T10:00:00Z").as_deref(), Some("pnt-copy"));
        assert_eq!(at("2026-10-01T10:00:00Z").as_deref(), Some("pnt-copy"));
        assert_eq!(at("2026-11-11T10:00:00Z").as_deref(), Some("pnt-without"));
        assert_eq!(nearest(&[], "2026-11-27T10:00:00Z".parse().unwrap()), None);
    }
}
