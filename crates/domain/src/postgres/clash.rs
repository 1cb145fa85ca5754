//! Under which name a database is restored. An existing database is never touched unless the operator asked for exactly
//! that, and a database under restore has a working name until it is complete.

use std::collections::BTreeSet;

pub use crate::clash::{OnClash, TargetName, replaced_name, working_name};

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// It is taken.
    #[error("a database named {0:?} exists on the target")]
    Taken(String),
    /// It belongs to the server or to RDS.
    #[error("{0:?} belongs to the server")]
    Reserved(String),
    /// PostgreSQL cuts names at 63 bytes.
    #[error("{0:?} is longer than the 63 bytes PostgreSQL keeps of a name")]
    TooLong(String),
}

/// Longest name PostgreSQL keeps, in bytes.
const LONGEST: usize = 63;

const RESERVED: [&str; 3] = ["template0", "template1", "rdsadmin"];

/// The database that connections about other databases go to: it cannot be replaced while one is there.
const MAINTENANCE: &str = "postgres";

/// Chooses the final name. `taken` holds every database of the target and the names other databases of the same
/// restore have got.
///
/// # Errors
/// The name is taken and may not be changed, is reserved, or is too long.
pub fn choose(wanted: &str, on_clash: OnClash, taken: &BTreeSet<String>) -> Result<TargetName, NameRefused> {
    if RESERVED.contains(&wanted) {
        return Err(NameRefused::Reserved(wanted.to_owned()));
    }
    if wanted.len() > LONGEST || wanted.is_empty() {
        return Err(NameRefused::TooLong(wanted.to_owned()));
    }
    if !taken.contains(wanted) {
        return Ok(TargetName { name: wanted.to_owned(), replaces: false });
    }
    match on_clash {
        OnClash::Refuse => Err(NameRefused::Taken(wanted.to_owned())),
        OnClash::Replace if wanted == MAINTENANCE => Err(NameRefused::Reserved(wanted.to_owned())),
        OnClash::Replace => Ok(TargetName { name: wanted.to_owned(), replaces: true }),
        OnClash::Suffix => {
            let name = crate::clash::suffixed(wanted, LONGEST, str::len, |name| taken.contains(name));
            name.map(|name| TargetName { name, replaces: false }).ok_or_else(|| NameRefused::Taken(wanted.to_owned()))
        }
    }
}

/// The role whose comment names the memberships that were taken for a restore and the roles that it created: the same for
/// every attempt under the same key. It is dropped at the restore's end.
pub fn lent_name(key: &str) -> String {
    working_name(key, "", "").replacen("restoring", "lent", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn names_are_chosen_as_asked() {
        let some = taken(&["orders", "orders_restored_1", "other"]);
        let name = |text: &str, replaces| Ok(TargetName { name: text.to_owned(), replaces });
        assert_eq!(choose("fresh", OnClash::Refuse, &some), name("fresh", false));
        assert_eq!(choose("orders", OnClash::Refuse, &some), Err(NameRefused::Taken("orders".into())));
        assert_eq!(choose("orders", OnClash::Suffix, &some), name("orders_restored_2", false));
        assert_eq!(choose("orders", OnClash::Replace, &some), name("orders", true));
        assert_eq!(choose("rdsadmin", OnClash::Replace, &some), Err(NameRefused::Reserved("rdsadmin".into())));
        assert!(matches!(choose(&"x".repeat(64), OnClash::Refuse, &some), Err(NameRefused::TooLong(_))));
    }

    #[test]
    fn a_suffix_fits_and_cuts_no_character_in_two() {
        let long = "é".repeat(31);
        let chosen = choose(&long, OnClash::Suffix, &taken(&[&long])).map(|target| target.name);
        assert!(chosen.as_ref().is_ok_and(|name| name.len() <= 63 && name.ends_with("_restored_1")), "{chosen:?}");
    }

    #[test]
    fn the_note_of_each_restore_has_a_name_of_its_own() {
        let lent = lent_name("ses-1");
        assert!(lent.starts_with("haulier_lent_") && lent != lent_name("ses-2") && lent.len() <= 63, "{lent}");
    }
}
