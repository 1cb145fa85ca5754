//! The archive's head: which entries it has, and a file with which `pg_restore` can work on everything but data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::archive::{Entry, Reader};
use haulier_domain::postgres::manifest::Database;
use haulier_domain::postgres::{grantors, toc_filter};

use super::super::connect::Session;
use super::super::context::Stopped;
use super::super::job::RestoreOutcome;
use super::super::{encoding, failures};
use super::membership::Memberships;
use super::phases::Phase;
use super::target::Named;
use super::{Scope, skip};

/// An archive's head, and what of it is restored.
pub(super) struct Head {
    /// Its entries.
    pub(super) entries: Vec<Entry>,
    /// Numbers of those that are restored.
    pub(super) kept: BTreeSet<i64>,
    /// The head as a file.
    pub(super) file: PathBuf,
}

impl Head {
    /// Reads the head and chooses what of it is restored.
    pub(super) async fn read(
        scope: &Scope,
        front: &Session,
        wanted: &Named<'_>,
        memberships: &mut Memberships,
        outcome: &mut RestoreOutcome,
    ) -> Result<Self, Stopped> {
        let mut reader = read_head(scope, wanted.database).await?;
        let foreign = reader.foreign();
        if let Some(foreign) = &foreign {
            reader.decode(&encoding::decode(front, foreign).await?);
        }
        let entries = reader.entries().to_vec();
        let place = &wanted.database.name;
        let selected = wanted.selection.of(&entries);
        if !selected.unknown.is_empty() {
            let cause = format!("the point's database has no {}", selected.unknown.join(", no "));
            let what = format!("restore of a part of database {place:?}");
            return Err(Failure::new("restore-part-unknown", what, cause, "correct the names").into());
        }
        for left in selected.left_out {
            skip(outcome, place, left.what, left.reason);
        }
        let choice = toc_filter::choose(&entries, &scope.target.for_entries());
        for left in choice.left_out.into_iter().filter(|left| selected.entries.contains(&left.id)) {
            skip(outcome, place, left.what, left.reason);
        }
        let kept = choice.kept.intersection(&selected.entries).copied().collect();
        let mut head = Self { entries, kept, file: PathBuf::new() };
        // What cannot be given to its owner stays with the login.
        let out_of_reach = memberships.take(front, &head.owners()).await?;
        for role in &out_of_reach {
            let login = &scope.target.login;
            let reason = format!("{login:?} cannot become a member of it there; its objects belong to {login:?} now");
            skip(outcome, place, format!("ownership of role {role:?}"), reason);
        }
        let (numbers, statements): (Vec<_>, Vec<_>) = head.grants(scope, front, memberships).await?.into_iter().unzip();
        let encoding = foreign.map_or_else(|| "UTF8".to_owned(), |foreign| foreign.encoding);
        let statements = encoding::encode(front, &encoding, &statements).await?;
        let statements = numbers.into_iter().zip(statements).collect();
        head.file = scope.files.write("archive-head", &reader.changed_toc(&out_of_reach, &statements))?;
        Ok(head)
    }

    /// Privileges that somebody passed on are granted in that role's place where the login can take it. Where it cannot,
    /// `pg_restore` will be refused, and the report says so.
    async fn grants(
        &self,
        scope: &Scope,
        front: &Session,
        memberships: &mut Memberships,
    ) -> Result<BTreeMap<i64, String>, Stopped> {
        let mut statements = BTreeMap::new();
        if scope.target.superuser {
            return Ok(statements);
        }
        for entry in self.kept() {
            let Some(by_role) = entry.statements.as_deref().and_then(grantors::by_role) else { continue };
            if memberships.take(front, &by_role.grantors).await?.is_empty() {
                statements.insert(entry.id, by_role.sql);
            }
        }
        Ok(statements)
    }

    /// The entries that are restored.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| self.kept.contains(&entry.id))
    }

    /// Those of one phase, in the archive's order.
    pub(super) fn of_phase(&self, phase: Phase) -> impl Iterator<Item = &Entry> {
        self.kept().filter(move |entry| Phase::of(entry) == phase)
    }

    /// Whether a table is restored.
    pub(super) fn has_table(&self, schema: &str, name: &str) -> bool {
        self.kept().any(|entry| entry.kind == "TABLE" && entry.tag == name && entry.schema.as_deref() == Some(schema))
    }

    /// Roles that own what is restored.
    fn owners(&self) -> BTreeSet<String> {
        self.kept().filter_map(|entry| entry.owner.clone()).collect()
    }
}

async fn read_head(scope: &Scope, database: &Database) -> Result<Reader, Stopped> {
    let damaged = |cause: String| {
        Failure::new(
            "repository-damaged",
            format!("reading the archive of database {:?}", database.name),
            cause,
            "run a check of the restore point; restore from another point where this one is damaged",
        )
    };
    let mut stream = scope.context.streams.open(&database.archive).await.map_err(|error| failures::store(&error))?;
    let mut reader = Reader::new();
    while !reader.has_toc() {
        let piece = tokio::select! {
            piece = stream.next() => piece.map_err(|error| failures::store(&error))?,
            () = scope.context.cancel.cancelled() => return Err(Stopped::Cancelled),
        };
        let piece = piece.ok_or_else(|| damaged("it ends within its table of contents".into()))?;
        reader.push(&piece).map_err(|fault| damaged(fault.to_string()))?;
    }
    Ok(reader)
}
