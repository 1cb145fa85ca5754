//! The databases that streams are dumped from: what is in them on day 1, and what a day changes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::psql::Database;
use e2e::{oracle, process};

/// Tables by name, and how many rows of each make a megabyte's share of the dump; thousandths of rows.
const ROWS: [(&str, u64); 5] =
    [("orders", 2_350_000), ("documents", 444_000), ("telemetry", 2_000_000), ("files", 83_000), ("small", 420)];

/// Makes the mixed database of about so many megabytes of dump, as whoever statements run as there.
pub(super) fn fill(database: &Database, megabytes: u64) -> Result<()> {
    database.execute(include_str!("sql/mixed.sql"))?;
    let from = |_: &str, _: u64| 1;
    database.execute(&rows(megabytes, from, |_, count| count))
}

/// Updates and deletes.
pub(super) fn change(database: &Database) -> Result<()> {
    database.execute(include_str!("sql/changes.sql"))
}

/// Appends two rows for each hundred, and at least one to every table.
pub(super) fn append(database: &Database, megabytes: u64) -> Result<()> {
    database.execute(&rows(megabytes, |_, count| count + 1, |_, count| count + count.div_ceil(50)))
}

/// pgbench's own database.
pub(super) fn fill_pgbench(database: &Database, scale: u64) -> Result<()> {
    let mut command = Command::new("pgbench");
    command.args(["--initialize", "--quiet", &format!("--scale={scale}")]).arg(database.dsn());
    process::output(&mut command).map(drop)
}

/// A day of it.
pub(super) fn change_pgbench(database: &Database) -> Result<()> {
    database.execute(include_str!("sql/accounts.sql"))
}

/// The statements that fill the tables, with the ids of each.
fn rows(megabytes: u64, from: impl Fn(&str, u64) -> u64, to: impl Fn(&str, u64) -> u64) -> String {
    let mut text = include_str!("sql/rows.sql").to_owned();
    for (table, share) in ROWS {
        let count = count(megabytes, share);
        text = text
            .replace(&format!(":from_{table}"), &from(table, count).to_string())
            .replace(&format!(":to_{table}"), &to(table, count).to_string());
        if table == "telemetry" {
            text = text.replace(":total", &count.to_string());
        }
    }
    text
}

fn count(megabytes: u64, share: u64) -> u64 {
    (megabytes * share / 1000).max(5)
}

/// A copy of a database, row for row in the same places.
pub(super) fn copy(from: &Database, name: &str) -> Result<Database> {
    let (new, old) = (oracle::quote(name), oracle::quote(&from.name));
    let owner = from.author.as_ref().map(|owner| format!(" OWNER {}", oracle::quote(owner))).unwrap_or_default();
    administrator(from)
        .sibling("postgres")
        .execute(&format!("CREATE DATABASE {new} TEMPLATE {old} STRATEGY file_copy{owner}"))?;
    Ok(from.sibling(name))
}

/// The same database as the one that may do everything.
pub(super) fn administrator(database: &Database) -> Database {
    Database { author: None, ..database.clone() }
}

/// The moment before a day's changes, as rows are marked with it.
pub(super) fn mark(database: &Database) -> Result<u64> {
    database.value("SELECT pg_current_xact_id()::text")?.parse().context("a transaction has a number")
}

/// Writes the rows of all tables that were written since a mark, as `COPY` prints them.
pub(super) fn changed_rows(database: &Database, mark: u64, file: &Path) -> Result<()> {
    let script = format!(
        "SELECT format('COPY (SELECT * FROM %s WHERE xmin::text::bigint > {mark}) TO STDOUT', c.oid::regclass) \
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' \
         ORDER BY c.oid::regclass::text \\gexec\n"
    );
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname"]).arg(administrator(database).dsn());
    command.arg("--output").arg(file);
    let folder = file.parent().context("a file lies in a folder")?;
    let input = folder.join("changed-rows.sql");
    std::fs::write(&input, script).context("writing the script for changed rows")?;
    process::output(command.arg("--file").arg(&input)).map(drop)
}

/// A plain dump into a file.
pub(super) fn dump(database: &Database, file: &Path) -> Result<()> {
    let mut command = Command::new("pg_dump");
    command.arg("--file").arg(file).arg("--dbname").arg(administrator(database).dsn());
    process::output(command.env("PGSSLMODE", "require")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_filled_and_ids_follow_one_another() {
        let first = rows(100, |_, _| 1, |_, count| count);
        let second = rows(100, |_, count| count + 1, |_, count| count + count.div_ceil(50));
        for text in [&first, &second] {
            let left = [":from", ":to_", ":total"]
                .iter()
                .find(|name| text.lines().filter(|line| !line.starts_with("--")).any(|line| line.contains(**name)));
            assert_eq!(left, None);
        }
        assert!(first.contains("generate_series(1::bigint, 235000)"));
        assert!(second.contains("generate_series(235001::bigint, 239700)"));
        // The year of telemetry stays as long as it was.
        assert!(first.contains("'365 days' / 200000)") && second.contains("'365 days' / 200000)"));
    }

    #[test]
    fn a_small_database_has_rows_in_every_table() {
        assert_eq!(count(1, 420), 5);
        assert_eq!(count(2_000, 420), 840);
    }
}
