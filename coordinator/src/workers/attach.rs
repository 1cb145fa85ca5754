//! The stream of one worker.
//!
//! It may be cut at any time and is opened again; the newest stream of a worker is the one that counts. What goes down it
//! follows from the state alone: an assignment once there is one, credentials before the old ones end, a cancel once
//! somebody has asked for it, a shutdown once the session needs this worker no more. What comes up it is committed before it is
//! acknowledged.

use std::sync::Arc;
use std::time::Duration;

use haulier_domain::id::{Epoch, WorkerId};
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as FromWorker;
use haulier_proto::worker::v1::attach_response::Message as ToWorker;
use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::enrol::internal;
use super::{credentials, wire as translate};
use crate::services::Services;
use crate::state::{StateError, Worker};

/// Messages on their way down.
pub(super) const OUTBOX: usize = 32;
/// How often progress is written down; operators who follow see each report.
const WRITE_PROGRESS: Duration = Duration::from_secs(5);
/// How often a sign of life is written down.
const WRITE_SEEN: Duration = Duration::from_secs(30);
/// How long a stream may stay without its first message.
const HELLO: Duration = Duration::from_secs(15);
/// Pause before credentials are asked for again.
const RETRY: Duration = Duration::from_secs(5);

type Outbox = mpsc::Sender<Result<wire::AttachResponse, Status>>;

/// One open stream.
struct Stream {
    services: Arc<Services>,
    worker: Worker,
    outbox: Outbox,
    assigned: bool,
    cancelled: bool,
    refresh: Option<Instant>,
    written: Option<Instant>,
    seen: Instant,
    finished: bool,
}

/// What becomes of a stream.
enum Next {
    Go,
    Close,
}

/// Takes up a stream: its first message must come from the worker that its certificate names, for its own session and
/// epoch.
pub(super) async fn attach(
    services: Arc<Services>,
    certified: WorkerId,
    mut inbox: Streaming<wire::AttachRequest>,
    outbox: Outbox,
) -> Result<(), Status> {
    let first = tokio::time::timeout(HELLO, inbox.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello"))??
        .ok_or_else(|| Status::invalid_argument("no hello"))?;
    let Some(FromWorker::Hello(hello)) = &first.message else {
        return Err(Status::invalid_argument("the first message must be hello"));
    };
    if hello.worker_id != certified.as_str() {
        return Err(Status::permission_denied("the certificate names another worker"));
    }
    let worker = current(&services, &certified, &first).await?;
    services.state.note_attached(&worker.id, &hello.agent_version).await.map_err(internal)?;
    let token = services.presence.open(&worker.id);
    let pace = &services.settings.pace;
    let welcome = wire::Welcome {
        acknowledged: worker.acknowledged,
        heartbeat_millis: u32::try_from(pace.heartbeat.as_millis()).unwrap_or(u32::MAX),
        patience_seconds: u32::try_from(pace.patience.as_secs()).unwrap_or(u32::MAX),
    };
    tracing::info!(worker_id = %worker.id, session_id = %worker.session, epoch = %worker.epoch, resumed = hello.has_assignment, "worker attached");
    let mut stream = Stream {
        assigned: hello.has_assignment,
        services,
        worker,
        outbox,
        cancelled: false,
        refresh: None,
        written: None,
        seen: Instant::now(),
        finished: false,
    };
    stream.services.feeds.changed(&stream.worker.session);
    stream.send(ToWorker::Welcome(welcome)).await?;
    stream.serve(inbox, token).await
}

/// The worker as it stands, if session and epoch of its message are its own and still current.
async fn current(services: &Services, id: &WorkerId, message: &wire::AttachRequest) -> Result<Worker, Status> {
    let over = || Status::failed_precondition("session or epoch is over");
    let worker = match services.state.worker(id).await {
        Ok(worker) => worker,
        Err(StateError::Missing { .. }) => return Err(over()),
        Err(error) => return Err(internal(error)),
    };
    let session = services.state.session(&worker.session).await.map_err(internal)?;
    let is_its_own = worker.session.as_str() == message.session_id && worker.epoch == Epoch(message.epoch);
    let is_current = session.epoch == worker.epoch && session.ended_at.is_none() && worker.state.is_live();
    if is_its_own && is_current { Ok(worker) } else { Err(over()) }
}

impl Stream {
    async fn serve(
        &mut self,
        mut inbox: Streaming<wire::AttachRequest>,
        token: CancellationToken,
    ) -> Result<(), Status> {
        let mut feed = self.services.feeds.follow(&self.worker.session);
        if let Next::Close = self.look().await? {
            return Ok(());
        }
        loop {
            let refresh = self.refresh;
            let due = async move {
                match refresh {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                () = token.cancelled() => return Err(Status::aborted("a newer stream of this worker was opened")),
                message = inbox.message() => match message? {
                    Some(message) => self.take(message).await?,
                    None => Next::Close,
                },
                changed = feed.changed() => {
                    if changed.is_err() {
                        feed = self.services.feeds.follow(&self.worker.session);
                    }
                    self.look().await?
                }
                () = due => self.refresh().await?,
            };
            if let Next::Close = next {
                return Ok(());
            }
        }
    }

    /// Takes one message from the worker.
    async fn take(&mut self, message: wire::AttachRequest) -> Result<Next, Status> {
        let is_its_own =
            self.worker.session.as_str() == message.session_id && self.worker.epoch == Epoch(message.epoch);
        if !is_its_own {
            return Err(Status::failed_precondition("session or epoch is over"));
        }
        self.services.presence.heard(&self.worker.id);
        if self.seen.elapsed() >= WRITE_SEEN {
            self.seen = Instant::now();
            self.services.state.note_seen(&self.worker.id).await.map_err(internal)?;
        }
        match message.message {
            // What comes after the end is not the last word: the totals came with it.
            Some(FromWorker::Progress(_)) if self.finished => {}
            Some(FromWorker::Progress(progress)) => self.progress(&progress).await,
            Some(FromWorker::Event(event)) => self.event(event).await?,
            Some(FromWorker::Hello(_) | FromWorker::Heartbeat(_)) | None => {}
        }
        Ok(Next::Go)
    }

    async fn progress(&mut self, progress: &haulier_proto::common::v1::Progress) {
        let progress = translate::progress(progress);
        if self.written.is_none_or(|written| written.elapsed() >= WRITE_PROGRESS) {
            self.written = Some(Instant::now());
            if let Err(error) = self.services.state.note_progress(&self.worker.session, &progress).await {
                tracing::debug!(session_id = %self.worker.session, %error, "progress not written");
            }
        }
        self.services.feeds.report(&self.worker.session, progress);
    }

    /// Commits a durable event, then acknowledges it. Events of a worker that was given up are refused.
    async fn event(&mut self, event: wire::Event) -> Result<(), Status> {
        let sequence = event.sequence;
        self.finished |= matches!(event.event, Some(wire::event::Event::Finished(_)));
        let kept =
            translate::event(event).unwrap_or(crate::state::DurableEvent::Other { kind: "unknown", body: Vec::new() });
        let safe = self.services.state.commit_event(&self.worker.id, sequence, &kept).await.map_err(internal)?;
        self.services.feeds.changed(&self.worker.session);
        self.send(ToWorker::Acknowledge(wire::Acknowledge { sequence: safe })).await
    }

    /// Sends whatever the state now calls for.
    async fn look(&mut self) -> Result<Next, Status> {
        let worker = self.services.state.worker(&self.worker.id).await.map_err(internal)?;
        let session = self.services.state.session(&worker.session).await.map_err(internal)?;
        if !worker.state.is_live() {
            self.send(ToWorker::Shutdown(wire::Shutdown {})).await?;
            self.services.presence.forget(&self.worker.id);
            if session.ended_at.is_some() {
                self.services.feeds.close(&session.id);
            }
            return Ok(Next::Close);
        }
        // An earlier worker may have left what only one that has the assignment can tidy up: it gets that before the cancel.
        if session.cancel_requested && worker.epoch > Epoch(1) && !self.assigned && self.refresh.is_none() {
            self.refresh().await?;
        }
        if session.cancel_requested && !self.cancelled {
            self.send(ToWorker::Cancel(wire::Cancel { reason: session.cancel_reason })).await?;
            self.cancelled = true;
        }
        if self.refresh.is_none() { self.refresh().await } else { Ok(Next::Go) }
    }

    /// Sends fresh credentials, and after the first of them the assignment. Where they cannot be had now, they are asked
    /// for again soon.
    async fn refresh(&mut self) -> Result<Next, Status> {
        let (assignment, grant) = match self.services.state.assignment(&self.worker.id).await {
            Ok(found) => found,
            Err(StateError::Missing { .. }) => return Ok(Next::Go),
            Err(error) => return Err(internal(error)),
        };
        let fresh = match credentials::mint(&self.services, &grant, &self.worker.id).await {
            Ok(fresh) => fresh,
            Err(failure) => {
                tracing::warn!(worker_id = %self.worker.id, %failure, "no credentials for the worker, trying again");
                self.refresh = Some(Instant::now() + RETRY);
                return Ok(Next::Go);
            }
        };
        let now = Timestamp::now();
        let expires_at = fresh.expires_at.as_ref().and_then(haulier_proto::from_timestamp).unwrap_or(now);
        let wait = credentials::refresh_at(now, expires_at).duration_since(now).unsigned_abs().max(RETRY);
        self.send(ToWorker::Credentials(fresh)).await?;
        self.refresh = Some(Instant::now() + wait);
        if !self.assigned {
            let assignment = wire::Assignment::decode(assignment.as_slice())
                .map_err(|_| Status::internal("the stored assignment is malformed"))?;
            self.send(ToWorker::Assignment(assignment)).await?;
            self.assigned = true;
        }
        Ok(Next::Go)
    }

    async fn send(&self, message: ToWorker) -> Result<(), Status> {
        let response = wire::AttachResponse {
            session_id: self.worker.session.to_string(),
            epoch: self.worker.epoch.0,
            message: Some(message),
        };
        self.outbox.send(Ok(response)).await.map_err(|_| Status::cancelled("the worker has gone"))
    }
}
