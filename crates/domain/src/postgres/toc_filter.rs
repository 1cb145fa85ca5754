//! Which entries of an archive a target takes. What it forbids, lacks or must not get is left out, with all that
//! cannot be without it, and every omission has its reason. What the mover restores by its own means (the database's
//! own properties) is left out silently.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::Entry;

/// What matters of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether the restoring login is a superuser.
    pub superuser: bool,
    /// Whether it is a real RDS instance, where event triggers are allowed to a master user.
    pub rds: bool,
    /// Extensions that can be created there.
    pub extensions: BTreeSet<String>,
}

/// An entry left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Which entries are restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Numbers of the entries to restore.
    pub kept: BTreeSet<i64>,
    /// What is left out.
    pub left_out: Vec<LeftOut>,
}

/// Chooses among the entries.
pub fn choose(entries: &[Entry], target: &Target) -> Choice {
    let mut reasons: BTreeMap<i64, Option<String>> = BTreeMap::new();
    for entry in entries {
        if is_databases_own(entry) {
            reasons.insert(entry.id, None);
        } else if let Some(reason) = forbidden(entry, target) {
            reasons.insert(entry.id, Some(reason));
        }
    }
    spread(entries, &mut reasons);
    let mut choice = Choice::default();
    for entry in entries {
        match reasons.remove(&entry.id) {
            None => {
                choice.kept.insert(entry.id);
            }
            Some(Some(reason)) => {
                choice.left_out.push(LeftOut { id: entry.id, what: entry.to_string(), reason });
            }
            Some(None) => {}
        }
    }
    choice
}

/// Whatever needs an entry that is left out with a reason is left out too.
fn spread(entries: &[Entry], reasons: &mut BTreeMap<i64, Option<String>>) {
    let names: BTreeMap<_, _> = entries.iter().map(|entry| (entry.id, entry)).collect();
    loop {
        let more: Vec<_> = entries
            .iter()
            .filter(|entry| !reasons.contains_key(&entry.id))
            .filter_map(|entry| {
                let lost = entry.needs.iter().find(|needed| matches!(reasons.get(needed), Some(Some(_))))?;
                let lost = names.get(lost)?;
                Some((entry.id, Some(format!("it needs {lost}, which is left out"))))
            })
            .collect();
        if more.is_empty() {
            return;
        }
        reasons.extend(more);
    }
}

/// Entries about the database itself: its name, owner, settings and privileges are restored by the mover.
fn is_databases_own(entry: &Entry) -> bool {
    match entry.kind.as_str() {
        "DATABASE" | "DATABASE PROPERTIES" => true,
        "ACL" | "COMMENT" | "SECURITY LABEL" => entry.tag.starts_with("DATABASE "),
        _ => false,
    }
}

fn forbidden(entry: &Entry, target: &Target) -> Option<String> {
    if entry.kind == "EVENT TRIGGER" && entry.owner.as_deref() == Some("rdsadmin") {
        return Some("it belongs to rdsadmin, which every RDS instance has for itself".into());
    }
    if entry.kind == "EXTENSION" && !target.extensions.contains(&entry.tag) {
        return Some(format!("the target does not offer the extension {:?}", entry.tag));
    }
    if entry.kind == "SUBSCRIPTION" {
        return Some("a restored copy must not pull from the publisher of the original".into());
    }
    if target.superuser {
        return None;
    }
    match entry.kind.as_str() {
        "COMMENT" if entry.tag.starts_with("EXTENSION ") => {
            Some("only the owner of an extension may comment on it, and the extension brings its comment".into())
        }
        "EVENT TRIGGER" if !target.rds => Some("only a superuser may create event triggers".into()),
        "FOREIGN DATA WRAPPER" => Some("only a superuser may create foreign-data wrappers".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(superuser: bool, rds: bool) -> Target {
        Target { superuser, rds, extensions: BTreeSet::from(["hstore".to_owned()]) }
    }

    fn left_out(entries: &[Entry], target: &Target) -> Vec<i64> {
        choose(entries, target).left_out.iter().map(|left| left.id).collect()
    }

    #[test]
    fn what_the_target_forbids_is_left_out_by_kind() {
        let entries = [
            Entry::sample(1, "COMMENT", None, "EXTENSION hstore", &[]),
            Entry::sample(2, "EVENT TRIGGER", None, "audit", &[]),
            Entry::sample(3, "FOREIGN DATA WRAPPER", None, "files", &[]),
            Entry::sample(4, "SUBSCRIPTION", None, "feed", &[]),
            Entry::sample(5, "TABLE", Some("public"), "orders", &[]),
        ];
        assert_eq!(left_out(&entries, &target(false, false)), [1, 2, 3, 4]);
        assert_eq!(left_out(&entries, &target(false, true)), [1, 3, 4]);
        assert_eq!(left_out(&entries, &target(true, false)), [4]);
    }

    #[test]
    fn a_missing_extension_takes_along_all_that_needs_it() {
        let entries = [
            Entry::sample(1, "EXTENSION", None, "postgis", &[]),
            Entry::sample(2, "TABLE", Some("public"), "places", &[1]),
            Entry::sample(3, "TABLE DATA", Some("public"), "places", &[2]),
            Entry::sample(4, "EXTENSION", None, "hstore", &[]),
            Entry::sample(5, "TABLE", Some("public"), "bags", &[4]),
        ];
        let choice = choose(&entries, &target(true, false));
        assert_eq!(choice.kept, BTreeSet::from([4, 5]));
        assert_eq!(choice.left_out[2].reason, "it needs TABLE public.places, which is left out");
    }

    #[test]
    fn what_the_mover_restores_itself_is_no_loss() {
        let entries = [
            Entry::sample(1, "DATABASE", None, "orders", &[]),
            Entry::sample(2, "ACL", None, "DATABASE orders", &[1]),
            Entry::sample(3, "COMMENT", None, "DATABASE orders", &[1]),
            Entry::sample(4, "SCHEMA", None, "app", &[]),
        ];
        let choice = choose(&entries, &target(false, false));
        assert_eq!((choice.kept, choice.left_out.len()), (BTreeSet::from([4]), 0));
    }

    #[test]
    fn event_triggers_of_rdsadmin_stay_away() {
        let mut entry = Entry::sample(1, "EVENT TRIGGER", None, "rds_audit", &[]);
        assert!(left_out(&[entry.clone()], &target(false, true)).is_empty());
        entry.owner = Some("rdsadmin".into());
        assert_eq!(left_out(&[entry], &target(false, true)), [1]);
    }
}
