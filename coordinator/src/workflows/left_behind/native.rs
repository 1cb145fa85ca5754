//! What a native restore of SQL Server may have left: databases in the state RESTORING, or complete ones that nobody has
//! reported. Without a task of RDS there is none.

use std::collections::BTreeSet;

use haulier_domain::clash::{replaced_name, working_name};
use haulier_domain::failure::Failure;
use haulier_domain::left_behind::{self, Asked};
use haulier_proto::worker::v1::PartRestored;

use super::asked;
use crate::sessions::{DatabaseSelection, RestoreRequest};
use crate::state::{Result, Session, State};
use crate::workers::{restored, tasks};

/// Says it in the failure; `None` where nothing is left.
pub(super) async fn said(
    state: &State,
    session: &Session,
    request: &RestoreRequest,
    failure: Failure,
) -> Result<Option<Failure>> {
    let restored = restored::parts(state, &session.id).await?;
    let tasks = tasks::of_session(state, &session.id).await?;
    let names: BTreeSet<&str> = tasks.iter().map(|task| task.submitted.database.as_str()).collect();
    let databases = half_restored(session.id.as_str(), &request.databases, &restored, &names);
    if databases.is_empty() {
        return Ok(None);
    }
    let target = &request.target.id;
    let may_be = [format!("databases that RDS was restoring: {}", databases.join(", "))];
    let remedy = format!("look for them on {target}, and drop with msdb.dbo.rds_drop_database what is not wanted");
    Ok(Some(left_behind::said(failure, target, &may_be, &remedy)))
}

/// What may be left of databases that tasks of RDS were for, those aside that are complete.
fn half_restored(
    key: &str,
    databases: &[DatabaseSelection],
    restored: &[PartRestored],
    tasks: &BTreeSet<&str>,
) -> Vec<String> {
    let is_open = |name: &&str| restored.iter().all(|part| !is_of(key, part, name));
    let replaced = |name: &str| {
        let of_name = |asked: &Asked| asked.replaces && asked.working_name(key) == name;
        databases.iter().map(asked).find(of_name)
    };
    let told = |name: &str| match replaced(name) {
        Some(Asked { name: last, .. }) => {
            format!("{name:?}, or {last:?} in its place and what that has replaced as {:?}", replaced_name(name))
        }
        None => format!("{name:?}"),
    };
    tasks.iter().copied().filter(is_open).map(told).collect()
}

/// Whether a task for a database of this name belongs to the part: RDS restores it under its last name, or under one of its own
/// until it takes the place of another. The name that was asked for, which a suffix was added to, is another database's.
fn is_of(key: &str, part: &PartRestored, name: &str) -> bool {
    name == part.restored_as || name == working_name(key, &part.database, &part.target_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::OnClash;

    const KEY: &str = "ses-1";

    fn part(database: &str, target_name: &str, restored_as: &str) -> PartRestored {
        PartRestored {
            database: database.into(),
            target_name: target_name.into(),
            restored_as: restored_as.into(),
            ..PartRestored::default()
        }
    }

    #[test]
    fn a_task_belongs_to_what_was_restored_under_its_name() {
        let working = working_name(KEY, "shop", "shop");
        let cases = [
            // Under the name that was asked for, under a suffix, in the place of another.
            (part("shop", "copy", "copy"), "copy", true),
            (part("shop", "shop", "shop_restored_1"), "shop_restored_1", true),
            (part("shop", "shop", "shop"), working.as_str(), true),
            // The database that it came from, and the one that had the name already.
            (part("shop", "copy", "copy"), "shop", false),
            (part("shop", "shop", "shop_restored_1"), "shop", false),
            (part("crm", "shop", "shop"), working.as_str(), false),
        ];
        for (part, name, expected) in cases {
            assert_eq!(is_of(KEY, &part, name), expected, "{part:?} {name}");
        }
    }

    #[test]
    fn what_was_to_be_replaced_is_named_with_what_was_half_restored() {
        let selection = |database: &str, target_name: &str, on_clash| DatabaseSelection {
            database: database.into(),
            target_name: target_name.into(),
            on_clash,
            schemas: Vec::new(),
            tables: Vec::new(),
        };
        let databases = [
            selection("crm", "", OnClash::Replace),
            selection("shop", "", OnClash::Replace),
            selection("erp", "", OnClash::Suffix),
        ];
        let (crm, shop) = (working_name(KEY, "crm", "crm"), working_name(KEY, "shop", "shop"));
        let tasks = BTreeSet::from([crm.as_str(), shop.as_str(), "erp_restored_1"]);
        let restored = [part("crm", "crm", "crm")];
        let said = half_restored(KEY, &databases, &restored, &tasks);
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[0], "\"erp_restored_1\"");
        for name in [&shop, &replaced_name(&shop), "\"shop\""] {
            assert!(said[1].contains(name), "{name}: {said:?}");
        }
        assert_eq!(half_restored(KEY, &databases, &restored, &BTreeSet::from([crm.as_str()])), [""; 0]);
    }
}
