//! Where the instance copies log backups to. There is one such place to an instance, and it is the operator's: a session has it
//! moved to its own for a while, and puts it back.
//!
//! What it was is told to the coordinator before it is replaced, so that the next worker can put it back where this one is
//! killed. Where nobody had ever said it, nothing can be put back: RDS knows no way to take it away again. It then names
//! the session's place, where nothing is any more, and where RDS writes only when it is asked to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::diagnosis::{self, Class};
use haulier_domain::sqlserver::keys::TemporaryPlace;
use haulier_domain::sqlserver::log_target::{is_of_session, left};
use tokio::time::{Instant, timeout};

use super::calls::Patience;
use super::context::Context;
use super::failures;
use super::port::{CallError, is_same_target};
use crate::mover::sinks::Stopped;

/// What RDS says where the place is the one already that it is given.
const ALREADY: &str = "already set to the provided value";

/// The place that was replaced.
pub(super) struct LogTarget {
    instance: String,
    own: String,
    before: Mutex<Option<String>>,
}

impl LogTarget {
    /// The session's own is in this place. `before` is what earlier workers have replaced.
    pub(super) fn new(instance: &str, place: &TemporaryPlace, before: Option<String>) -> Self {
        Self { instance: instance.to_owned(), own: place.arn(&place.logs()), before: Mutex::new(before) }
    }

    /// ARN of the session's own.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    fn before(&self) -> MutexGuard<'_, Option<String>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the instance copy log backups to the session's own place.
    pub(super) async fn take(&self, context: &Context) -> Result<(), Stopped> {
        let what = format!("having {} copy log backups to the temporary bucket", self.instance);
        let current = context.read(&what, || context.server.log_target()).await?;
        if current.as_deref().is_some_and(|current| is_same_target(current, &self.own)) {
            return Ok(());
        }
        // What an earlier session has left is nobody's.
        if let Some(current) = current.filter(|current| !is_of_session(current)) {
            context.obey(context.tasks.log_target_replaced(&current)).await?;
            context.info(&format!("the instance copied log backups to {current} so far"));
            // Where the operator has set another since an earlier worker replaced the first, that one counts.
            *self.before() = Some(current);
        }
        self.set(&self.own, &what, context.pace.busy, context).await
    }

    /// Whether there is something to put back.
    pub(super) fn has_replaced(&self) -> bool {
        self.before().is_some()
    }

    /// Puts back what was there, even after the order to stop. Gives what an operator must do where that cannot be had in so long.
    pub(super) async fn put_back(&self, context: &Context, limit: Duration) -> Option<Failure> {
        let before = self.before().clone()?;
        let what = format!("having {} copy log backups to {before} again", self.instance);
        // There is no time for the usual pauses.
        let busy = context.pace.busy.min(limit / 10);
        let putting = async {
            let current = context.read(&what, || context.server.log_target()).await?;
            // Somebody else's hand since then has the last word.
            let is_ours = current.is_some_and(|current| is_same_target(&current, &self.own));
            if is_ours { self.set(&before, &what, busy, context).await } else { Ok(()) }
        };
        let why = match timeout(limit, putting).await {
            Ok(Ok(())) => {
                context.tasks.log_target_put_back();
                return None;
            }
            // Its remedy is for somebody who wants the session's own place.
            Ok(Err(Stopped::Failed(failure))) => failure.cause,
            Ok(Err(Stopped::Cancelled)) => "it was cancelled".to_owned(),
            Err(_) => "it was not done in time".to_owned(),
        };
        Some(left(&self.instance, &before, why))
    }

    /// Sets it, once the instance has no pending task; where it has one, tries again after a pause of `busy`.
    async fn set(&self, arn: &str, what: &str, busy: Duration, context: &Context) -> Result<(), Stopped> {
        let began = Instant::now();
        let mut patience = Patience::new(&context.pace);
        let mut waits = false;
        loop {
            let error = match context.settled(context.server.set_log_target(arn)).await? {
                Ok(()) => return Ok(()),
                Err(CallError::Refused { text, .. }) if text.contains(ALREADY) => return Ok(()),
                Err(error) => error,
            };
            let failure = failures::call(what, &error);
            // What passes by its number is a restart or a failover of the instance: it is tried again as a lost answer is.
            if let CallError::Refused { number, text } = &error
                && !diagnosis::passes(*number)
            {
                let known = diagnosis::of_text(text).filter(|known| known.class == Class::RetryLater);
                if known.is_none_or(|known| began.elapsed() + busy > known.patience) {
                    return Err(failure.into());
                }
                if !std::mem::replace(&mut waits, true) {
                    context.warn(&format!("waiting: {failure}"));
                }
                context.pause(busy).await?;
                // That may have taken an hour; a connection that breaks then is none that has been broken for so long.
                patience = Patience::new(&context.pace);
                continue;
            }
            let pause = patience.pause().filter(|_| failure.retryable);
            context.pause(pause.ok_or(failure)?).await?;
        }
    }
}
