//! Workers as they talk to the coordinator: enrolment, the stream, credentials.
//!
//! A worker is believed in three steps. Its token, from user-data, is good for one key. Its signed identity shows that it
//! is the EC2 instance that was launched for it. From then on its certificate names it on every call, and its session and
//! epoch must be the ones that are current.

pub mod admission;
mod attach;
pub mod credentials;
mod enrol;
mod presence;
pub(crate) mod restored;
mod service;
pub mod tasks;
pub mod user_data;
mod wire;

use haulier_domain::id::{DomainId, Epoch, SessionId, WorkerId};
use serde::{Deserialize, Serialize};

pub use presence::Presence;
pub use service::{ListenError, WorkerListener, server};
pub use wire::progress;

use crate::sessions::Account;

/// Kind of the event with which a worker proposes a restore point.
pub(crate) const EVENT_POINT_PROPOSED: &str = "point-proposed";
/// Kind of the event with which a worker reports a part of a restore as complete.
pub(crate) const EVENT_PART_RESTORED: &str = "part-restored";
/// Kind of a worker's last event.
pub(crate) const EVENT_FINISHED: &str = "finished";
/// Kind of the event with which a worker tells of a task of the engine's own.
pub(crate) const EVENT_TASK_SUBMITTED: &str = "task-submitted";
/// Kind of the event with which a worker tells how such a task has ended.
pub(crate) const EVENT_TASK_ENDED: &str = "task-ended";
/// Kind of the events that say where an instance copied log backups to before its session.
pub(crate) const EVENT_LOG_TARGET: &str = "log-target-replaced";

/// What a worker's credentials are for. No secret: the credentials themselves are made when they are needed and kept
/// nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Account whose role is assumed.
    pub account: Account,
    /// The workers' role there.
    pub role_arn: String,
    /// Inline session policy, JSON.
    pub policy: String,
    /// Repository by name.
    pub repository: String,
    /// Domain whose key it gets.
    pub domain: DomainId,
    /// Domain that it copies to, whose key it gets too.
    #[serde(default)]
    pub target: Option<DomainGrant>,
}

/// A domain of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainGrant {
    /// Repository by name.
    pub repository: String,
    /// The domain.
    pub domain: DomainId,
}

/// The worker of a session's epoch: one each, so that a repeated launch is a launch of the same.
pub fn worker_id(session: &SessionId, epoch: Epoch) -> WorkerId {
    let of_session = session.as_str().trim_start_matches(SessionId::PREFIX);
    format!("{}{of_session}-{epoch}", WorkerId::PREFIX)
        .parse()
        .unwrap_or_else(|_| WorkerId::from_uuid(uuid::Uuid::from_u128(u128::from(epoch.0))))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_worker_is_named_after_session_and_epoch() {
        let session = SessionId::from_uuid(Uuid::from_u128(7));
        let (first, second) = (worker_id(&session, Epoch(1)), worker_id(&session, Epoch(2)));
        assert_ne!(first, second);
        assert_eq!(first.as_str(), "wrk-00000000000000000000000000000007-1");
        assert_ne!(first, worker_id(&SessionId::from_uuid(Uuid::from_u128(8)), Epoch(1)));
    }
}
