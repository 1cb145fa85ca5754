//! Restore tests that went well.

use haulier_proto::control::v1::{Proof, ProofDatabase, ProofException};
use jiff::Timestamp;
use serde::Serialize;

use super::time;
use crate::output::{Row, moment};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ProofView {
    pub(crate) session_id: String,
    pub(crate) verified_at: Option<Timestamp>,
    pub(crate) server_version: String,
    pub(crate) verdict: String,
    pub(crate) databases: Vec<ProofDatabaseView>,
    pub(crate) exceptions: Vec<ProofExceptionView>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ProofDatabaseView {
    pub(crate) name: String,
    pub(crate) tables: u64,
    pub(crate) tables_counted: u64,
    pub(crate) tables_unrecorded: u64,
    pub(crate) tables_skipped: u64,
    pub(crate) rows: u64,
    pub(crate) large_objects: u64,
    pub(crate) mismatches: u64,
    pub(crate) restore_seconds: u64,
    pub(crate) compare_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ProofExceptionView {
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) reason: String,
}

impl From<Proof> for ProofView {
    fn from(proof: Proof) -> Self {
        Self {
            verified_at: time(proof.verified_at.as_ref()),
            session_id: proof.session_id,
            server_version: proof.server_version,
            verdict: proof.verdict,
            databases: proof.databases.into_iter().map(ProofDatabaseView::from).collect(),
            exceptions: proof.exceptions.into_iter().map(ProofExceptionView::from).collect(),
        }
    }
}

impl From<ProofDatabase> for ProofDatabaseView {
    fn from(database: ProofDatabase) -> Self {
        Self {
            name: database.name,
            tables: database.tables,
            tables_counted: database.tables_counted,
            tables_unrecorded: database.tables_unrecorded,
            tables_skipped: database.tables_skipped,
            rows: database.rows,
            large_objects: database.large_objects,
            mismatches: database.mismatches,
            restore_seconds: database.restore_seconds,
            compare_seconds: database.compare_seconds,
        }
    }
}

impl From<ProofException> for ProofExceptionView {
    fn from(ProofException { place, what, reason }: ProofException) -> Self {
        Self { place, what, reason }
    }
}

impl ProofView {
    /// The proof as names and values, without its databases.
    pub(crate) fn record(&self) -> Vec<(&'static str, String)> {
        let restored = format!("{} into PostgreSQL {}", moment(self.verified_at), self.server_version);
        vec![("proof", self.verdict.clone()), ("proven", restored), ("proven by", self.session_id.clone())]
    }
}

impl Row for ProofDatabaseView {
    const HEAD: &'static [&'static str] =
        &["RESTORED AND COMPARED", ">TABLES", ">BY COUNT ALONE", ">SKIPPED", ">ROWS", ">LARGE OBJECTS", ">SECONDS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.tables.to_string(),
            self.tables_counted.to_string(),
            (self.tables_skipped + self.tables_unrecorded).to_string(),
            self.rows.to_string(),
            self.large_objects.to_string(),
            (self.restore_seconds + self.compare_seconds).to_string(),
        ]
    }
}

impl Row for ProofExceptionView {
    const HEAD: &'static [&'static str] = &["NOT RESTORED IN THE TEST", "WHAT", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![self.place.clone(), self.what.clone(), self.reason.clone()]
    }
}
