//! How calls are made: each obeys the order to stop, and what can be repeated is, for as long as it may pass by itself.

use std::time::Duration;

use haulier_cloud::{CloudError, Result as CloudResult};
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::diagnosis;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::context::{Context, Pace};
use super::failures;
use super::port::CallError;
use crate::mover::sinks::Stopped;

/// The longest pause between two tries, as a multiple of the first.
const LONGEST: u32 = 30;

/// Pauses that double, until patience is over.
pub(super) struct Patience {
    next: Duration,
    longest: Duration,
    until: Instant,
}

impl Patience {
    pub(super) fn new(pace: &Pace) -> Self {
        Self { next: pace.retry, longest: pace.retry * LONGEST, until: Instant::now() + pace.patience }
    }

    /// The next pause; `None` where it is not worth it any more.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        (Instant::now() + pause < self.until).then_some(pause)
    }
}

impl Context {
    /// Waits for an answer, or for the order to stop.
    pub(super) async fn obey<T>(&self, call: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            done = call => Ok(done),
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
        }
    }

    /// Waits for the answer to a call that changes something. After the order to stop it is waited for a little longer:
    /// otherwise what tidies up would look before the call has taken effect.
    pub(super) async fn settled<T>(&self, call: impl Future<Output = T>) -> Result<T, Stopped> {
        if self.cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        let given_up = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(self.pace.retry * 2).await;
        };
        tokio::select! {
            done = call => Ok(done),
            () = given_up => Err(Stopped::Cancelled),
        }
    }

    /// Waits for its turn.
    pub(super) async fn turn<'s>(&self, turns: &'s Semaphore) -> Result<SemaphorePermit<'s>, Stopped> {
        let permit = self.obey(turns.acquire()).await?;
        permit.map_err(|error| {
            let remedy = "report this with the session's log";
            Failure::new("mover-defect", "waiting for a turn", error.to_string(), remedy).into()
        })
    }

    /// Waits, or stops.
    pub(super) async fn pause(&self, length: Duration) -> Result<(), Stopped> {
        self.obey(tokio::time::sleep(length)).await
    }

    /// A call to the instance that is made once, and changes something.
    pub(super) async fn once<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, Stopped> {
        self.settled(call).await?.map_err(|error| failures::call(what, &error).into())
    }

    /// A call to the instance that may be repeated: where its connection breaks, the instance may be failing over.
    pub(super) async fn read<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut patience = Patience::new(&self.pace);
        loop {
            let error = match self.obey(call()).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let failure = failures::call(what, &error);
            let may_pass = match &error {
                CallError::Lost(_) => true,
                CallError::Unmade(failure) => failure.retryable,
                CallError::Refused { number, .. } => diagnosis::passes(*number),
                CallError::Strange(_) => false,
            };
            match patience.pause().filter(|_| may_pass) {
                Some(pause) => {
                    tracing::warn!(%failure, "trying again");
                    self.pause(pause).await?;
                }
                None => return Err(failure.into()),
            }
        }
    }

    /// A call to the temporary bucket that may be repeated.
    pub(super) async fn bucket<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Stopped>
    where
        F: Future<Output = CloudResult<T>>,
    {
        let tried = self.bucket_or(call).await?;
        tried.map_err(|error| failures::bucket(what, &error).into())
    }

    /// The same, where the caller makes something of an error.
    pub(super) async fn bucket_or<T, F>(&self, call: impl Fn() -> F) -> Result<Result<T, CloudError>, Stopped>
    where
        F: Future<Output = CloudResult<T>>,
    {
        let mut patience = Patience::new(&self.pace);
        loop {
            match self.obey(call()).await? {
                Err(error) if error.is_transient() => match patience.pause() {
                    Some(pause) => {
                        tracing::warn!(%error, "trying again");
                        self.pause(pause).await?;
                    }
                    None => return Ok(Err(error)),
                },
                answer => return Ok(answer),
            }
        }
    }
}
