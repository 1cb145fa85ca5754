//! A request that starts something may be sent again, with the key it was first sent with: it starts nothing new then
//! and is answered as the first was.
//!
//! A key stands for one request, whichever it is: with any other it is refused, since whoever sends it would take the
//! first one's sessions for his own. A request that started nothing frees its key again, if it was the one that claimed it.
//! Between the claim of a key and its answer the coordinator may die; what was started until then has the key in its own
//! name, so that the repeated request finds it, and a repetition that is refused leaves the key with what was started.

use aws_lc_rs::digest;
use haulier_domain::failure::Failure;
use haulier_proto::status::refusal;
use jiff::Timestamp;
use prost::Message;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use uuid::Uuid;

use super::status;
use crate::state::State;

/// What a request has started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) session_ids: Vec<String>,
    #[serde(default)]
    pub(super) skipped: Vec<String>,
}

impl Answer {
    /// One session.
    pub(super) fn session(id: impl ToString) -> Self {
        Self { session_ids: vec![id.to_string()], skipped: Vec::new() }
    }

    /// The one session.
    pub(super) fn into_session(self) -> String {
        self.session_ids.into_iter().next().unwrap_or_default()
    }
}

/// A request and the key it came with.
pub(super) struct Keyed<'s> {
    state: &'s State,
    what: &'s str,
    key: Option<String>,
    request: String,
}

impl<'s> Keyed<'s> {
    /// A request of a kind, without its key, and the key. An empty one is none.
    pub(super) fn new(state: &'s State, what: &'s str, kind: &str, request: &impl Message, key: &str) -> Self {
        let mut bytes = format!("{kind}\n").into_bytes();
        bytes.extend(request.encode_to_vec());
        let request = hex::encode(digest::digest(&digest::SHA256, &bytes));
        Self { state, what, key: (!key.is_empty()).then(|| key.to_owned()), request }
    }

    /// The key, or one of its own for a request that must not be one with any other.
    pub(super) fn key(&self) -> String {
        self.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string())
    }

    /// Starts what the request asks for, unless that was done before; says which.
    pub(super) async fn once(
        &self,
        start: impl Future<Output = Result<Answer, Status>> + Send,
    ) -> Result<(Answer, bool), Status> {
        let Some(key) = &self.key else { return Ok((start.await?, false)) };
        let failed = |error| status::of_state(self.what, &error);
        let claim = self.state.claim_key(key, &self.request, self.what).await.map_err(failed)?;
        let known = claim.answer.as_deref().and_then(|text| serde_json::from_str::<Answer>(text).ok());
        if claim.request != self.request {
            return Err(self.mismatch(key, &claim.what, claim.claimed_at, known));
        }
        if let Some(answer) = known {
            return Ok((answer, true));
        }
        let started = start.await;
        match &started {
            Ok(answer) if !answer.session_ids.is_empty() => {
                let text = serde_json::to_string(answer).unwrap_or_default();
                self.state.answer_key(key, &text).await.map_err(failed)?;
            }
            _ if claim.fresh => self.state.release_key(key).await.map_err(failed)?,
            _ => {}
        }
        started.map(|answer| (answer, false))
    }

    fn mismatch(&self, key: &str, what: &str, at: Timestamp, known: Option<Answer>) -> Status {
        let at = at.strftime("%Y-%m-%d %H:%M:%SZ");
        let sessions = known.map(|answer| answer.session_ids.join(", ")).unwrap_or_default();
        let started = if sessions.is_empty() { String::new() } else { format!(", which started {sessions}") };
        let failure = Failure::new(
            "idempotency-key-reused",
            self.what,
            format!("the idempotency key {key:?} was used at {at} for another request: {what}{started}"),
            "use a key of its own for each request, and the same key only to repeat the very same one",
        );
        refusal(Code::AlreadyExists, &failure)
    }
}

#[cfg(test)]
mod tests {
    use haulier_proto::control::v1 as wire;
    use haulier_proto::status::failure_of;

    use super::*;

    fn check(id: &str) -> wire::CheckPointRequest {
        wire::CheckPointRequest { id: id.to_owned(), ..Default::default() }
    }

    async fn start(id: &'static str) -> Result<Answer, Status> {
        Ok(Answer::session(id))
    }

    #[tokio::test]
    async fn a_key_stands_for_one_request() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).await.unwrap();
        let first = Keyed::new(&state, "checking pnt-1", "check", &check("pnt-1"), "k");
        assert_eq!(first.once(start("ses-1")).await.unwrap(), (Answer::session("ses-1"), false));
        assert_eq!(first.once(start("ses-2")).await.unwrap(), (Answer::session("ses-1"), true));
        for (kind, id) in [("check", "pnt-2"), ("restore", "pnt-1")] {
            let refused = Keyed::new(&state, "x", kind, &check(id), "k").once(start("ses-3")).await.unwrap_err();
            let failure = failure_of(&refused).unwrap();
            assert_eq!((refused.code(), failure.code.as_str()), (Code::AlreadyExists, "idempotency-key-reused"));
            assert!(failure.cause.contains("checking pnt-1, which started ses-1"), "{failure}");
        }
        let keyless = Keyed::new(&state, "x", "check", &check("pnt-2"), "");
        assert_eq!(keyless.once(start("ses-4")).await.unwrap(), (Answer::session("ses-4"), false));
        assert_ne!(keyless.key(), keyless.key());
    }

    #[tokio::test]
    async fn a_repetition_that_is_refused_frees_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).await.unwrap();
        let asked = Keyed::new(&state, "x", "check", &check("pnt-1"), "k");
        // What a coordinator leaves that dies between starting a session and keeping the answer.
        state.claim_key("k", &asked.request, "x").await.unwrap();
        asked.once(async { Err(Status::unavailable("later")) }).await.unwrap_err();
        let other = Keyed::new(&state, "x", "check", &check("pnt-2"), "k");
        assert_eq!(other.once(start("ses-2")).await.unwrap_err().code(), Code::AlreadyExists);
        assert_eq!(asked.once(start("ses-1")).await.unwrap(), (Answer::session("ses-1"), false));
    }

    #[tokio::test]
    async fn a_request_that_started_nothing_frees_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).await.unwrap();
        let wrong = Keyed::new(&state, "x", "check", &check("pnt-1"), "k");
        wrong.once(async { Err(Status::not_found("none")) }).await.unwrap_err();
        assert_eq!(wrong.once(async { Ok(Answer::default()) }).await.unwrap(), (Answer::default(), false));
        let right = Keyed::new(&state, "x", "check", &check("pnt-2"), "k");
        assert_eq!(right.once(start("ses-1")).await.unwrap(), (Answer::session("ses-1"), false));
    }
}
