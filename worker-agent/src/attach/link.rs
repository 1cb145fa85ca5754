//! One stream, from its greeting to its cut.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Outgoing;
use haulier_proto::worker::v1::attach_response::Message;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::PATIENCE;
use super::dial::{Dial, DialError, Incoming};
use crate::session::Session;

/// The coordinator greets within this time.
const GREETING: Duration = Duration::from_secs(20);
/// Progress is sent at most this often.
const PROGRESS: Duration = Duration::from_millis(250);
/// Messages that wait for a slow connection. Progress is dropped where there is no room, events wait on the desk.
const AHEAD: usize = 16;

/// Why a stream ended.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The coordinator has said that nothing is left to do.
    Shutdown,
    /// The connection is gone.
    Broken(String),
    /// The coordinator does not want this worker any more.
    Refused(String),
}

/// One stream that the coordinator has greeted.
pub(crate) struct Link {
    outgoing: mpsc::Sender<wire::AttachRequest>,
    incoming: Incoming,
    welcome: wire::Welcome,
}

impl Link {
    /// Opens a stream and waits for the greeting.
    pub(crate) async fn open(dial: &dyn Dial, session: &Session, majors: &[u32]) -> Result<Self, DialError> {
        let (outgoing, receiver) = mpsc::channel(AHEAD);
        let unreachable = |reason: &str| DialError::Unreachable(reason.to_owned());
        outgoing.try_send(session.hello(majors)).map_err(|_| unreachable("the stream takes nothing"))?;
        let greeted = async {
            let mut incoming = dial.dial(receiver).await?;
            let first = incoming.next().await.ok_or_else(|| unreachable("the stream ended before its greeting"))??;
            if !session.admits(&first) {
                return Err(unreachable("the greeting is of another session or an older epoch"));
            }
            match first.message {
                Some(Message::Welcome(welcome)) => Ok(Self { outgoing, incoming, welcome }),
                _ => Err(unreachable("the first message is not a greeting")),
            }
        };
        timeout(GREETING, greeted).await.map_err(|_| unreachable("no greeting in time"))?
    }

    /// How long the coordinator may stay away.
    pub(crate) fn patience(&self) -> Duration {
        match self.welcome.patience_seconds {
            0 => PATIENCE,
            seconds => Duration::from_secs(seconds.into()),
        }
    }

    fn heartbeat(&self) -> Interval {
        let millis = self.welcome.heartbeat_millis.clamp(100, 60_000);
        every(Duration::from_millis(millis.into()))
    }

    /// Carries messages both ways until the stream ends.
    pub(crate) async fn run(mut self, session: &Arc<Session>) -> Cut {
        let desk = session.desk();
        desk.acknowledge(self.welcome.acknowledged);
        let (mut sent, mut shown) = (self.welcome.acknowledged, 0);
        let (mut heartbeat, mut progress) = (self.heartbeat(), every(PROGRESS));
        loop {
            let has_event = desk.has_event_after(sent);
            tokio::select! {
                message = self.incoming.next() => {
                    if let Some(cut) = take(session, message) {
                        return cut;
                    }
                }
                permit = self.outgoing.reserve(), if has_event => match permit {
                    Err(_) => return Cut::Broken("the connection takes nothing more".to_owned()),
                    Ok(permit) => if let Some(event) = desk.event_after(sent) {
                        sent = event.sequence;
                        permit.send(session.message(Outgoing::Event(event)));
                    }
                },
                () = desk.grown(), if !has_event => {}
                _ = progress.tick() => {
                    if let Ok(permit) = self.outgoing.try_reserve()
                        && let Some((changes, now)) = desk.progress_since(shown)
                    {
                        shown = changes;
                        permit.send(session.message(Outgoing::Progress(now)));
                    }
                }
                _ = heartbeat.tick() => {
                    // Where there is no room, what waits is sign of life enough.
                    drop(self.outgoing.try_send(session.message(Outgoing::Heartbeat(wire::Heartbeat {}))));
                }
            }
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Does what came in, and says whether that ended the stream.
fn take(session: &Arc<Session>, message: Option<Result<wire::AttachResponse, tonic::Status>>) -> Option<Cut> {
    match message {
        None => Some(Cut::Broken("the coordinator closed the stream".to_owned())),
        Some(Err(status)) => Some(match DialError::from(status) {
            DialError::Refused(reason) => Cut::Refused(reason),
            DialError::Unreachable(reason) => Cut::Broken(reason),
        }),
        Some(Ok(response)) if !session.admits(&response) => None,
        Some(Ok(response)) => match response.message {
            Some(Message::Shutdown(_)) => Some(Cut::Shutdown),
            Some(message) => {
                session.handle(message);
                None
            }
            // A newer coordinator may say what this agent does not know.
            None => None,
        },
    }
}
