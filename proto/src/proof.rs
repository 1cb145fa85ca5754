//! Restore tests that went well, as operators are shown them.

use haulier_domain::proof::{DatabaseProof, Exception, Proof};

use crate::control::v1 as control;
use crate::to_timestamp;

impl From<Proof> for control::Proof {
    fn from(proof: Proof) -> Self {
        Self {
            verdict: proof.verdict(),
            session_id: proof.session.to_string(),
            verified_at: Some(to_timestamp(proof.verified_at)),
            server_version: proof.server_version,
            databases: proof.databases.into_iter().map(Into::into).collect(),
            exceptions: proof.exceptions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<DatabaseProof> for control::ProofDatabase {
    fn from(database: DatabaseProof) -> Self {
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

impl From<Exception> for control::ProofException {
    fn from(Exception { place, what, reason }: Exception) -> Self {
        Self { place, what, reason }
    }
}
