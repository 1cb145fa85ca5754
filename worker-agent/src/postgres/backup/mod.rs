//! Backup of databases of one instance.

use haulier_domain::failure::Failure;

use super::context::{Context, Stopped};
use super::job::{BackupJob, BackupOutcome};

/// Dumps the job's databases into streams and writes the manifest that names them. Publishes nothing.
///
/// # Errors
/// Whatever kept the dump from being complete; nothing of it may become a restore point then.
pub async fn run(job: BackupJob, context: &Context) -> Result<BackupOutcome, Stopped> {
    context.login.login(false).await?;
    Err(Failure::new("mover-incomplete", format!("backup of {}", job.instance.id), "not here yet", "wait").into())
}
