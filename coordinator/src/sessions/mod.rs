//! What the control service asks of sessions: start, cancel, list, follow.
//!
//! A start is durable before it is answered: the session's row is committed first, then its workflow is begun under the
//! session's id. A coordinator that dies between the two begins the workflow when it comes back.

mod feed;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::BoxStream;
use haulier_domain::failure::Failure;
use haulier_domain::id::{PointId, SessionId};
use haulier_domain::session::{Progress, SessionKind, Severity};
use uuid::Uuid;

pub use feed::{Feeds, Signal};
pub use request::{
    Account, BackupRequest, DatabaseSelection, InstanceRef, Login, MaintenanceRequest, NativeOptions, OnClash, Place,
    PreparedBucket, ReplicateRequest, Request, RestoreRequest, VerifyRequest, WorkerConfiguration, WorkerNetwork,
};

use crate::ledger::Entry;
use crate::services::Services;
use crate::state::{LogLine, NewSession, Point, PointFilter, Result, Session, SessionFilter, State, Worker};
use crate::workers::restored;
use crate::workflows::engine::Engine;

/// One thing that happened to a session.
#[derive(Debug, Clone)]
pub enum TailEvent {
    /// The session as it now stands.
    Session(Box<Session>),
    /// A line of its log.
    Log(LogLine),
    /// Its progress.
    Progress(Progress),
}

/// Sessions, for whoever drives the coordinator.
#[derive(Debug, Clone)]
pub struct Sessions {
    services: Arc<Services>,
    engine: Arc<Engine>,
}

impl Sessions {
    /// Over a running engine.
    pub fn new(services: Arc<Services>, engine: Arc<Engine>) -> Self {
        Self { services, engine }
    }

    /// The coordinator's state, for everything that is only read.
    pub fn state(&self) -> &State {
        &self.services.state
    }

    /// What sessions work with.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Starts a backup. With an idempotency key that was used before, the session of that time is returned.
    ///
    /// # Errors
    /// Where the session cannot be written down.
    pub async fn start_backup(&self, request: BackupRequest, idempotency_key: Option<String>) -> Result<SessionId> {
        let point = PointId::from_uuid(Uuid::now_v7());
        self.start(SessionKind::Backup, Request::Backup(request), Some(point), idempotency_key).await
    }

    /// Starts a restore of databases.
    ///
    /// # Errors
    /// Where the point does not exist or the session cannot be written down.
    pub async fn start_restore(&self, request: RestoreRequest, idempotency_key: Option<String>) -> Result<SessionId> {
        let point = self.state().point(&request.point).await?.id;
        self.start(SessionKind::DatabaseRestore, Request::DatabaseRestore(request), Some(point), idempotency_key).await
    }

    /// Starts a check of a point.
    ///
    /// # Errors
    /// Where the point does not exist or the session cannot be written down.
    pub async fn start_verify(&self, request: VerifyRequest, idempotency_key: Option<String>) -> Result<SessionId> {
        let point = self.state().point(&request.point).await?.id;
        self.start(SessionKind::Verify, Request::Verify(request), Some(point), idempotency_key).await
    }

    /// Starts a prune of a repository's domain.
    ///
    /// # Errors
    /// Where the session cannot be written down.
    pub async fn start_maintenance(
        &self,
        request: MaintenanceRequest,
        idempotency_key: Option<String>,
    ) -> Result<SessionId> {
        self.start(SessionKind::Maintenance, Request::Maintenance(request), None, idempotency_key).await
    }

    /// Starts a copy of a point in another repository.
    ///
    /// # Errors
    /// Where the session cannot be written down.
    pub async fn start_replicate(
        &self,
        request: ReplicateRequest,
        idempotency_key: Option<String>,
    ) -> Result<SessionId> {
        let copy = request.copy.clone();
        self.start(SessionKind::Replicate, Request::Replicate(request), Some(copy), idempotency_key).await
    }

    /// Asks a session to stop, and returns it as it stands. It still tears down.
    ///
    /// # Errors
    /// Where there is no such session, or the request cannot be written down.
    pub async fn cancel(&self, id: &SessionId, reason: &str) -> Result<Session> {
        let session = self.state().session(id).await?;
        // Written before it can take effect: a session that ends at once has its reason in the log all the same.
        if session.ended_at.is_none() && !session.cancel_requested {
            let reason = if reason.is_empty() { "no reason given" } else { reason };
            self.state().log(id, Severity::Info, &format!("asked to stop: {reason}")).await?;
        }
        self.state().request_cancel(id, reason).await?;
        self.services.feeds.changed(id);
        self.state().session(id).await
    }

    /// One session, with its progress up to date.
    ///
    /// # Errors
    /// Where there is no such session.
    pub async fn get(&self, id: &SessionId) -> Result<Session> {
        let mut session = self.state().session(id).await?;
        session.progress = self.services.feeds.progress(id).or(session.progress);
        Ok(session)
    }

    /// For each of these sessions, and each database of a restore in the order they were asked for, the name under which it is
    /// there, complete; none for other kinds. What is complete stays, also where the session ends badly.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn restored(&self, sessions: &[Session]) -> Result<Vec<Vec<Option<String>>>> {
        let is_restore = |session: &&Session| matches!(session.request, Request::DatabaseRestore(_));
        let restores: Vec<_> = sessions.iter().filter(is_restore).map(|session| &session.id).collect();
        let parts =
            if restores.is_empty() { BTreeMap::new() } else { restored::parts_of(self.state(), &restores).await? };
        let names = |session: &Session| match &session.request {
            Request::DatabaseRestore(request) => {
                restored::names(request, parts.get(&session.id).map(Vec::as_slice).unwrap_or_default())
            }
            _ => Vec::new(),
        };
        Ok(sessions.iter().map(names).collect())
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn list(&self, filter: &SessionFilter) -> Result<Vec<Session>> {
        let mut sessions = self.state().sessions(filter).await?;
        for session in &mut sessions {
            session.progress = self.services.feeds.progress(&session.id).or(session.progress.take());
        }
        Ok(sessions)
    }

    /// Everything that has happened to a session after a line of its log, then everything that happens, until it has
    /// ended. History and present come from the same place, so there is no gap between them.
    pub fn tail(&self, id: &SessionId, after: u64) -> BoxStream<'static, Result<TailEvent>> {
        feed::tail(self.services.clone(), id.clone(), after)
    }

    /// Workers, live ones first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn workers(&self, ended_too: bool) -> Result<Vec<Worker>> {
        self.state().workers(ended_too).await
    }

    /// The ledger, oldest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn ledger(&self, session: Option<&SessionId>, open: bool) -> Result<Vec<Entry>> {
        self.state().ledger(session, open).await
    }

    /// Restore points, newest first.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub async fn points(&self, filter: &PointFilter) -> Result<Vec<Point>> {
        self.state().points(filter).await
    }

    /// One restore point.
    ///
    /// # Errors
    /// Where there is none of that id.
    pub async fn point(&self, id: &PointId) -> Result<Point> {
        self.state().point(id).await
    }

    /// DB instances of an account and Region, as AWS lists them now.
    ///
    /// # Errors
    /// A failure as an operator reads it.
    pub async fn instances(&self, place: &Place) -> Result<Vec<haulier_cloud::databases::DbInstance>, Failure> {
        let what = format!("listing the DB instances of account {} in {}", place.account.id, place.region);
        let found = async { self.services.cloud.databases(place).await?.instances().await }.await;
        found.map_err(|error| crate::failures::in_account(crate::failures::cloud(&what, &error), &place.account))
    }

    async fn start(
        &self,
        kind: SessionKind,
        request: Request,
        point: Option<PointId>,
        idempotency_key: Option<String>,
    ) -> Result<SessionId> {
        self.state().remember_place(&request.instance().place).await?;
        let new = NewSession {
            id: SessionId::from_uuid(Uuid::now_v7()),
            kind,
            request,
            workflow_version: crate::workflows::VERSION.to_owned(),
            point,
            idempotency_key,
        };
        let id = self.state().create_session(&new).await?;
        self.engine.begin(&id, kind).await;
        Ok(id)
    }
}
