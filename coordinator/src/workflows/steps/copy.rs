//! A copy of a restore point: where it goes, whether it is there, and how it is published.

use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, RepositoryId};
use haulier_domain::session::{Severity, Stop};
use haulier_repository::PointRoot;
use jiff::Timestamp;

use super::publish::{self, DomainPlace, find_repository};
use crate::repositories::{PointLabels, Proposal, copy_id};
use crate::sessions::ReplicateRequest;
use crate::state::{CopyOf, Point};
use crate::workflows::flow::Work;
use crate::workflows::trouble::{Attempt, Trouble, of_vault};

/// The domain that the copy goes to, with a key: that of the same name in the other repository, so that the copies of a
/// domain share what they have in common, and backups of its instance to that repository with them.
pub(in crate::workflows) async fn open_target(
    work: &Work,
    request: &ReplicateRequest,
    source: &DomainPlace,
) -> Attempt<DomainPlace> {
    let (state, vaults) = (&work.services.state, &work.services.vaults);
    let repository = find_repository(work, &request.repository).await?;
    let domain = source.domain.clone();
    // Before anything is stored there: a prune must know of it, whatever becomes of the copy.
    state.add_domain(&repository.name, &domain).await?;
    vaults.domain_key(&repository, &domain).await.map_err(of_vault)?;
    let point = state.point(&request.point).await?;
    let at = point.consistent_at.unwrap_or(point.published_at);
    let base_point = publish::nearest_point(work, &repository.name, &point.resource, &domain, at).await?;
    Ok(DomainPlace { base_point, ..DomainPlace::new(repository, domain) })
}

/// Whether the copy is there already, published by an earlier session or by another installation. Then it is in the
/// catalogue, too.
pub(in crate::workflows) async fn find(work: &Work, request: &ReplicateRequest, target: &DomainPlace) -> Attempt<bool> {
    let (state, vaults) = (&work.services.state, &work.services.vaults);
    let repository = find_repository(work, &target.repository).await?;
    let found = vaults.points(&repository, &target.domain).await.map_err(of_vault)?;
    if !found.points.contains(&request.copy) {
        return Ok(false);
    }
    let read = vaults.read(&repository, &target.domain, std::slice::from_ref(&request.copy)).await;
    let Some(stored) = read.map_err(of_vault)?.pop() else { return Ok(false) };
    let stored = stored.map_err(of_vault)?;
    state.add_found_point(&stored.catalogued(&repository.name, &target.domain), &stored.proofs).await?;
    let text = format!("restore point {} has been copied there already: it is {}", request.point, request.copy);
    work.log(Severity::Info, &text).await;
    Ok(true)
}

/// Publishes the copy that the worker of this epoch has proposed.
pub(in crate::workflows) async fn publish(
    work: &Work,
    request: &ReplicateRequest,
    (source, root): (&DomainPlace, &str),
    target: &DomainPlace,
    epoch: Epoch,
) -> Attempt<()> {
    let (state, vaults) = (&work.services.state, &work.services.vaults);
    let repository = find_repository(work, &target.repository).await?;
    let original = state.point(&request.point).await?;
    let full_point =
        original.full_point.as_ref().map(|full| copy_id(full, &source.repository_id, &target.repository_id));
    let labels = PointLabels { full_point, ..labels(&original, &source.repository_id, root)? };
    let proposal = Proposal {
        point: request.copy.clone(),
        session: work.id().clone(),
        epoch,
        root: publish::proposed(work, epoch).await?,
        labels: labels.clone(),
        since: work.session.created_at,
    };
    if !state.begin_publication(work.id()).await? {
        return Err(Trouble::Stop(Stop::Cancelled));
    }
    let facts = match vaults.publish(&repository, &target.domain, &proposal).await {
        // Somebody else has made the same copy meanwhile.
        Err(failure) if failure.code == "point-taken" && find(work, request, target).await? => return Ok(()),
        published => published.map_err(of_vault)?,
    };
    let copy = Point {
        id: request.copy.clone(),
        repository: repository.name,
        domain: target.domain.clone(),
        session: work.id().clone(),
        snapshot_id: labels.snapshot_id,
        copy_of: labels.copy_of,
        full_point: labels.full_point,
        summary: facts.summary,
        consistent_at: facts.consistent_at,
        published_at: Timestamp::now(),
        locked_until: facts.locked_until,
        ..original
    };
    state.add_point(&copy).await?;
    let text = format!("restore point {} is published in {}, a copy of {}", copy.id, copy.repository, request.point);
    work.log(Severity::Info, &text).await;
    Ok(())
}

/// What the copy says of where it comes from: what the catalogue knows of the original, and what its root says besides.
/// The snapshot stays with the original.
fn labels(original: &Point, source: &RepositoryId, root: &str) -> Result<PointLabels, Failure> {
    let root: PointRoot = serde_json::from_str(root).map_err(|error| {
        let what = format!("reading the root of restore point {}", original.id);
        Failure::new("repository-failed", what, error.to_string(), "run the session again")
    })?;
    let engine_version = original.engine.split_once(' ').map(|(_, version)| version.to_owned());
    Ok(PointLabels {
        account: original.account.clone(),
        region: original.region.clone(),
        instance: original.resource.clone(),
        engine_version: engine_version.unwrap_or_default(),
        login: original.login.clone(),
        policy: original.policy.clone(),
        snapshot_id: String::new(),
        copy_of: Some(CopyOf { point: original.id.clone(), repository: source.clone() }),
        ..PointLabels::of(&root)
    })
}
