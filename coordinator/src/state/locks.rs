//! Whose turn it is.
//!
//! Sessions wait in the order in which they were asked for. One may begin when no other session holds its instance, or for a
//! prune the domain, no earlier one waits for it, and fewer of its policy's sessions run than the policy allows. Beginning takes
//! the lock in the same transaction, so that two sessions never hold one instance or domain, whatever crashes when.

use std::collections::{BTreeMap, BTreeSet};

use haulier_domain::id::SessionId;
use jiff::Timestamp;
use sqlx::Row as _;

use super::{Result, State, doing, from_json, parsed, stamp};
use crate::sessions::Request;

/// A session that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    session: SessionId,
    lock: Option<String>,
    policy: String,
    concurrency: u32,
}

/// Who may begin now, of those who wait in this order.
fn admitted(
    waiting: &[Waiting],
    held: &BTreeSet<String>,
    running: &BTreeMap<String, u32>,
    most: u32,
) -> Vec<SessionId> {
    let mut taken = held.clone();
    let mut busy = running.clone();
    let mut in_all: u32 = running.values().sum();
    let mut begin = Vec::new();
    for candidate in waiting {
        let running_of_policy = busy.get(&candidate.policy).copied().unwrap_or(0);
        let has_slot = candidate.concurrency == 0 || running_of_policy < candidate.concurrency;
        let is_free = candidate.lock.as_ref().is_none_or(|lock| !taken.contains(lock));
        if has_slot && is_free && (most == 0 || in_all < most) {
            in_all += 1;
            *busy.entry(candidate.policy.clone()).or_default() += 1;
            begin.push(candidate.session.clone());
        }
        // Whoever comes later waits behind this one, whether it began or not.
        taken.extend(candidate.lock.clone());
    }
    begin
}

impl State {
    /// Lets every session begin whose turn it is, while fewer than `most` run (0: any number), and tells whether this one has begun.
    ///
    /// # Errors
    /// Where the state cannot be read or written.
    pub async fn take_turn(&self, session: &SessionId, most: u32) -> Result<bool> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(doing("taking a turn"))?;
        let rows = sqlx::query(
            "SELECT id, lock_key, policy, request FROM sessions WHERE state = 'queued' ORDER BY created_at, id",
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(doing("listing who waits"))?;
        let mut waiting = Vec::with_capacity(rows.len());
        for row in &rows {
            let request: Request = from_json(row.get("request"), "sessions.request")?;
            waiting.push(Waiting {
                session: parsed(row.get("id"), "sessions.id")?,
                lock: row.get("lock_key"),
                policy: row.get("policy"),
                concurrency: request.concurrency(),
            });
        }
        let held = sqlx::query("SELECT instance FROM instance_locks")
            .fetch_all(&mut *transaction)
            .await
            .map_err(doing("listing locks"))?
            .iter()
            .map(|row| row.get("instance"))
            .collect();
        let running = sqlx::query(
            "SELECT policy, count(*) AS running FROM sessions WHERE state IN ('running', 'tearing-down') GROUP BY policy",
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(doing("counting who runs"))?
        .iter()
        .map(|row| (row.get("policy"), row.get("running")))
        .collect();
        for begins in admitted(&waiting, &held, &running, most) {
            sqlx::query("INSERT INTO instance_locks (instance, session) SELECT lock_key, id FROM sessions WHERE id = ? AND lock_key IS NOT NULL")
                .bind(begins.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(doing("taking a lock"))?;
            sqlx::query("UPDATE sessions SET state = 'running', started_at = coalesce(started_at, ?) WHERE id = ?")
                .bind(stamp(Timestamp::now()))
                .bind(begins.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(doing("beginning a session"))?;
        }
        let state: String = sqlx::query("SELECT state FROM sessions WHERE id = ?")
            .bind(session.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(doing("reading a session's state"))?
            .get("state");
        transaction.commit().await.map_err(doing("taking a turn"))?;
        Ok(state != "queued")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: u32, lock: &str, policy: &str, concurrency: u32) -> Waiting {
        Waiting {
            session: format!("ses-{id}").parse().unwrap(),
            lock: (!lock.is_empty()).then(|| lock.to_owned()),
            policy: policy.to_owned(),
            concurrency,
        }
    }

    fn begun(waiting: &[Waiting], held: &[&str], running: &[(&str, u32)]) -> Vec<String> {
        let held = held.iter().map(|&lock| lock.to_owned()).collect();
        let running = running.iter().map(|&(policy, count)| (policy.to_owned(), count)).collect();
        admitted(waiting, &held, &running, 3).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sessions_on_one_instance_take_turns_in_order() {
        let queue = [waiting(1, "a", "", 0), waiting(2, "a", "", 0), waiting(3, "b", "", 0)];
        assert_eq!(begun(&queue, &[], &[]), ["ses-1", "ses-3"]);
        assert_eq!(begun(&queue, &["a"], &[]), ["ses-3"]);
        assert_eq!(begun(&queue[1..], &[], &[]), ["ses-2", "ses-3"]);
    }

    #[test]
    fn a_policy_runs_no_more_than_it_allows() {
        let queue = [waiting(1, "a", "p", 2), waiting(2, "b", "p", 2), waiting(3, "c", "q", 0)];
        assert_eq!(begun(&queue, &[], &[("p", 1)]), ["ses-1", "ses-3"]);
        assert_eq!(begun(&queue, &[], &[("p", 2)]), ["ses-3"]);
    }

    #[test]
    fn the_whole_installation_runs_no_more_than_it_may() {
        let queue = [waiting(1, "a", "", 0), waiting(2, "b", "", 0)];
        assert_eq!(begun(&queue, &[], &[("p", 1), ("q", 1)]), ["ses-1"]);
    }

    #[test]
    fn one_that_waits_for_a_slot_is_not_overtaken_on_its_instance() {
        let queue = [waiting(1, "a", "p", 1), waiting(2, "a", "q", 0)];
        assert_eq!(begun(&queue, &[], &[("p", 1)]), [""; 0]);
    }

    #[test]
    fn a_session_that_touches_no_instance_waits_for_none() {
        assert_eq!(begun(&[waiting(1, "", "", 0), waiting(2, "", "", 0)], &[], &[]), ["ses-1", "ses-2"]);
    }
}
