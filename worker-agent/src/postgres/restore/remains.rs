//! What a restore may have on the target that nobody looks for: databases under their working names. Whoever begins one
//! enters it here first; whatever way the restore ends, what is still entered is dropped, or named.
//!
//! An attempt that is not the first begins with what the one before may have left: where it cannot even connect, it cannot
//! vouch for the target.

use haulier_domain::postgres::left_behind::{Asked, LeftBehind};
use haulier_domain::postgres::mark::{self, Mark};
use haulier_domain::postgres::quote::identifier;
use tokio_util::sync::CancellationToken;

use super::super::connect::{Connector, Session};
use super::super::context::{Context, Severity, Stopped};
use super::super::job::{DatabaseRestore, OnClash, RestoreJob, RestoredPart};
use super::naming::reopen;
use super::{others, target};

/// Databases that may be there half-restored.
pub(super) struct Remains {
    key: String,
    instance: String,
    open: Vec<Asked>,
    /// Whether this attempt has begun one.
    begun: bool,
}

impl Remains {
    /// What may be there before anything is begun.
    pub(super) fn of(job: &RestoreJob) -> Self {
        let open = if job.repeated { unrestored(&job.databases, &job.restored) } else { Vec::new() };
        Self { key: job.key.clone(), instance: job.target.id.clone(), open, begun: false }
    }

    /// A database is about to be begun.
    pub(super) fn begin(&mut self, asked: &Asked) {
        self.begun = true;
        self.open.push(asked.clone());
    }

    /// It has its final name.
    pub(super) fn complete(&mut self, asked: &Asked) {
        self.open.retain(|open| open != asked);
    }

    /// Removes what an interrupted attempt left of these.
    pub(super) async fn clear_past(
        &mut self,
        front: &Session,
        context: &Context,
        asked: Vec<Asked>,
    ) -> Result<(), Stopped> {
        for asked in &asked {
            let working = asked.working_name(&self.key);
            if exists(front, &working).await? {
                let text = format!("removing what an interrupted restore left: database {working:?}");
                context.log.log(Severity::Warning, &text);
            }
        }
        self.open = asked;
        self.clear(front).await
    }

    async fn clear(&mut self, front: &Session) -> Result<(), Stopped> {
        let (mut stay, mut failed) = (Vec::new(), Ok(()));
        for asked in std::mem::take(&mut self.open) {
            if let Err(stopped) = drop_one(front, &self.key, &asked).await {
                stay.push(asked);
                failed = Err(stopped);
            }
        }
        self.open = stay;
        failed
    }

    /// The restore ends early: drops what it has begun, even after a cancellation. Where that fails, the end says so.
    pub(super) async fn clear_away(mut self, job: &RestoreJob, context: &Context, stopped: Stopped) -> Stopped {
        if self.open.is_empty() {
            return stopped;
        }
        let cleared = async {
            let connector = Connector::new(&job.target, context)?.under(&self.key).obeying(CancellationToken::new());
            let front = target::open_front(&connector).await?;
            others::end(&front, &connector).await?;
            self.clear(&front).await
        };
        let Err(left) = cleared.await else { return stopped };
        let said = LeftBehind { key: &self.key, instance: &self.instance, databases: &self.open };
        let failure = match (stopped, left) {
            // What keeps this attempt from beginning keeps it from looking after an earlier one, too.
            (Stopped::Failed(failure), _) if !self.begun => said.add_to(failure),
            (Stopped::Failed(failure), Stopped::Failed(left)) => said.failure(format!("{failure}; and then: {left}")),
            (_, left) => said.failure(left.to_string()),
        };
        context.log.log(Severity::Error, &failure.to_string());
        failure.into()
    }
}

/// What of a job nobody has reported as restored.
pub(crate) fn unrestored(databases: &[DatabaseRestore], restored: &[RestoredPart]) -> Vec<Asked> {
    let mut restored: Vec<_> = restored
        .iter()
        .filter_map(|part| match part {
            RestoredPart::Database(share) => Some((share.restored.database.as_str(), share.target_name.as_str())),
            RestoredPart::Roles(_) => None,
        })
        .collect();
    let asked = databases.iter().map(|wanted| Asked {
        database: wanted.database.clone(),
        name: if wanted.target_name.is_empty() { wanted.database.clone() } else { wanted.target_name.clone() },
        replaces: wanted.on_clash == OnClash::Replace,
    });
    asked
        .filter(|asked| {
            let found = restored.iter().position(|one| *one == (asked.database.as_str(), asked.name.as_str()));
            found.map(|place| restored.remove(place)).is_none()
        })
        .collect()
}

async fn exists(front: &Session, name: &str) -> Result<bool, Stopped> {
    let sql = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1";
    Ok(!front.query("looking for what an interrupted restore left", sql, &[&name]).await?.is_empty())
}

async fn drop_one(front: &Session, key: &str, asked: &Asked) -> Result<(), Stopped> {
    let working = asked.working_name(key);
    let doing = format!("dropping the half-restored database {working:?}");
    let sql = "SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = $1";
    let found = front.query(&doing, sql, &[&working]).await?;
    let Some(row) = found.first() else { return Ok(()) };
    let comment: Option<String> = row.get(0);
    if comment.and_then(|text| mark::read(key, &text)) == Some(Mark::Closed) {
        reopen(front, &asked.name).await?;
    }
    front.execute(&doing, &drop_statement(&working, front.server_version(&doing).await?)).await
}

/// `DROP DATABASE`, whoever is still connected.
pub(super) fn drop_statement(name: &str, server_version_num: u32) -> String {
    let force = if server_version_num >= 130_000 { " WITH (FORCE)" } else { "" };
    format!("DROP DATABASE IF EXISTS {}{force}", identifier(name))
}
