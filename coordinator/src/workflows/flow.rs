//! One session's way through its steps.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::id::{Epoch, SessionId};
use haulier_domain::session::{Outcome, Severity, Stop};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::engine::Journal;
use super::observer::Moment;
use super::steps::end;
use super::trouble::{Attempt, Trouble};
use crate::failures;
use crate::ledger::Naming;
use crate::services::Services;
use crate::sessions::{Place, Request};
use crate::state::Session;

/// The engine could not go on with a workflow, through no fault of the session's.
#[derive(Debug, Clone)]
pub(super) struct Interrupted(pub(super) String);

/// Why a flow leaves its path.
#[derive(Debug)]
pub(super) enum Halt {
    /// The session stops; it is torn down and has this outcome.
    Stop(Stop),
    /// The engine stops.
    Interrupted(Interrupted),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Stop(Stop::Failed(failure))
    }
}

/// Result of a stretch of a flow.
pub(super) type Flowed<T> = Result<T, Halt>;

/// What the steps of one session work with.
#[derive(Debug)]
pub(crate) struct Work {
    /// The coordinator's parts.
    pub(crate) services: Arc<Services>,
    /// The session as it was when the flow was opened: what it was asked to do does not change.
    pub(crate) session: Session,
    /// Names and tags of what it makes.
    pub(crate) naming: Naming,
}

impl Work {
    /// The session's id.
    pub(crate) fn id(&self) -> &SessionId {
        &self.session.id
    }

    /// What it was asked to do.
    pub(crate) fn request(&self) -> &Request {
        &self.session.request
    }

    /// Where its instance is, and everything it makes.
    pub(crate) fn place(&self) -> &Place {
        &self.session.request.instance().place
    }

    /// Adds a line to its log. A log that cannot be written holds nothing up.
    pub(crate) async fn log(&self, severity: Severity, text: &str) {
        if let Err(error) = self.services.state.log(self.id(), severity, text).await {
            tracing::warn!(session_id = %self.id(), error = %failures::chain(&error), "log line lost");
        }
        self.services.feeds.changed(self.id());
    }

    /// Returns once somebody has asked the session to stop.
    pub(crate) async fn cancelled(&self) {
        let mut feed = self.services.feeds.follow(self.id());
        loop {
            if self.services.state.cancel_requested(self.id()).await.unwrap_or(false) {
                return;
            }
            if feed.changed().await.is_err() {
                feed = self.services.feeds.follow(self.id());
            }
        }
    }

    /// Waits for something, but no longer than until somebody asks the session to stop, or the time is over.
    pub(crate) async fn wait<T>(
        &self,
        limit: Duration,
        late: impl FnOnce() -> Failure,
        ready: impl Future<Output = Attempt<T>>,
    ) -> Attempt<T> {
        tokio::select! {
            ready = ready => ready,
            () = self.cancelled() => Err(Trouble::Stop(Stop::Cancelled)),
            () = tokio::time::sleep(limit) => Err(late().into()),
        }
    }
}

/// One session's way through its steps.
pub(super) struct Flow {
    journal: Journal,
    work: Work,
}

impl Flow {
    pub(super) async fn open(
        journal: Journal,
        services: Arc<Services>,
        session: &SessionId,
    ) -> Result<Self, Interrupted> {
        let session = services.state.session(session).await.map_err(|error| Interrupted(error.to_string()))?;
        let naming = Naming::new(&services.installation, &session.id);
        Ok(Self { journal, work: Work { services, session, naming } })
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    /// A step: unless somebody has asked the session to stop, its body runs until it succeeds or fails for good, and what
    /// it came to is committed. Trouble that may pass is met with growing pauses for as long as an outage is endured.
    pub(super) async fn step<T, F, Fut>(&self, name: &'static str, body: F) -> Flowed<T>
    where
        T: Serialize + DeserializeOwned + Send,
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Attempt<T>> + Send,
    {
        // On the heap: flows are long, and what their steps need would fill a thread's stack.
        let persisted = Box::pin(async { self.persist(&body).await });
        let outcome = Box::pin(self.record(name, persisted)).await.map_err(Halt::Interrupted)?;
        outcome.map_err(Halt::Stop)
    }

    /// The end of every session: its outcome is written down, what it made is removed, and it is over. Nothing stops this:
    /// it is repeated until it has worked.
    pub(super) async fn end(&self, flowed: Flowed<haulier_domain::session::Completed>) -> Result<(), Interrupted> {
        let outcome: Outcome = match flowed {
            Ok(completed) => Ok(completed),
            Err(Halt::Stop(stop)) => Err(stop),
            Err(Halt::Interrupted(interrupted)) => return Err(interrupted),
        };
        let work = &self.work;
        self.insist("begin-teardown", || end::begin_teardown(work, &outcome)).await?;
        self.insist("teardown", || end::teardown(work)).await?;
        self.insist("end", || end::close(work)).await
    }

    /// What an epoch made is removed, so that the next can begin. Not to be stopped either.
    pub(super) async fn clear(&self, epoch: Epoch) -> Flowed<()> {
        let work = &self.work;
        self.insist("clear", || end::clear_epoch(work, epoch)).await.map_err(Halt::Interrupted)
    }

    async fn insist<F, Fut>(&self, name: &'static str, body: F) -> Result<(), Interrupted>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Attempt<()>> + Send,
    {
        let repeated = async {
            let mut pause = BackOff::new(self.work.services.settings.pace.back_off);
            while let Err(trouble) = body().await {
                tracing::error!(session_id = %self.work.id(), step = name, ?trouble, "step must succeed, repeating");
                pause.sleep().await;
            }
            Ok(())
        };
        self.record(name, repeated).await.map(|_: Result<(), Stop>| ())
    }

    async fn record<T>(
        &self,
        name: &'static str,
        body: impl Future<Output = Result<T, Stop>> + Send,
    ) -> Result<Result<T, Stop>, Interrupted>
    where
        T: Serialize + DeserializeOwned + Send,
    {
        let services = &self.work.services;
        let observed = async {
            services.observer.at(self.work.id(), name, Moment::Before).await;
            if let Err(error) = services.state.note_step(self.work.id(), name).await {
                tracing::warn!(session_id = %self.work.id(), %error, "step not noted");
            }
            services.feeds.changed(self.work.id());
            tracing::debug!(session_id = %self.work.id(), step = name, "step begins");
            let result = body.await;
            services.observer.at(self.work.id(), name, Moment::Done).await;
            result
        };
        // A coordinator that has stopped goes no further, as if it had been killed here: the next one repeats the step.
        let unless_halted = async {
            tokio::select! {
                biased;
                () = services.halted.cancelled() => std::future::pending().await,
                result = observed => result,
            }
        };
        let result = self.journal.record(name, unless_halted).await;
        if services.halted.is_cancelled() {
            return std::future::pending().await;
        }
        services.observer.at(self.work.id(), name, Moment::Committed).await;
        result
    }

    fn in_account(&self, failure: Failure) -> Failure {
        failures::in_account(failure, &self.work.place().account)
    }

    async fn persist<T, F, Fut>(&self, body: &F) -> Result<T, Stop>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Attempt<T>> + Send,
    {
        let pace = &self.work.services.settings.pace;
        let began = Instant::now();
        let mut pause = BackOff::new(pace.back_off);
        loop {
            if self.work.services.state.cancel_requested(self.work.id()).await.unwrap_or(false) {
                return Err(Stop::Cancelled);
            }
            match body().await {
                Ok(value) => return Ok(value),
                Err(Trouble::Stop(Stop::Failed(failure))) => return Err(self.in_account(failure).into()),
                Err(Trouble::Stop(stop)) => return Err(stop),
                Err(Trouble::Again(failure)) if began.elapsed() >= pace.outage => {
                    return Err(self.in_account(failure).into());
                }
                Err(Trouble::Again(failure)) => {
                    tracing::info!(session_id = %self.work.id(), %failure, "trouble that may pass, repeating");
                    tokio::select! {
                        () = pause.sleep() => {}
                        () = self.work.cancelled() => return Err(Stop::Cancelled),
                    }
                }
            }
        }
    }
}

/// Growing pauses.
pub(crate) struct BackOff {
    next: Duration,
    longest: Duration,
}

impl BackOff {
    /// From the first pause to the longest.
    pub(crate) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { next: first, longest }
    }

    /// Waits for the next pause.
    pub(crate) async fn sleep(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }
}
