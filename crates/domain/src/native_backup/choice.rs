//! Full, or what has come since the last full one. A differential backup holds what has changed since then, so long as nothing
//! else has become the base meanwhile: any snapshot of the instance does, RDS's own daily one included. Log backups hold what
//! was done since then, whatever snapshots there are. What cannot be seen here (a snapshot that is gone again, somebody else's
//! full backup, a gap in the log) the worker finds in the server's own records.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::PointId;

/// A daily run does not miss its day by the minutes that the last one took to begin.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// A published point of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Its id.
    pub id: PointId,
    /// The point that it stands on; `None` where it stands alone.
    pub full_point: Option<PointId>,
    /// When its data was current.
    pub at: Timestamp,
}

/// A snapshot of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// `DBSnapshotIdentifier`.
    pub id: String,
    /// When it was taken; `None` where it is being taken.
    pub at: Option<Timestamp>,
}

/// What a policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Days from one full backup to the next; 0 means that every backup is full.
    pub full_every_days: u32,
    /// Log backups between them, in place of differential ones.
    pub log_backups: bool,
}

/// What the next backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Full.
    Full {
        /// Why.
        because: Because,
    },
    /// Differential.
    Differential {
        /// The full point that it stands on.
        on: PointId,
    },
    /// The log backups since a full one.
    Log {
        /// The full point that they stand on.
        on: PointId,
    },
}

/// Why a backup is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The policy asks for nothing else.
    Asked,
    /// There is no full one yet.
    First,
    /// The last full one is old enough.
    Due,
    /// A snapshot has become the base.
    Snapshot(String),
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("the policy asks for full backups"),
            Self::First => f.write_str("there is no full backup to stand on"),
            Self::Due => f.write_str("the last full backup is as old as the policy allows"),
            Self::Snapshot(id) => write!(f, "snapshot {id} was taken since the last full backup"),
        }
    }
}

impl Choice {
    /// The point that the backup stands on.
    pub fn full_point(&self) -> Option<&PointId> {
        match self {
            Self::Full { .. } => None,
            Self::Differential { on } | Self::Log { on } => Some(on),
        }
    }
}

/// Chooses.
pub fn next(points: &[Earlier], snapshots: &[Taken], asked: Asked, now: Timestamp) -> Choice {
    let full = |because| Choice::Full { because };
    if asked.full_every_days == 0 {
        return full(Because::Asked);
    }
    let Some(last) = points.iter().filter(|point| point.full_point.is_none()).max_by_key(|point| point.at) else {
        return full(Because::First);
    };
    let age = now.duration_since(last.at);
    if age + SLACK >= SignedDuration::from_hours(24 * i64::from(asked.full_every_days)) {
        return full(Because::Due);
    }
    if asked.log_backups {
        return Choice::Log { on: last.id.clone() };
    }
    let broken = snapshots.iter().find(|snapshot| snapshot.at.is_none_or(|at| at > last.at));
    match broken {
        Some(snapshot) => full(Because::Snapshot(snapshot.id.clone())),
        None => Choice::Differential { on: last.id.clone() },
    }
}

/// The point that the next backup resembles most: a full one the last full one; another the last one on the same full point,
/// and the first of them that full point itself.
pub fn base<'p>(choice: &Choice, points: &'p [Earlier]) -> Option<&'p PointId> {
    let on = choice.full_point();
    let like = points.iter().filter(|point| point.full_point.as_ref() == on).max_by_key(|point| point.at);
    like.or_else(|| points.iter().find(|point| Some(&point.id) == on)).map(|point| &point.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PointId {
        text.parse().unwrap()
    }

    fn earlier(point: &str, on: Option<&str>, at: &str) -> Earlier {
        Earlier { id: id(point), full_point: on.map(id), at: format!("2026-11-{at}Z").parse().unwrap() }
    }

    fn taken(name: &str, at: Option<&str>) -> Taken {
        Taken { id: name.into(), at: at.map(|at| format!("2026-11-{at}Z").parse().unwrap()) }
    }

    #[test]
    fn full_every_so_many_days_and_differentials_between() {
        let points = [
            earlier("pnt-a", None, "10T03:00:00"),
            earlier("pnt-b", None, "17T03:05:00"),
            earlier("pnt-c", Some("pnt-b"), "18T03:00:00"),
        ];
        let differential = Choice::Differential { on: id("pnt-b") };
        let full = |because| Choice::Full { because };
        let own = taken("haulier-1", Some("17T02:59:00"));
        for (days, snapshots, now, expected) in [
            (7, vec![own.clone()], "19T03:00:00", differential.clone()),
            (7, vec![], "23T03:00:00", differential.clone()),
            // Seven days later, less what the full one took to begin.
            (7, vec![], "24T03:00:00", full(Because::Due)),
            (1, vec![], "18T03:00:00", full(Because::Due)),
            (1, vec![], "17T12:00:00", differential.clone()),
            (0, vec![], "18T03:00:00", full(Because::Asked)),
            (
                7,
                vec![own, taken("rds:crm", Some("18T01:00:00"))],
                "19T03:00:00",
                full(Because::Snapshot("rds:crm".into())),
            ),
            (7, vec![taken("being-taken", None)], "19T03:00:00", full(Because::Snapshot("being-taken".into()))),
        ] {
            let now = format!("2026-11-{now}Z").parse().unwrap();
            let asked = Asked { full_every_days: days, log_backups: false };
            assert_eq!(next(&points, &snapshots, asked, now), expected, "{days} {snapshots:?} {now}");
            // Snapshots break no log; all else is the same.
            let with_logs = next(&points, &snapshots, Asked { log_backups: true, ..asked }, now);
            let log = Choice::Log { on: id("pnt-b") };
            match expected {
                Choice::Differential { .. } | Choice::Full { because: Because::Snapshot(_) } => {
                    assert_eq!(with_logs, log);
                }
                expected => assert_eq!(with_logs, expected),
            }
        }
        let now = "2026-11-19T03:00:00Z".parse().unwrap();
        let asked = Asked { full_every_days: 7, log_backups: false };
        assert_eq!(next(&[], &[], asked, now), full(Because::First));
        // A differential alone, whose full point the catalogue does not have.
        assert_eq!(next(&points[2..], &[], asked, now), full(Because::First));
    }

    #[test]
    fn a_backup_resembles_the_last_one_of_its_kind() {
        let points = [
            earlier("pnt-a", None, "10T03:00:00"),
            earlier("pnt-b", None, "17T03:00:00"),
            earlier("pnt-c", Some("pnt-b"), "18T03:00:00"),
            earlier("pnt-d", Some("pnt-b"), "19T03:00:00"),
        ];
        let on = |point: &str| Choice::Differential { on: id(point) };
        let full = Choice::Full { because: Because::Due };
        assert_eq!(base(&full, &points), Some(&id("pnt-b")));
        assert_eq!(base(&on("pnt-b"), &points), Some(&id("pnt-d")));
        assert_eq!(base(&on("pnt-a"), &points), Some(&id("pnt-a")));
        assert_eq!(base(&full, &[]), None);
    }
}
