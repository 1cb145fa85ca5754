//! One restored database against what was recorded of it.

use std::collections::{BTreeSet, VecDeque};

use haulier_domain::postgres::content::Content;
use haulier_domain::postgres::manifest::Database;
use haulier_domain::postgres::verification::{self, Group, Member, Verdict};

use super::super::connect::{Connector, Session};
use super::super::context::{Context, Stopped};
use super::super::job::Skipped;
use super::{objects, read_back};

/// What was found of a database.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Tables that are equal.
    pub(super) equal: u64,
    /// Tables with the same number of rows, of which no more is known.
    pub(super) counted: u64,
    /// Tables that were not restored, for a reason that the restore gave.
    pub(super) skipped: u64,
    /// Tables of which nothing was recorded.
    pub(super) unrecorded: u64,
    /// Rows of those that were compared.
    pub(super) rows: u64,
    /// Large objects that were compared.
    pub(super) large_objects: u64,
    /// What differs, a sentence each.
    pub(super) differences: Vec<String>,
}

/// Compares a restored database.
pub(super) async fn database(
    connector: &Connector,
    database: &Database,
    restored_as: &str,
    skipped: &[Skipped],
    parallel: usize,
    context: &Context,
) -> Result<Findings, Stopped> {
    let encoding = &database.properties.encoding;
    let expected = verification::expected(database);
    // Names come in UTF-8, which is all that the client reads; only rows stay in the database's encoding.
    let session = connector.connect(restored_as).await?;
    let there = tables(&session).await?;
    let mut findings = Findings { unrecorded: expected.unrecorded, ..Findings::default() };
    let mut groups = Vec::new();
    let mut tasks = VecDeque::new();
    for group in expected.groups {
        let missing: Vec<_> = group.members.iter().filter(|member| !there.contains(&key(member))).collect();
        if missing.is_empty() {
            tasks.extend(group.members.iter().map(|member| (groups.len(), member.clone())));
            groups.push(group);
        } else if missing.iter().all(|member| is_explained(member, skipped)) {
            findings.skipped += group.members.len() as u64;
        } else {
            findings.differences.push(difference(database, &group.name, "it was not restored"));
        }
    }
    let found = read_back::tables(connector, restored_as, encoding, tasks, parallel, context).await?;
    let mut totals = vec![Content { rows: 0, hash: Some(Default::default()) }; groups.len()];
    for (group, content) in found {
        totals[group] = totals[group].and(content);
    }
    for (group, found) in groups.iter().zip(totals) {
        findings.take(database, group, found);
    }
    if let Some(expected) = expected.large_objects {
        let found = objects::read(&session, context).await?;
        findings.large_objects = found.count;
        if let Verdict::Differs(how) = verification::compare_objects(expected, found) {
            findings.differences.push(format!("database {:?}: large objects: {how}", database.name));
        }
    }
    Ok(findings)
}

impl Findings {
    fn take(&mut self, database: &Database, group: &Group, found: Content) {
        let tables = group.members.len() as u64;
        match verification::compare(group.content, found) {
            Verdict::Equal => self.equal += tables,
            Verdict::SameCount => self.counted += tables,
            Verdict::Differs(how) => return self.differences.push(difference(database, &group.name, &how)),
        }
        self.rows += found.rows;
    }
}

fn difference(database: &Database, table: &str, how: &str) -> String {
    format!("database {:?}: table {table}: {how}", database.name)
}

fn key(member: &Member) -> (String, String) {
    (member.schema.clone(), member.name.clone())
}

/// Whether the restore said that it leaves this table, or its rows, out.
fn is_explained(member: &Member, skipped: &[Skipped]) -> bool {
    let named = |kind: &str| format!("{kind} {}.{}", member.schema, member.name);
    let names = [named("TABLE"), named("TABLE DATA")];
    skipped.iter().any(|skipped| names.contains(&skipped.what))
}

/// The tables that are there.
async fn tables(session: &Session) -> Result<BTreeSet<(String, String)>, Stopped> {
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'";
    let rows = session.query("listing the tables of the restored copy", sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
