//! A session's events as a stream of wire messages.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use haulier_domain::id::SessionId;
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::tail_session_response::Event;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{convert, session, status};
use crate::sessions::{Sessions, TailEvent};
use crate::state;

/// The stream that `TailSession` answers with.
pub(super) type Tail = BoxStream<'static, Result<wire::TailSessionResponse, Status>>;

/// History, then what happens, until the session has ended or the coordinator stops.
pub(super) fn tail(sessions: &Sessions, id: &SessionId, after: u64, stop: &CancellationToken) -> Tail {
    let what = format!("following session {id}");
    let events = sessions.tail(id, after);
    let sessions = sessions.clone();
    let events = events
        .and_then(move |event| response(sessions.clone(), event))
        .map_err(move |error| status::of_state(&what, &error));
    // Told as a failure, or a follower would take the end of the coordinator for the end of the session.
    let stopped = stop.clone().cancelled_owned();
    let farewell =
        futures::stream::once(stopped).map(|()| Err(Status::unavailable("the coordinator is shutting down")));
    let ended = futures::stream::iter([None]);
    futures::stream::select(events.map(Some).chain(ended), farewell.map(Some))
        .take_while(|event| futures::future::ready(event.is_some()))
        .filter_map(futures::future::ready)
        .boxed()
}

async fn response(sessions: Sessions, event: TailEvent) -> state::Result<wire::TailSessionResponse> {
    let (sequence, event) = match event {
        TailEvent::Session(session) => (0, Event::Session(session::shown(&sessions, *session).await?)),
        TailEvent::Log(line) => (line.sequence, Event::Log(convert::log_line(line))),
        TailEvent::Progress(progress) => (0, Event::Progress(convert::progress(progress))),
    };
    Ok(wire::TailSessionResponse { sequence, event: Some(event) })
}
