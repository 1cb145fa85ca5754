//! The catalogue of a repository, made anew from the repository alone: for the day when the coordinator's state is lost.
//!
//! It adds what it finds and changes nothing that is known, so that it may be repeated, and may run beside sessions: a
//! point that one of them is publishing is left to that session, which may yet take it back. What cannot be read is
//! named with its reason and holds nothing up. Nothing is guessed: what a point does not say stays unknown.

use std::collections::BTreeSet;

use haulier_domain::failure::Failure;
use haulier_domain::id::{DomainId, PointId};
use tokio::sync::mpsc;

use super::StoredPoint;
use crate::failures;
use crate::services::Services;
use crate::state::{Point, Repository, StateError};

/// Points that are read before something is told.
const BATCH: usize = 32;

/// An import of one repository, which this installation has.
pub struct Import<'s> {
    services: &'s Services,
    repository: &'s Repository,
    told: mpsc::Sender<ImportEvent>,
    imported: Imported,
}

/// What has come of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Domains that were looked into.
    pub domains: u64,
    /// Points that were added to the catalogue.
    pub added: u64,
    /// Points that were in it.
    pub known: u64,
    /// Points that sessions of this installation are publishing.
    pub in_work: u64,
    /// Proofs that came with points that were added.
    pub proofs: u64,
    /// Points, proofs and domains that could not be read.
    pub missed: u64,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Domain in which it lies.
    pub domain: DomainId,
    /// A point by id, an object by key; empty where the domain itself cannot be read.
    pub object: String,
    /// Why.
    pub failure: Failure,
}

/// What an import tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportEvent {
    /// Where it stands.
    Progress {
        /// Domain it is in.
        domain: DomainId,
        /// Which one that is, counted from 1, and of how many.
        domains: (u64, u64),
        /// Points of it that are done, and all of them.
        points: (u64, u64),
    },
    /// Something that could not be read.
    Missed(Missed),
}

/// Nobody listens any more: whoever asked has gone.
struct Unheard;

/// Why an import stops.
enum Stopped {
    Unheard,
    Failed(Failure),
}

impl From<Unheard> for Stopped {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'s> Import<'s> {
    /// An import that tells how it goes.
    pub fn new(services: &'s Services, repository: &'s Repository, told: mpsc::Sender<ImportEvent>) -> Self {
        Self { services, repository, told, imported: Imported::default() }
    }

    /// Imports everything that can be read. `None` where nobody listened to the end; what was added until then stays.
    ///
    /// # Errors
    /// Where the repository cannot be listed, or the state not be written.
    pub async fn run(mut self) -> Result<Option<Imported>, Failure> {
        match self.every_domain().await {
            Ok(()) => Ok(Some(self.imported)),
            Err(Stopped::Unheard) => Ok(None),
            Err(Stopped::Failed(failure)) => Err(failure),
        }
    }

    async fn every_domain(&mut self) -> Result<(), Stopped> {
        let domains = self.services.vaults.domains(self.repository).await?;
        let total = domains.len() as u64;
        for (number, domain) in (1..).zip(&domains) {
            self.domain(domain, (number, total)).await?;
        }
        Ok(())
    }

    async fn domain(&mut self, domain: &DomainId, domains: (u64, u64)) -> Result<(), Stopped> {
        let found = match self.services.vaults.points(self.repository, domain).await {
            Ok(found) => found,
            Err(failure) => return Ok(self.miss(domain, String::new(), failure).await?),
        };
        let state = &self.services.state;
        state.add_domain(&self.repository.name, domain).await.map_err(|error| self.unwritten(&error))?;
        self.imported.domains += 1;
        for object in found.strange {
            let what = format!("reading {object} of repository {}", self.repository.name);
            let cause = "it lies where restore points do, and is not named as one";
            let failure = Failure::new("repository-damaged", what, cause, "find out who wrote it, and remove it");
            self.miss(domain, object, failure).await?;
        }
        let total = found.points.len() as u64;
        let mut done = 0;
        self.tell(ImportEvent::Progress { domain: domain.clone(), domains, points: (0, total) }).await?;
        for batch in found.points.chunks(BATCH) {
            self.batch(domain, batch).await?;
            done += batch.len() as u64;
            self.tell(ImportEvent::Progress { domain: domain.clone(), domains, points: (done, total) }).await?;
        }
        Ok(())
    }

    async fn batch(&mut self, domain: &DomainId, batch: &[PointId]) -> Result<(), Stopped> {
        // Asked for each batch anew: sessions begin while this goes on.
        let in_work = self.in_work().await?;
        let mut unknown = Vec::new();
        for id in batch {
            if in_work.contains(id) {
                self.imported.in_work += 1;
                continue;
            }
            match self.services.state.point(id).await {
                Ok(point) if point.repository == self.repository.name && point.domain == *domain => {
                    self.imported.known += 1;
                }
                Ok(point) => {
                    let failure = self.elsewhere(id, &point);
                    self.miss(domain, id.to_string(), failure).await?;
                }
                Err(StateError::Missing { .. }) => unknown.push(id.clone()),
                Err(error) => return Err(self.unwritten(&error).into()),
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let read = match self.services.vaults.read(self.repository, domain, &unknown).await {
            Ok(read) => read,
            Err(failure) => unknown.iter().map(|_| Err(failure.clone())).collect(),
        };
        for (id, read) in unknown.iter().zip(read) {
            match read {
                Ok(stored) if self.is_left_over(&stored).await? => {
                    let failure = self.left_over(&stored);
                    self.miss(domain, id.to_string(), failure).await?;
                }
                Ok(stored) => self.add(domain, stored).await?,
                Err(failure) => self.miss(domain, id.to_string(), failure).await?,
            }
        }
        Ok(())
    }

    async fn add(&mut self, domain: &DomainId, stored: StoredPoint) -> Result<(), Stopped> {
        for failure in &stored.unread {
            self.miss(domain, stored.id.to_string(), failure.clone()).await?;
        }
        let state = &self.services.state;
        let resource_id = &stored.labels.resource_id;
        if !resource_id.is_empty() {
            let known = state.domain(&self.repository.name, resource_id, domain).await;
            known.map_err(|error| self.unwritten(&error))?;
        }
        let point = stored.catalogued(&self.repository.name, domain);
        let added = state.add_found_point(&point, &stored.proofs).await.map_err(|error| self.unwritten(&error))?;
        if added {
            self.imported.added += 1;
            self.imported.proofs += stored.proofs.len() as u64;
        } else {
            self.imported.known += 1;
        }
        Ok(())
    }

    /// Whether a session of this installation has created it and ended without having published it.
    async fn is_left_over(&self, stored: &StoredPoint) -> Result<bool, Failure> {
        match self.services.state.session(&stored.session).await {
            Ok(session) => Ok(session.point.as_ref() == Some(&stored.id) && matches!(session.outcome, Some(Err(_)))),
            Err(StateError::Missing { .. }) => Ok(false),
            Err(error) => Err(self.unwritten(&error)),
        }
    }

    fn left_over(&self, stored: &StoredPoint) -> Failure {
        Failure::new(
            "point-unpublished",
            format!("importing restore point {} of repository {}", stored.id, self.repository.name),
            format!("session {} has created it, and ended without having published it", stored.session),
            "prune the repository: what is not whole of such points is removed",
        )
    }

    /// The points that sessions which have not ended may be publishing.
    async fn in_work(&self) -> Result<BTreeSet<PointId>, Failure> {
        let live = self.services.state.live_sessions().await.map_err(|error| self.unwritten(&error))?;
        Ok(live.into_iter().filter_map(|session| session.point).collect())
    }

    async fn miss(&mut self, domain: &DomainId, object: String, failure: Failure) -> Result<(), Unheard> {
        tracing::warn!(repository = self.repository.name, %domain, object, %failure, "not imported");
        self.imported.missed += 1;
        self.tell(ImportEvent::Missed(Missed { domain: domain.clone(), object, failure })).await
    }

    async fn tell(&self, event: ImportEvent) -> Result<(), Unheard> {
        self.told.send(event).await.map_err(|_| Unheard)
    }

    fn elsewhere(&self, id: &PointId, known: &Point) -> Failure {
        Failure::new(
            "point-elsewhere",
            format!("importing restore point {id} of repository {}", self.repository.name),
            format!(
                "the catalogue has a point of that id, in repository {}, domain {}",
                known.repository, known.domain
            ),
            "import each repository under one name; a copy of a whole bucket is imported by an installation of its own",
        )
    }

    fn unwritten(&self, error: &StateError) -> Failure {
        failures::state(&format!("importing repository {}", self.repository.name), error)
    }
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("repository", &self.repository.name).field("imported", &self.imported).finish()
    }
}
