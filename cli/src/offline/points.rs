//! The restore points of a repository. Which domain one lies in is nothing an operator has to know.

use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use haulier_domain::id::{DomainId, PointId};
use haulier_domain::proof::Proof;
use haulier_repository::{Domain, DomainConfig, Error, ObjectKind, PointRoot};

use super::{Opened, of_repository};
use crate::exit::{CliError, Exit};

/// Objects that are fetched at once.
const AT_ONCE: usize = 16;

/// The points of a repository, and what could not be read of it.
pub(crate) struct Points {
    /// Newest first.
    pub(crate) found: Vec<PointRoot>,
    pub(crate) unreadable: Vec<CliError>,
}

impl Opened {
    /// A domain, with its local index in `cache`.
    async fn domain(&self, id: &DomainId, cache: &Path) -> Result<Domain, CliError> {
        let doing = format!("opening domain {id}");
        let opened = self.repository.domain(id, DomainConfig::new(cache)).await;
        opened.map_err(|error| of_repository(&doing, &error))
    }

    async fn domains(&self) -> Result<Vec<DomainId>, CliError> {
        let doing = "listing the repository's domains";
        self.repository.domains().await.map_err(|error| of_repository(doing, &error))
    }

    /// All points. One that cannot be read hides no other.
    pub(crate) async fn points(&self) -> Result<Points, CliError> {
        let mut points = Points { found: Vec::new(), unreadable: Vec::new() };
        for id in self.domains().await? {
            let of_domain = async {
                let domain = self.domain(&id, &std::env::temp_dir()).await?;
                let listed = domain.list_points().await;
                let listed = listed.map_err(|error| of_repository(&format!("listing domain {id}"), &error))?;
                Ok((domain, listed))
            };
            let (domain, listed) = match of_domain.await {
                Ok(of_domain) => of_domain,
                Err(error) => {
                    points.unreadable.push(error);
                    continue;
                }
            };
            let roots = stream::iter(listed.iter().map(|(point, _)| (point, domain.read_point(point))))
                .map(|(point, reading)| async move { (point, reading.await) })
                .buffered(AT_ONCE);
            let mut roots = std::pin::pin!(roots);
            while let Some((point, root)) = roots.next().await {
                match root {
                    Ok(root) => points.found.push(root),
                    Err(error) => {
                        points.unreadable.push(of_repository(&format!("reading restore point {point}"), &error));
                    }
                }
            }
        }
        points.found.sort_by(|a, b| (b.created, &b.point).cmp(&(a.created, &a.point)));
        Ok(points)
    }

    /// The point of that id, and the domain it lies in, whose local index is to lie in `cache`.
    pub(crate) async fn point(&self, id: &str, cache: &Path) -> Result<(Domain, PointRoot), CliError> {
        let doing = format!("looking for restore point {id}");
        let unknown = |cause: &str| {
            let remedy = "copy it from `haulier point list --bucket …`";
            CliError::new(Exit::NotFound, "point-unknown", &doing, cause, remedy)
        };
        let point: PointId = id.parse().map_err(|_| unknown("that is not the id of a restore point"))?;
        let point = &point;
        let domains = self.domains().await?;
        let looks = domains.iter().map(|domain| async move {
            let domain = self.domain(domain, cache).await?;
            match domain.read_point(point).await {
                Ok(root) => Ok(Some((domain, root))),
                Err(Error::Missing { kind: ObjectKind::Point, .. }) => Ok(None),
                Err(error) => Err(of_repository(&format!("reading restore point {point}"), &error)),
            }
        });
        let looks = stream::iter(looks).buffered(AT_ONCE).try_filter_map(|found| async move { Ok(found) });
        let found = std::pin::pin!(looks).try_next().await?;
        found.ok_or_else(|| unknown("the repository has no such restore point"))
    }
}

/// The latest proof that a point can be restored.
pub(crate) async fn latest_proof(domain: &Domain, point: &PointId) -> Result<Option<Proof>, CliError> {
    let failed = |error: Error| of_repository(&format!("reading the proofs of {point}"), &error);
    match domain.list_proofs(point).await.map_err(failed)?.last() {
        Some(session) => domain.read_proof(point, session).await.map(Some).map_err(failed),
        None => Ok(None),
    }
}
