//! One database, from nothing to its final name.

use std::collections::BTreeSet;
use std::sync::Arc;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::manifest::Properties;
use haulier_domain::postgres::mark::Mark;
use haulier_domain::postgres::quote::{identifier, literal};

use super::super::connect::Session;
use super::super::context::{ProgressEvent, Severity, Stopped};
use super::super::job::{DatabaseShare, RestoreOutcome, RestoredDatabase, RestoredPart};
use super::archive::Head;
use super::filling::{Bare, Filled};
use super::membership::Memberships;
use super::phases::{self, Phase, Refused};
use super::remains::Remains;
use super::target::{self, Named};
use super::{Scope, attempt, finish, naming, skip, statistics};

/// Restores one database. Gives its share of the report, and what an operator should know besides.
pub(super) async fn restore(
    scope: &Arc<Scope>,
    wanted: &Named<'_>,
    memberships: &mut Memberships,
    remains: &mut Remains,
) -> Result<(DatabaseShare, Option<String>), Stopped> {
    let working = wanted.asked.working_name(&scope.key);
    let mut outcome = RestoreOutcome::default();
    let front = target::open_front(&scope.connector).await?;
    remains.begin(&wanted.asked);
    let filled = restore_under(scope, &front, wanted, &working, memberships, &mut outcome).await?;
    drop(front);
    let share = DatabaseShare {
        target_name: wanted.asked.name.clone(),
        restored: RestoredDatabase {
            database: wanted.database.name.clone(),
            restored_as: wanted.target.name.clone(),
            counted_tables: filled.tables,
            counted_rows: filled.rows,
        },
        skipped: outcome.skipped,
        bytes: filled.bytes,
    };
    let mark = Mark::Restored(serde_json::to_string(&share).map_err(|error| unwritable(&error))?);
    naming::give_name(scope, wanted, &working, &mark).await?;
    remains.complete(&wanted.asked);
    scope.context.parts.completed(RestoredPart::Database(share.clone()));
    let text = format!("database {:?} is restored as {:?}", wanted.database.name, wanted.target.name);
    scope.context.log.log(Severity::Info, &text);
    let left = match wanted.target.replaces {
        true => naming::drop_replaced(scope, &wanted.target.name, &working).await,
        false => None,
    };
    Ok((share, left))
}

fn unwritable(error: &serde_json::Error) -> Failure {
    let remedy = "report this with the session's log";
    Failure::new("mover-defect", "writing down what was restored", error.to_string(), remedy)
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
