//! What a restore of a native backup restores: whole databases, under names that SQL Server takes. Pure.

use std::collections::BTreeSet;

use haulier_domain::clash;
use haulier_domain::failure::Failure;
use haulier_domain::native_backup::Engine;
use haulier_domain::point::DatabaseSummary;
use haulier_domain::sqlserver::names::{self, NameRefused};
use haulier_domain::sqlserver::options::RestoreOptions;
use haulier_proto::control::v1 as wire;
use haulier_proto::worker::v1::{DatabaseRestore, NativeRestoreOptions, OnClash};

use super::wanted;

/// Chooses the databases and refuses what cannot be done with them. `known` are the names of the point's databases.
pub(super) fn databases(
    what: &str,
    request: &wire::RestoreDatabaseRequest,
    known: &[String],
) -> Result<Vec<DatabaseRestore>, Failure> {
    let on_clash = request.on_clash;
    let each = |name: &String| DatabaseRestore { database: name.clone(), on_clash, ..DatabaseRestore::default() };
    let chosen: Vec<DatabaseRestore> =
        if request.databases.is_empty() { known.iter().map(each).collect() } else { request.databases.clone() };
    if chosen.is_empty() {
        return Err(Failure::new("request-invalid", what, "the point has no database", "name another point"));
    }
    let mut taken = BTreeSet::new();
    for one in &chosen {
        wanted::is_known(what, &one.database, known)?;
        if !one.schemas.is_empty() || !one.tables.is_empty() {
            let cause =
                format!("a native backup is restored whole, and schemas or tables of {:?} are named", one.database);
            let remedy = "restore the database under another name, and take from it what you need";
            return Err(Failure::new("restore-part-unsupported", what, cause, remedy));
        }
        let on_clash = match OnClash::try_from(one.on_clash) {
            Ok(OnClash::Suffix) => clash::OnClash::Suffix,
            // Two databases of one restore never replace each other.
            Ok(OnClash::Unspecified | OnClash::Refuse | OnClash::Replace) => clash::OnClash::Refuse,
            Err(_) => {
                let cause = "what to do on a clash is said in a way that this coordinator does not know";
                let remedy = "use a command line of the coordinator's version";
                return Err(Failure::new("request-invalid", what, cause, remedy));
            }
        };
        let chosen = names::choose(wanted::target_name(one), on_clash, &taken);
        taken.insert(chosen.map_err(|refused| name_refused(what, &refused))?.name);
    }
    Ok(chosen)
}

/// Reads how to restore. What SQL Server alone has is refused for a point of another engine.
pub(super) fn options(
    what: &str,
    wanted: Option<NativeRestoreOptions>,
    engine: Engine,
) -> Result<RestoreOptions, Failure> {
    let options = RestoreOptions::try_from(wanted.unwrap_or_default());
    let options = options.map_err(|invalid| {
        let remedy = "name volumes as D:, H:, I: or J:, and a moment of whole seconds";
        Failure::new("request-invalid", what, invalid.to_string(), remedy)
    })?;
    if engine != Engine::SqlServer && options != RestoreOptions::default() {
        let cause = format!(
            "the point is of {}: volumes, change data capture and moments between two points are of SQL Server",
            engine.title()
        );
        let remedy = "leave out --keep-cdc, --data-file-volume, --log-file-volume and --until";
        return Err(Failure::new("restore-option-unsupported", what, cause, remedy));
    }
    Ok(options)
}

/// Refuses a moment that the point does not hold of one of the databases, by what it says of itself at a glance. A point that says
/// nothing of it is left to the worker.
pub(super) fn moment(
    what: &str,
    options: RestoreOptions,
    chosen: &[DatabaseRestore],
    known: &[DatabaseSummary],
) -> Result<(), Failure> {
    let Some(until) = options.until else { return Ok(()) };
    for one in chosen {
        let Some(database) = known.iter().find(|known| known.name == one.database) else { continue };
        let to = database.consistent_at;
        let cause = match database.restorable_from {
            Some(from) if (from..=to).contains(&until) => continue,
            Some(from) => format!("the point holds the states of {:?} from {from} to {to}", one.database),
            None => format!("the point has no log backups of {:?}, and holds its state of {to} alone", one.database),
        };
        let remedy = "give a moment that the point holds, choose other databases with --database, or name another point: see \
                      `haulier point show`";
        return Err(Failure::new("restore-moment-unavailable", what, cause, remedy));
    }
    Ok(())
}

fn name_refused(what: &str, refused: &NameRefused) -> Failure {
    let cause = refused.to_string();
    match refused {
        NameRefused::Reserved(_) => Failure::new("restore-name-reserved", what, cause, "give another target name"),
        NameRefused::Length(_) => {
            Failure::new("restore-name-too-long", what, cause, "give a target name of 1 to 128 characters")
        }
        NameRefused::Taken { wanted, .. } => {
            let cause = format!("two databases of this restore are to be named {wanted:?}, case and accents aside");
            let remedy = "give each a name of its own, or ask for a suffix";
            Failure::new("restore-name-taken", what, cause, remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn code(databases: Vec<DatabaseRestore>, on_clash: i32) -> String {
        let request = wire::RestoreDatabaseRequest { databases, on_clash, ..Default::default() };
        match super::databases("x", &request, &["crm".to_owned(), "shop".to_owned()]) {
            Ok(chosen) => chosen.iter().map(|one| one.database.as_str()).collect::<Vec<_>>().join(" "),
            Err(failure) => {
                assert!(!failure.remedy.is_empty(), "{failure}");
                failure.code
            }
        }
    }

    #[test]
    fn options_are_of_sql_server_alone() {
        let wanted = |volume: &str, keep_cdc| NativeRestoreOptions {
            keep_cdc,
            data_file_volume: volume.into(),
            ..NativeRestoreOptions::default()
        };
        for (wanted, engine, expected) in [
            (None, Engine::SqlServer, None),
            (Some(wanted("h:", true)), Engine::SqlServer, None),
            (Some(wanted("C:", false)), Engine::SqlServer, Some("request-invalid")),
            (Some(wanted("", false)), Engine::Postgres, None),
            (Some(wanted("", true)), Engine::Postgres, Some("restore-option-unsupported")),
            (Some(wanted("H:", false)), Engine::Postgres, Some("restore-option-unsupported")),
        ] {
            let read = options("x", wanted.clone(), engine);
            assert_eq!(read.err().map(|failure| failure.code).as_deref(), expected, "{wanted:?} {engine:?}");
        }
    }

    #[test]
    fn a_moment_is_one_that_the_point_holds() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let known = |name: &str, restorable_from: Option<i64>| DatabaseSummary {
            name: name.into(),
            consistent_at: at(20),
            restorable_from: restorable_from.map(at),
            bytes: 0,
            tables: 0,
            server_bytes: None,
        };
        let known = [known("shop", Some(10)), known("crm", None)];
        for (name, until, fits) in [
            ("shop", Some(10), true),
            ("shop", Some(20), true),
            ("shop", Some(9), false),
            ("shop", Some(21), false),
            ("crm", Some(20), false),
            ("crm", None, true),
        ] {
            let options = RestoreOptions { until: until.map(at), ..RestoreOptions::default() };
            let chosen = [DatabaseRestore { database: name.into(), ..DatabaseRestore::default() }];
            let told = moment("x", options, &chosen, &known);
            let code = told.err().map(|failure| failure.code);
            assert_eq!(code, (!fits).then(|| "restore-moment-unavailable".to_owned()), "{name} {until:?}");
        }
    }

    #[test]
    fn whole_databases_under_names_that_sql_server_takes() {
        let named = |database: &str, target: &str| DatabaseRestore {
            database: database.into(),
            target_name: target.into(),
            ..DatabaseRestore::default()
        };
        let suffix = |one: DatabaseRestore| DatabaseRestore { on_clash: OnClash::Suffix.into(), ..one };
        let tables = DatabaseRestore { tables: vec!["dbo.items".into()], ..named("crm", "") };
        let strange = DatabaseRestore { on_clash: 99, ..named("crm", "") };
        let long = "x".repeat(129);
        for (databases, expected) in [
            (vec![], "crm shop"),
            (vec![named("crm", "crm2"), named("shop", "")], "crm shop"),
            (vec![named("crm", "A"), named("shop", "a")], "restore-name-taken"),
            (vec![named("crm", "äpfel"), named("shop", "Apfel")], "restore-name-taken"),
            (vec![named("crm", "A"), suffix(named("shop", "a"))], "crm shop"),
            (vec![named("gone", "")], "restore-database-unknown"),
            (vec![named("crm", "msdb")], "restore-name-reserved"),
            (vec![named("crm", &long)], "restore-name-too-long"),
            (vec![tables], "restore-part-unsupported"),
            (vec![strange], "request-invalid"),
        ] {
            assert_eq!(code(databases.clone(), 0), expected, "{databases:?}");
        }
    }
}
