//! What a restore restores: whatever can be known from the request and the point's catalogue is decided here, before
//! anything is started. Pure.

use std::collections::BTreeSet;

use haulier_domain::failure::Failure;
use haulier_domain::postgres::clash::{self, NameRefused};
use haulier_domain::postgres::quote;
use haulier_proto::control::v1 as wire;
use haulier_proto::worker::v1::{DatabaseRestore, OnClash};

/// The database that every instance has from the start; it is restored where it is named, under another name.
const MAINTENANCE: &str = "postgres";

/// Chooses the databases and refuses what cannot be done with them. `known` are the names of the point's databases.
pub(super) fn databases(
    what: &str,
    request: &wire::RestoreDatabaseRequest,
    known: &[String],
) -> Result<Vec<DatabaseRestore>, Failure> {
    let chosen =
        if request.databases.is_empty() { every_database(known, request.on_clash) } else { request.databases.clone() };
    if chosen.is_empty() {
        let cause = "the point has no database besides postgres";
        return Err(Failure::new("request-invalid", what, cause, "name it, with another name, to restore it"));
    }
    let mut taken = BTreeSet::new();
    for wanted in &chosen {
        is_known(what, &wanted.database, known)?;
        name_is_usable(what, wanted, &mut taken)?;
        for table in &wanted.tables {
            quote::parse_qualified(table).map_err(|error| {
                let remedy =
                    "write tables as schema.table, with double quotes around names that need them in SQL: public.items";
                Failure::new("restore-table-name", what, error.to_string(), remedy)
            })?;
        }
    }
    Ok(chosen)
}

/// Every database of a point under its own name, but the one that every instance has from the start.
fn every_database(known: &[String], on_clash: i32) -> Vec<DatabaseRestore> {
    let restored = known.iter().filter(|name| *name != MAINTENANCE);
    restored.map(|name| DatabaseRestore { database: name.clone(), on_clash, ..Default::default() }).collect()
}

/// Refuses a database that the point does not have.
pub(super) fn is_known(what: &str, name: &str, known: &[String]) -> Result<(), Failure> {
    if known.iter().any(|database| database == name) {
        return Ok(());
    }
    let names: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
    let cause = format!("the point has no database {name:?}");
    Err(Failure::new("restore-database-unknown", what, cause, format!("name one of {}", names.join(", "))))
}

/// The name that a database is to get.
pub(super) fn target_name(wanted: &DatabaseRestore) -> &str {
    if wanted.target_name.is_empty() { &wanted.database } else { &wanted.target_name }
}

/// `taken` are the names that the databases before this one get.
fn name_is_usable(what: &str, wanted: &DatabaseRestore, taken: &mut BTreeSet<String>) -> Result<(), Failure> {
    let name = target_name(wanted);
    let on_clash = match OnClash::try_from(wanted.on_clash) {
        Ok(OnClash::Unspecified | OnClash::Refuse) => clash::OnClash::Refuse,
        Ok(OnClash::Suffix) => clash::OnClash::Suffix,
        Ok(OnClash::Replace) if name == MAINTENANCE => {
            let cause = format!("{name:?} cannot be replaced: connections about other databases go to it");
            return Err(Failure::new("restore-name-reserved", what, cause, "give another target name"));
        }
        // Two databases of one restore never replace each other.
        Ok(OnClash::Replace) => clash::OnClash::Refuse,
        // It may be something dangerous that this version would do wrongly.
        Err(_) => {
            let cause = "what to do on a clash is said in a way that this coordinator does not know";
            return Err(Failure::new(
                "request-invalid",
                what,
                cause,
                "use a command line of the coordinator's version",
            ));
        }
    };
    let refused = |refused: NameRefused| {
        let (code, cause, remedy) = match &refused {
            NameRefused::Taken(name) => (
                "restore-name-taken",
                format!("two databases of this restore are to be named {name:?}"),
                "give each a name of its own, or ask for a suffix",
            ),
            NameRefused::Reserved(_) => ("restore-name-reserved", refused.to_string(), "give another target name"),
            NameRefused::TooLong(_) => {
                ("restore-name-too-long", refused.to_string(), "give a target name of 1 to 63 bytes")
            }
        };
        Failure::new(code, what, cause, remedy)
    };
    taken.insert(clash::choose(name, on_clash, taken).map_err(refused)?.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(database: &str, target: &str) -> DatabaseRestore {
        DatabaseRestore { database: database.into(), target_name: target.into(), ..Default::default() }
    }

    fn known(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn code(databases: Vec<DatabaseRestore>) -> String {
        let request = wire::RestoreDatabaseRequest { databases, ..Default::default() };
        match super::databases("x", &request, &known(&["shop", "crm", "postgres"])) {
            Ok(_) => "fine".to_owned(),
            Err(failure) => {
                assert!(!failure.remedy.is_empty(), "{failure}");
                failure.code
            }
        }
    }

    #[test]
    fn an_empty_list_means_every_database_but_postgres_in_the_way_that_was_asked_for() {
        let request = wire::RestoreDatabaseRequest { on_clash: OnClash::Suffix.into(), ..Default::default() };
        let chosen = databases("x", &request, &known(&["crm", "postgres", "shop"])).unwrap();
        let shown: Vec<_> = chosen.iter().map(|one| (one.database.as_str(), one.on_clash())).collect();
        assert_eq!(shown, [("crm", OnClash::Suffix), ("shop", OnClash::Suffix)]);
        let nothing = databases("x", &request, &known(&["postgres"])).unwrap_err();
        assert_eq!(nothing.code, "request-invalid");
    }

    #[test]
    fn what_can_be_known_is_refused() {
        let on_clash = |on_clash: i32, one: DatabaseRestore| DatabaseRestore { on_clash, ..one };
        let replace = i32::from(OnClash::Replace);
        let suffix = i32::from(OnClash::Suffix);
        let table = |table: &str| DatabaseRestore { tables: vec![table.into()], ..named("shop", "") };
        for (databases, want) in [
            (vec![named("shop", ""), named("crm", "crm2")], "fine"),
            (vec![named("postgres", "old")], "fine"),
            (vec![named("sohp", "")], "restore-database-unknown"),
            (vec![named("shop", "rdsadmin")], "restore-name-reserved"),
            (vec![named("shop", "template1")], "restore-name-reserved"),
            (vec![named("shop", &"x".repeat(64))], "restore-name-too-long"),
            (vec![named("shop", "a"), named("crm", "a")], "restore-name-taken"),
            (vec![on_clash(replace, named("shop", "a")), on_clash(replace, named("crm", "a"))], "restore-name-taken"),
            (vec![on_clash(suffix, named("shop", "a")), on_clash(suffix, named("crm", "a"))], "fine"),
            (vec![on_clash(replace, named("shop", "postgres"))], "restore-name-reserved"),
            (vec![on_clash(replace, named("postgres", ""))], "restore-name-reserved"),
            (vec![on_clash(replace, named("shop", ""))], "fine"),
            (vec![on_clash(99, named("shop", ""))], "request-invalid"),
            (vec![table("items")], "restore-table-name"),
            (vec![table("public.")], "restore-table-name"),
            (vec![table("public.\"Odd; --\"")], "fine"),
        ] {
            assert_eq!(code(databases.clone()), want, "{databases:?}");
        }
    }
}
