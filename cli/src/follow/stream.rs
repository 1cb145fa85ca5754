//! The stream of one session, taken up again where it was cut.

use std::time::Duration;

use futures::Stream;
use futures::stream::try_unfold;
use haulier_proto::control::v1 as control;
use haulier_proto::control::v1::tail_session_response::Event;
use haulier_proto::status::failure_of;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use crate::client::Client;
use crate::exit::CliError;
use crate::view::{LogView, ProgressView, SessionView};

/// How long a coordinator may be away before a command gives up waiting for it.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);

/// One thing that happened to a session.
#[derive(Debug)]
pub(super) enum Happening {
    Session(Box<SessionView>),
    Log(u64, LogView),
    Progress(ProgressView),
    /// The coordinator went away; it is being called again.
    Cut(String),
}

struct Follower {
    client: Client,
    id: String,
    after: u64,
    stream: Option<Streaming<control::TailSessionResponse>>,
    /// Whether the coordinator has answered before: only then is it worth waiting for.
    known: bool,
    away_since: Option<Instant>,
    has_ended: bool,
}

/// What happens to a session after a line of its log, until it has ended.
pub(super) fn happenings(
    client: Client,
    id: &str,
    after: u64,
) -> impl Stream<Item = Result<Happening, CliError>> + use<> {
    let follower =
        Follower { client, id: id.to_owned(), after, stream: None, known: false, away_since: None, has_ended: false };
    try_unfold(
        follower,
        |mut follower| async move { Ok(follower.next().await?.map(|happening| (happening, follower))) },
    )
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Happening>, CliError> {
        loop {
            match self.receive().await {
                Ok(Some(response)) => {
                    self.known = true;
                    self.away_since = None;
                    if let Some(happening) = self.happening(response) {
                        return Ok(Some(happening));
                    }
                }
                Ok(None) if self.has_ended => return Ok(None),
                Ok(None) => {
                    if let Some(cut) = self.cut("the stream ended early".to_owned()).await {
                        return Ok(Some(cut));
                    }
                }
                Err(status) => {
                    let away = self.away_since.map(|since| since.elapsed()).unwrap_or_default();
                    if !self.known || !is_cut(&status) || away > PATIENCE {
                        return Err(CliError::from_status(&format!("following session {}", self.id), &status));
                    }
                    if let Some(cut) = self.cut(status.message().to_owned()).await {
                        return Ok(Some(cut));
                    }
                }
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<control::TailSessionResponse>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let request = control::TailSessionRequest { id: self.id.clone(), after_sequence: self.after };
                self.stream.insert(self.client.tail_session(request).await?.into_inner())
            }
        };
        stream.message().await
    }

    /// Waits a moment before the next call. Told once for each time the coordinator is away.
    async fn cut(&mut self, why: String) -> Option<Happening> {
        self.stream = None;
        let is_news = self.away_since.is_none();
        self.away_since.get_or_insert_with(Instant::now);
        tokio::time::sleep(PAUSE).await;
        is_news.then_some(Happening::Cut(why))
    }

    fn happening(&mut self, response: control::TailSessionResponse) -> Option<Happening> {
        match response.event? {
            Event::Log(line) => {
                self.after = self.after.max(response.sequence);
                Some(Happening::Log(response.sequence, LogView::from(line)))
            }
            Event::Progress(progress) => Some(Happening::Progress(ProgressView::from(progress))),
            Event::Session(session) => {
                let session = SessionView::from(session);
                self.has_ended = session.exit().is_some();
                Some(Happening::Session(Box::new(session)))
            }
        }
    }
}

/// Whether the connection broke, rather than the coordinator having refused something.
fn is_cut(status: &Status) -> bool {
    let broken = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled);
    broken && failure_of(status).is_none()
}
