//! Which databases of an instance are backed up.

use super::names;
use super::server::{DatabaseFacts, State};

/// What is backed up, and what is not although nobody has said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The databases, in the order in which they were named, or by name.
    pub chosen: Vec<&'a DatabaseFacts>,
    /// User databases that cannot be backed up as they are, with the reason.
    pub passed_over: Vec<(&'a str, String)>,
}

/// Why there is nothing to back up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are no such databases.
    #[error("the instance has no database {}", quoted(.0))]
    Unknown(Vec<String>),
    /// A database that was named cannot be backed up.
    #[error("database {name:?} {reason}")]
    Unfit {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// None was named, and there is none.
    #[error("the instance has no user database that is online")]
    None,
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// Chooses the databases that are named, or all user databases that are online where none is.
///
/// # Errors
/// What was named is not there or unfit; none was named and none is there.
pub fn choose<'a>(all: &'a [DatabaseFacts], wanted: &[String]) -> Result<Selection<'a>, Refused> {
    if wanted.is_empty() {
        let users = all.iter().filter(|database| !names::is_reserved(&database.name) && !database.is_snapshot);
        let (chosen, rest): (Vec<_>, Vec<_>) = users.partition(|database| unfit(database).is_none());
        if chosen.is_empty() && rest.is_empty() {
            return Err(Refused::None);
        }
        let passed_over = rest.into_iter().filter_map(|it| Some((it.name.as_str(), unfit(it)?))).collect();
        return Ok(Selection { chosen: sorted(chosen), passed_over });
    }
    let find = |name: &String| all.iter().find(|database| database.name == *name);
    let unknown: Vec<String> = wanted.iter().filter(|name| find(name).is_none()).cloned().collect();
    if !unknown.is_empty() {
        return Err(Refused::Unknown(unknown));
    }
    let chosen: Vec<_> = wanted.iter().filter_map(find).collect();
    match chosen.iter().find_map(|database| Some((database.name.clone(), unfit(database)?))) {
        Some((name, reason)) => Err(Refused::Unfit { name, reason }),
        None => Ok(Selection { chosen, passed_over: Vec::new() }),
    }
}

fn sorted(mut databases: Vec<&DatabaseFacts>) -> Vec<&DatabaseFacts> {
    databases.sort_by(|one, other| one.name.cmp(&other.name));
    databases
}

fn unfit(database: &DatabaseFacts) -> Option<String> {
    if names::is_reserved(&database.name) {
        return Some("belongs to the server".to_owned());
    }
    if database.is_snapshot {
        return Some("is a snapshot of another database".to_owned());
    }
    match &database.state {
        State::Online => None,
        State::Restoring => Some("is being restored".to_owned()),
        State::Recovering => Some("is recovering".to_owned()),
        State::Other(state) => Some(format!("is {state}, not online")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::tests::database;
    use super::*;

    fn names(selection: &Selection<'_>) -> Vec<String> {
        selection.chosen.iter().map(|database| database.name.clone()).collect()
    }

    #[test]
    fn all_user_databases_that_are_online_or_those_that_are_named() {
        let mut all: Vec<_> = ["master", "tempdb", "rdsadmin", "shop", "crm", "old", "snap"].map(database).into();
        all[5].state = State::Other("OFFLINE".into());
        all[6].is_snapshot = true;
        let every = choose(&all, &[]).unwrap();
        assert_eq!(names(&every), ["crm", "shop"]);
        assert_eq!(every.passed_over, [("old", "is OFFLINE, not online".to_owned())]);
        let some = choose(&all, &["shop".into(), "crm".into()]).unwrap();
        assert_eq!((names(&some), some.passed_over.len()), (vec!["shop".into(), "crm".into()], 0));
    }

    #[test]
    fn what_is_named_must_be_there_and_fit() {
        let mut all: Vec<_> = ["master", "shop"].map(database).into();
        let unknown = choose(&all, &["shop".into(), "x".into(), "y".into()]).unwrap_err();
        assert_eq!(unknown.to_string(), r#"the instance has no database "x", "y""#);
        assert!(matches!(choose(&all, &["master".into()]), Err(Refused::Unfit { .. })));
        all[1].state = State::Restoring;
        assert!(choose(&all, &["shop".into()]).unwrap_err().to_string().contains("is being restored"));
        assert_eq!(choose(&all, &[]).unwrap().passed_over.len(), 1);
        assert_eq!(choose(&all[..1], &[]), Err(Refused::None));
    }
}
