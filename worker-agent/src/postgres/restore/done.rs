//! What of a restore is complete, by this attempt or an earlier one of the same session.
//!
//! There are two witnesses. The coordinator tells a new worker what earlier ones reported. And the target itself bears
//! marks: a worker can be killed after a database has its name and before anybody was told. A mark stays until the
//! coordinator remembers, and gives way to the database's own comment then.

use std::collections::BTreeSet;

use haulier_domain::postgres::mark::{self, Mark};
use haulier_domain::postgres::quote::{identifier, literal};

use super::super::connect::Session;
use super::super::context::{Context, Severity, Stopped};
use super::super::job::{DatabaseShare, RestoreJob, RestoreOutcome, RestoredPart, RolesShare};
use super::membership::Memberships;
use super::note::Note;
use super::target::Wanted;

/// What is complete.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) roles: Option<RolesShare>,
    databases: Vec<DatabaseShare>,
}

impl Done {
    /// What earlier attempts have completed. What only the target knows is reported again.
    pub(super) async fn earlier(
        front: &Session,
        job: &RestoreJob,
        note: &Note,
        context: &Context,
    ) -> Result<Self, Stopped> {
        let mut done = Self::default();
        for part in &job.restored {
            match part {
                RestoredPart::Roles(share) => done.roles = Some(share.clone()),
                RestoredPart::Database(share) => done.databases.push(share.clone()),
            }
        }
        if let (None, Some(share)) = (&done.roles, &note.written.roles) {
            context.parts.completed(RestoredPart::Roles(share.clone()));
            done.roles = Some(share.clone());
        }
        for share in marked(front, &job.key).await? {
            if !done.databases.iter().any(|known| known.restored.restored_as == share.restored.restored_as) {
                context.parts.completed(RestoredPart::Database(share.clone()));
                done.databases.push(share);
            }
        }
        for share in &done.databases {
            let (database, name) = (&share.restored.database, &share.restored.restored_as);
            let text = format!("database {database:?} was restored as {name:?} by an earlier worker of this session");
            context.log.log(Severity::Info, &text);
        }
        Ok(done)
    }

    /// Names on the target.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.databases.iter().map(|share| share.restored.restored_as.clone()).collect()
    }

    pub(super) fn add(&mut self, share: DatabaseShare) {
        self.databases.push(share);
    }

    /// The wanted databases in their order, each with its share where it is complete.
    pub(super) fn of<'w, 'a>(&self, wanted: &'w [Wanted<'a>]) -> Vec<(&'w Wanted<'a>, Option<&DatabaseShare>)> {
        let mut left: Vec<_> = self.databases.iter().collect();
        let mut take = |wanted: &Wanted<'_>| {
            let is_it = |share: &&DatabaseShare| {
                share.restored.database == wanted.database.name && share.target_name == wanted.name
            };
            left.iter().position(is_it).map(|place| left.remove(place))
        };
        wanted.iter().map(|wanted| (wanted, take(wanted))).collect()
    }

    /// The report of a restore of which everything is complete.
    pub(super) fn outcome(&self, wanted: &[Wanted<'_>], warnings: Vec<String>) -> RestoreOutcome {
        let roles = self.roles.clone().unwrap_or_default();
        let mut outcome = RestoreOutcome {
            roles_created: roles.created,
            roles_without_password: roles.without_password,
            skipped: roles.skipped,
            warnings,
            ..RestoreOutcome::default()
        };
        for (_, share) in self.of(wanted) {
            let Some(share) = share else { continue };
            outcome.databases.push(share.restored.clone());
            outcome.skipped.extend(share.skipped.iter().cloned());
            outcome.bytes += share.bytes;
        }
        outcome
    }

    /// Puts the databases' own comments in place of marks. Answers what could not be put right.
    pub(super) async fn unmark(
        &self,
        front: &Session,
        key: &str,
        wanted: &[Wanted<'_>],
        memberships: &mut Memberships,
    ) -> Result<Vec<String>, Stopped> {
        let marked: BTreeSet<String> =
            marked(front, key).await?.into_iter().map(|share| share.restored.restored_as).collect();
        let mut stay = Vec::new();
        for (wanted, share) in self.of(wanted) {
            let Some(name) = share.map(|share| &share.restored.restored_as).filter(|name| marked.contains(*name))
            else {
                continue;
            };
            let properties = &wanted.database.properties;
            memberships.take(front, &BTreeSet::from([properties.owner.clone()])).await?;
            let comment = properties.comment.as_deref().map_or_else(|| "NULL".to_owned(), literal);
            let sql = format!("COMMENT ON DATABASE {} IS {comment}", identifier(name));
            if let Err(refusal) = front.attempt("commenting on the database", &sql).await? {
                stay.push(format!("database {name:?} has a note of the restore as its comment: {refusal}"));
            }
        }
        Ok(stay)
    }
}

/// Databases that bear a mark of this restore, under the names they have now.
async fn marked(front: &Session, key: &str) -> Result<Vec<DatabaseShare>, Stopped> {
    let sql = "SELECT datname::text, pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database
        WHERE pg_catalog.shobj_description(oid, 'pg_database') IS NOT NULL ORDER BY oid";
    let rows = front.query("looking for what an interrupted restore has completed", sql, &[]).await?;
    let share = |row: &tokio_postgres::Row| {
        let Some(Mark::Restored(report)) = mark::read(key, row.get(1)) else { return None };
        let mut share: DatabaseShare = serde_json::from_str(&report).ok()?;
        share.restored.restored_as = row.get(0);
        Some(share)
    };
    Ok(rows.iter().filter_map(share).collect())
}
