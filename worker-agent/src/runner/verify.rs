//! A restore test: the repository gives streams, a scratch server on this machine takes them, and what came of it is
//! compared. The report is the proof; whoever asked keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::proof::{self, Proof};
use jiff::Timestamp;

use super::Bench;
use super::backup::unwritable;
use super::streams::{RepositoryStreams, reference_to};
use super::work::Verify;
use crate::postgres::{self, Login, LoginProvider, Stopped, VerifyJob};
use crate::session::Report;

impl Bench<'_> {
    /// Restores the point into a scratch server and compares.
    pub(super) async fn verify(&self, work: Verify) -> Result<Report, Stopped> {
        let point = work.root.point.clone();
        let what = format!("verifying {point} by a restore");
        let domain = self.domain(&work.place, None).await?;
        let streams = Arc::new(RepositoryStreams::reading(domain, self.task.desk.clone()));
        let context = self.context_with(Arc::new(NoInstance), streams);
        let job = VerifyJob {
            key: self.task.session_id.to_string(),
            manifest: reference_to(&work.root.manifest).map_err(|error| unwritable(&what, &error))?,
            scratch_dir: self.settings.cache_dir.join("scratch"),
            parallel_streams: work.parallel_streams,
        };
        let outcome = postgres::verify::run(job, &context).await?;
        let proof = Proof {
            version: proof::VERSION,
            point,
            session: self.task.session_id.clone(),
            verified_at: Timestamp::now(),
            server_version: outcome.server_version,
            databases: outcome.databases,
            exceptions: outcome.exceptions,
        };
        let verdict = proof.verdict();
        let document = serde_json::to_vec(&proof).map_err(|error| unwritable(&what, &error))?;
        let warnings = if verdict == "verified" { Vec::new() } else { vec![verdict] };
        Ok(Report { warnings, document, proposal: None })
    }
}

/// There is no instance to log in to: the scratch server has its own login.
struct NoInstance;

#[async_trait]
impl LoginProvider for NoInstance {
    async fn login(&self, _refused: bool) -> Result<Login, Failure> {
        let remedy = "report this with the session's log";
        Err(Failure::new("mover-defect", "logging in", "a restore test has no instance to log in to", remedy))
    }
}
