//! Names of databases: what SQL Server takes, what RDS takes for the same name, and which name a restore gets.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::clash::{self, OnClash, TargetName};

/// Longest name, in UTF-16 code units (`sysname`).
pub const LONGEST: usize = 128;

/// Databases of the server and of RDS.
const RESERVED: [&str; 7] =
    ["master", "model", "msdb", "tempdb", "rdsadmin", "rdsadmin_ReportServer", "rdsadmin_ReportServerTempDB"];

/// A name without what RDS does not tell names apart by: two that differ only by case or accent are not allowed.
pub fn folded(name: &str) -> String {
    name.nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .nfkc()
        .collect()
}

/// Whether the name belongs to the server or to RDS.
pub fn is_reserved(name: &str) -> bool {
    let name = folded(name);
    RESERVED.iter().any(|reserved| folded(reserved) == name)
}

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// It is taken, perhaps in other letters.
    #[error(
        "the target has database {there:?}, and RDS allows no two databases whose names differ only by case or accent"
    )]
    Taken {
        /// The name that was asked for.
        wanted: String,
        /// The database that has it.
        there: String,
    },
    /// It belongs to the server or to RDS.
    #[error("{0:?} belongs to the server")]
    Reserved(String),
    /// SQL Server takes up to 128 UTF-16 code units.
    #[error("{0:?} is not of 1 to 128 characters")]
    Length(String),
}

/// Chooses the final name. `taken` holds every database of the target and the names other databases of the same restore
/// have got.
///
/// # Errors
/// The name is taken and may not be changed, is reserved, or is of no possible length. A database is only replaced under
/// exactly its own name.
pub fn choose(wanted: &str, on_clash: OnClash, taken: &BTreeSet<String>) -> Result<TargetName, NameRefused> {
    if is_reserved(wanted) {
        return Err(NameRefused::Reserved(wanted.to_owned()));
    }
    if wanted.is_empty() || length(wanted) > LONGEST {
        return Err(NameRefused::Length(wanted.to_owned()));
    }
    let free = |name: String| TargetName { name, replaces: false };
    let same = |name: &str| taken.iter().find(|there| folded(there) == folded(name));
    let Some(there) = same(wanted) else { return Ok(free(wanted.to_owned())) };
    let is_taken = || NameRefused::Taken { wanted: wanted.to_owned(), there: there.clone() };
    match on_clash {
        OnClash::Replace if there == wanted => Ok(TargetName { name: wanted.to_owned(), replaces: true }),
        OnClash::Refuse | OnClash::Replace => Err(is_taken()),
        OnClash::Suffix => {
            let name = clash::suffixed(wanted, LONGEST, length, |name| same(name).is_some());
            name.map(free).ok_or_else(is_taken)
        }
    }
}

fn length(name: &str) -> usize {
    name.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn case_and_accent_tell_no_names_apart() {
        for (one, other) in [("Shop", "shop"), ("café", "CAFE"), ("Straße", "strasse"), ("İstanbul", "istanbul")] {
            assert_eq!(folded(one) == folded(other), one != "Straße", "{one} {other}");
        }
        assert_ne!(folded("shop"), folded("shop1"));
        assert!(is_reserved("MSDB") && is_reserved("rdsadmin") && !is_reserved("rds"));
        assert!(is_reserved("rdsadmin_reportservertempdb"));
    }

    #[test]
    fn names_are_chosen_as_asked() {
        let some = taken(&["Orders", "orders_RESTORED_1", "other"]);
        let name = |text: &str, replaces| Ok(TargetName { name: text.to_owned(), replaces });
        let is_there = |wanted: &str| Err(NameRefused::Taken { wanted: wanted.into(), there: "Orders".into() });
        assert_eq!(choose("fresh", OnClash::Refuse, &some), name("fresh", false));
        assert_eq!(choose("Orders", OnClash::Refuse, &some), is_there("Orders"));
        assert_eq!(choose("örders", OnClash::Refuse, &some), is_there("örders"));
        assert_eq!(choose("orders", OnClash::Suffix, &some), name("orders_restored_2", false));
        assert_eq!(choose("Orders", OnClash::Replace, &some), name("Orders", true));
        // Whoever asks to replace "orders" has not asked for the end of "Orders".
        assert_eq!(choose("orders", OnClash::Replace, &some), is_there("orders"));
        assert_eq!(choose("Master", OnClash::Replace, &some), Err(NameRefused::Reserved("Master".into())));
        for bad in [String::new(), "x".repeat(129)] {
            assert_eq!(choose(&bad, OnClash::Refuse, &some), Err(NameRefused::Length(bad.clone())));
        }
        assert_eq!(choose(&"é".repeat(128), OnClash::Refuse, &some).map(|target| target.replaces), Ok(false));
    }
}
