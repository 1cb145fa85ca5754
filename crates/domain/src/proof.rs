//! The proof of a restore test: what was restored into a scratch server, and compared with what was recorded at backup.
//!
//! There is a proof only where nothing differed. What the scratch server could not hold is named as an exception, so that
//! nobody takes for proven what was not looked at. A test that failed leaves no proof, only a failed session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{PointId, SessionId};

/// The version this code writes.
pub const VERSION: u32 = 1;

/// One restore test that went well. It belongs to its point and is named after its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// Version of this document.
    pub version: u32,
    /// The point that was restored.
    pub point: PointId,
    /// The session that did it.
    pub session: SessionId,
    /// When the last comparison had ended, by the worker's clock.
    pub verified_at: Timestamp,
    /// Version of the scratch server, as it prints itself.
    pub server_version: String,
    /// The databases, in the point's order.
    pub databases: Vec<DatabaseProof>,
    /// What was not restored, and so not compared.
    pub exceptions: Vec<Exception>,
}

/// What was found of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseProof {
    /// Its name.
    pub name: String,
    /// Tables whose rows and their hash are those of the backup.
    pub tables: u64,
    /// Tables of which the number of rows alone could be compared.
    pub tables_counted: u64,
    /// Tables of which nothing was recorded, so that nothing could be compared.
    pub tables_unrecorded: u64,
    /// Tables that were not restored: see [`Proof::exceptions`].
    pub tables_skipped: u64,
    /// Rows of the tables that were compared.
    pub rows: u64,
    /// Large objects that were compared.
    pub large_objects: u64,
    /// Tables that differ. None, or there would be no proof.
    pub mismatches: u64,
    /// How long restoring took.
    pub restore_seconds: u64,
    /// How long reading back and comparing took.
    pub compare_seconds: u64,
}

/// Something that was not restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exception {
    /// Where: a database, or `roles`.
    pub place: String,
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Proof {
    /// The verdict in a line: `verified`, or `verified except …`.
    pub fn verdict(&self) -> String {
        let sum = |count: fn(&DatabaseProof) -> u64| self.databases.iter().map(count).sum::<u64>();
        let mut except = Vec::new();
        let mut note = |count: u64, one: &str, many: &str| match count {
            0 => {}
            1 => except.push(format!("1 {one}")),
            count => except.push(format!("{count} {many}")),
        };
        note(self.exceptions.len() as u64, "entry that was not restored", "entries that were not restored");
        note(
            sum(|database| database.tables_counted),
            "table compared by its number of rows alone",
            "tables compared by their number of rows alone",
        );
        note(
            sum(|database| database.tables_unrecorded),
            "table of which nothing was recorded",
            "tables of which nothing was recorded",
        );
        if except.is_empty() { "verified".to_owned() } else { format!("verified except {}", except.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> Proof {
        Proof {
            version: VERSION,
            point: "pnt-1".parse().unwrap(),
            session: "ses-1".parse().unwrap(),
            verified_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            server_version: "15.18".into(),
            databases: vec![DatabaseProof { name: "shop".into(), tables: 7, rows: 100, ..DatabaseProof::default() }],
            exceptions: Vec::new(),
        }
    }

    #[test]
    fn a_verdict_names_what_was_not_proven() {
        assert_eq!(proof().verdict(), "verified");
        let mut partial = proof();
        partial.exceptions.push(Exception { place: "shop".into(), what: "EXTENSION x".into(), reason: "y".into() });
        partial.databases[0].tables_counted = 2;
        partial.databases[0].tables_unrecorded = 1;
        assert_eq!(
            partial.verdict(),
            "verified except 1 entry that was not restored, 2 tables compared by their number of rows alone, \
             1 table of which nothing was recorded"
        );
    }

    #[test]
    fn a_proof_survives_being_written() {
        let text = serde_json::to_string(&proof()).unwrap();
        assert!(text.contains("\"verified-at\":\"2026-11-20T10:00:00Z\""), "{text}");
        assert_eq!(serde_json::from_str::<Proof>(&text).unwrap(), proof());
    }
}
