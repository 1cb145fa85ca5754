//! One database, from nothing to its final name.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clash;
use haulier_domain::postgres::manifest::Properties;
use haulier_domain::postgres::quote::{identifier, literal};
use tokio_util::sync::CancellationToken;

use super::super::connect::Session;
use super::super::context::{ProgressEvent, Severity, Stopped};
use super::super::job::{RestoreOutcome, RestoredDatabase};
use super::archive::Head;
use super::filling::{Bare, Filled};
use super::membership::Memberships;
use super::phases::{self, Phase, Refused};
use super::target::{self, Named};
use super::{Scope, attempt, finish, skip, statistics};

/// Restores one database.
pub(super) async fn restore(
    scope: &Arc<Scope>,
    wanted: &Named<'_>,
    memberships: &mut Memberships,
    outcome: &mut RestoreOutcome,
) -> Result<(), Stopped> {
    let working = clash::working_name(&scope.key, &wanted.database.name, &wanted.target.name);
    let front = target::open_front(&scope.connector).await?;
    drop_left(scope, &front, &working).await?;
    let restored = restore_under(scope, &front, wanted, &working, memberships, outcome).await;
    match restored {
        Ok(filled) => {
            let text = format!("database {:?} is restored as {:?}", wanted.database.name, wanted.target.name);
            scope.context.log.log(Severity::Info, &text);
            outcome.bytes += filled.bytes;
            outcome.databases.push(RestoredDatabase {
                database: wanted.database.name.clone(),
                restored_as: wanted.target.name.clone(),
                counted_tables: filled.tables,
                counted_rows: filled.rows,
            });
            Ok(())
        }
        Err(stopped) => Err(clear_away(scope, &working, stopped).await),
    }
}

async fn restore_under(
    scope: &Arc<Scope>,
    front: &Session,
    wanted: &Named<'_>,
    working: &str,
    memberships: &mut Memberships,
    outcome: &mut RestoreOutcome,
) -> Result<Filled, Stopped> {
    let place = wanted.database.name.as_str();
    let progress = |phase| {
        scope.context.progress.report(ProgressEvent::Phase(phase));
        // The name that operators know: the working name is nobody's business.
        scope.context.progress.report(ProgressEvent::Current(wanted.target.name.clone()));
    };
    progress("schema");
    let head = Head::read(scope, front, wanted, memberships, outcome).await?;
    memberships.take(front, &BTreeSet::from([wanted.database.properties.owner.clone()])).await?;
    create(scope, front, wanted, working).await?;
    finish::meanings(front, wanted, working, outcome).await?;

    let note = |refused: Vec<Refused>, outcome: &mut RestoreOutcome| {
        for refused in refused {
            skip(outcome, place, refused.what, refused.reason);
        }
    };
    note(phases::run(scope, &head, Phase::Schemas, working, None).await?, outcome);
    let inside = scope.connector.connect(working).await?;
    let lent = finish::lend_schemas(&inside, scope, &head).await?;
    note(phases::run(scope, &head, Phase::Structure, working, None).await?, outcome);
    let relations = statistics::relations(&inside).await?;
    drop(inside);
    let mut filled = Bare::new(scope, head, wanted, working, relations, lent).fill().await?;
    note(std::mem::take(&mut filled.refused), outcome);
    if wanted.database.properties.without_public {
        let inside = scope.connector.connect(working).await?;
        attempt(&inside, "DROP SCHEMA public", place, "absence of schema public", outcome).await?;
    }
    progress("finish");
    let front = target::open_front(&scope.connector).await?;
    finish::properties(scope, &front, wanted, working, outcome).await?;
    finish::rename(scope, &front, wanted, working).await?;
    Ok(filled)
}

async fn create(scope: &Scope, front: &Session, wanted: &Named<'_>, working: &str) -> Result<(), Stopped> {
    let sql = create_statement(working, &wanted.database.properties, scope.target.server_version_num);
    let doing = format!("creating database {working:?}");
    front.execute(&doing, &sql).await?;
    let comment = format!("unfinished restore of {:?} as {:?}", wanted.database.name, wanted.target.name);
    front.execute(&doing, &format!("COMMENT ON DATABASE {} IS {}", identifier(working), literal(&comment))).await
}

/// Creates it with the encoding and locale it had.
fn create_statement(working: &str, properties: &Properties, target_version: u32) -> String {
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        identifier(working),
        literal(&properties.encoding),
        literal(&properties.collate),
        literal(&properties.ctype)
    );
    if target_version < 150_000 {
        return sql;
    }
    let locale = properties.locale.as_deref().map(literal);
    match (properties.locale_provider.as_str(), locale) {
        ("i", Some(locale)) => sql.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {locale}")),
        ("b", Some(locale)) => sql.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}")),
        _ => sql.push_str(" LOCALE_PROVIDER libc"),
    }
    if let Some(rules) = &properties.icu_rules {
        sql.push_str(&format!(" ICU_RULES {}", literal(rules)));
    }
    sql
}

/// Removes what an interrupted attempt left under the same working name.
async fn drop_left(scope: &Scope, front: &Session, working: &str) -> Result<(), Stopped> {
    let doing = format!("removing what an interrupted restore left: database {working:?}");
    let sql = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1";
    if front.query(&doing, sql, &[&working]).await?.is_empty() {
        return Ok(());
    }
    scope.context.log.log(Severity::Warning, &doing);
    front.execute(&doing, &drop_statement(working, scope.target.server_version_num)).await
}

/// `DROP DATABASE`, whoever is still connected.
pub(super) fn drop_statement(name: &str, server_version_num: u32) -> String {
    let force = if server_version_num >= 130_000 { " WITH (FORCE)" } else { "" };
    format!("DROP DATABASE IF EXISTS {}{force}", identifier(name))
}

/// Drops the half-restored database, even after a cancellation. Where that fails, the failure says so.
async fn clear_away(scope: &Scope, working: &str, stopped: Stopped) -> Stopped {
    let connector = scope.connector.obeying(CancellationToken::new());
    let dropped = async {
        let front = target::open_front(&connector).await?;
        let doing = format!("dropping the half-restored database {working:?}");
        front.execute(&doing, &drop_statement(working, scope.target.server_version_num)).await
    };
    let Err(left) = dropped.await else { return stopped };
    let cause = match (&stopped, &left) {
        (Stopped::Failed(failure), Stopped::Failed(left)) => format!("{failure}; and then: {left}"),
        (_, left) => left.to_string(),
    };
    let text = format!("database {working:?} is half-restored and could not be dropped");
    scope.context.log.log(Severity::Error, &text);
    let remedy = format!("drop the database {working:?} by hand, then run again");
    Failure::new("restore-left-behind", text, cause, remedy).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Properties {
        Properties { encoding: "UTF8".into(), collate: "en_US.utf8".into(), ctype: "C".into(), ..Properties::default() }
    }

    #[test]
    fn a_database_is_created_as_it_was() {
        let icu = Properties { locale_provider: "i".into(), locale: Some("de".into()), ..properties() };
        let base = "CREATE DATABASE \"w\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'en_US.utf8' LC_CTYPE 'C'";
        assert_eq!(create_statement("w", &icu, 140_000), base);
        assert_eq!(create_statement("w", &properties(), 150_000), format!("{base} LOCALE_PROVIDER libc"));
        assert_eq!(create_statement("w", &icu, 170_000), format!("{base} LOCALE_PROVIDER icu ICU_LOCALE 'de'"));
    }
}
