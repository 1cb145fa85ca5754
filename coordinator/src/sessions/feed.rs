//! Who wants to know when something happens to a session.
//!
//! A feed carries no events, only the news that there is something new: whoever follows a session reads it from the state
//! each time, from where it stopped. Progress is the exception: it is kept here, and only its latest figures.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::BoxStream;
use haulier_domain::id::SessionId;
use haulier_domain::session::Progress;
use tokio::sync::watch;

use super::TailEvent;
use crate::services::Services;
use crate::state::{Result, Session};

/// What a feed says.
#[derive(Debug, Clone, Default)]
pub struct Signal {
    /// Latest progress.
    pub progress: Option<Progress>,
}

/// The feeds of all sessions that somebody has touched since the start.
#[derive(Debug, Default)]
pub struct Feeds {
    feeds: Mutex<HashMap<SessionId, watch::Sender<Signal>>>,
}

impl Feeds {
    /// Tells whoever follows the session that its row, its log or its worker has news.
    pub fn changed(&self, session: &SessionId) {
        self.with(session, |feed| feed.send_modify(|_| {}));
    }

    /// Publishes progress.
    pub fn report(&self, session: &SessionId, progress: Progress) {
        self.with(session, |feed| feed.send_modify(|signal| signal.progress = Some(progress)));
    }

    /// The latest progress.
    pub fn progress(&self, session: &SessionId) -> Option<Progress> {
        self.lock().get(session).and_then(|feed| feed.borrow().progress.clone())
    }

    /// Follows a session from now on.
    pub fn follow(&self, session: &SessionId) -> watch::Receiver<Signal> {
        self.with(session, |feed| feed.subscribe())
    }

    /// Forgets a session that has ended; its followers learn of it.
    pub fn close(&self, session: &SessionId) {
        self.lock().remove(session);
    }

    fn with<T>(&self, session: &SessionId, act: impl FnOnce(&watch::Sender<Signal>) -> T) -> T {
        let mut feeds = self.lock();
        act(feeds.entry(session.clone()).or_insert_with(|| watch::Sender::new(Signal::default())))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<Signal>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Tail {
    services: Arc<Services>,
    session: SessionId,
    signal: watch::Receiver<Signal>,
    after: u64,
    last: Option<Session>,
    progress: Option<Progress>,
    ready: VecDeque<TailEvent>,
    ended: bool,
}

/// The session, then its log after a line, then everything that happens until it has ended.
pub(super) fn tail(services: Arc<Services>, session: SessionId, after: u64) -> BoxStream<'static, Result<TailEvent>> {
    let signal = services.feeds.follow(&session);
    let tail =
        Tail { services, session, signal, after, last: None, progress: None, ready: VecDeque::new(), ended: false };
    Box::pin(futures::stream::try_unfold(tail, |mut tail| async move {
        loop {
            if let Some(event) = tail.ready.pop_front() {
                return Ok(Some((event, tail)));
            }
            if tail.ended {
                tail.services.feeds.close(&tail.session);
                return Ok(None);
            }
            if tail.last.is_some() && tail.signal.changed().await.is_err() {
                // The feed was closed: the session has ended, or is about to be read as such.
                tail.signal = tail.services.feeds.follow(&tail.session);
            }
            tail.read().await?;
        }
    }))
}

impl Tail {
    /// Reads what is new. The session's row is read before its log: what an ended session had to say is in the log by
    /// then.
    async fn read(&mut self) -> Result<()> {
        let progress = self.signal.borrow_and_update().progress.clone();
        let state = &self.services.state;
        let session = state.session(&self.session).await?;
        let lines = state.log_after(&self.session, self.after).await?;
        self.ended = session.ended_at.is_some();
        let moved = self.last.as_ref().is_none_or(|last| Self::visible(last) != Self::visible(&session));
        let news = (moved || self.ended).then(|| TailEvent::Session(Box::new(session.clone())));
        let is_first = self.last.is_none();
        if is_first || !self.ended {
            self.ready.extend(news.clone());
        }
        for line in lines {
            self.after = line.sequence;
            self.ready.push_back(TailEvent::Log(line));
        }
        if progress != self.progress {
            self.ready.extend(progress.clone().map(TailEvent::Progress));
            self.progress = progress;
        }
        if self.ended {
            self.ready.extend(news);
        }
        self.last = Some(session);
        Ok(())
    }

    /// What makes a change of the row worth telling.
    fn visible(session: &Session) -> impl PartialEq + use<> {
        (session.state, session.step.clone(), session.epoch, session.cancel_requested, session.point.clone())
    }
}
