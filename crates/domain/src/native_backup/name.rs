//! Names that a database of SQL Server may be restored under.

use std::collections::BTreeSet;

/// Characters of an identifier of SQL Server.
const LONGEST: usize = 128;
/// Databases of the server itself, and of RDS.
const RESERVED: [&str; 5] = ["master", "model", "msdb", "tempdb", "rdsadmin"];

/// Why a name will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// The server's own.
    #[error("the name {0:?} belongs to the server")]
    Reserved(String),
    /// Empty, too long, or with characters that cannot be in it.
    #[error("{0:?} is not a name of 1 to {LONGEST} characters without control characters")]
    Malformed(String),
    /// Two databases of one restore: RDS knows no two names that differ by case alone.
    #[error("two databases of this restore are to be named {0:?}, case aside")]
    Twice(String),
}

/// Checks a name against the rules, and against the names that the databases before it get.
///
/// # Errors
/// Why it will not do.
pub fn check(name: &str, taken: &mut BTreeSet<String>) -> Result<(), NameRefused> {
    let lower = name.to_lowercase();
    if RESERVED.contains(&lower.as_str()) {
        return Err(NameRefused::Reserved(name.to_owned()));
    }
    if !(1..=LONGEST).contains(&name.encode_utf16().count()) || name.chars().any(char::is_control) {
        return Err(NameRefused::Malformed(name.to_owned()));
    }
    if taken.insert(lower) { Ok(()) } else { Err(NameRefused::Twice(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_will_do_and_names_that_will_not() {
        let mut taken = BTreeSet::new();
        for (name, fine) in [
            ("crm", true),
            ("Umsätze [2026]", true),
            ("CRM", false),
            ("MASTER", false),
            ("rdsadmin", false),
            ("", false),
            ("a\nb", false),
        ] {
            assert_eq!(check(name, &mut taken).is_ok(), fine, "{name:?}");
        }
        assert!(check(&"x".repeat(128), &mut taken).is_ok());
        assert!(matches!(check(&"x".repeat(129), &mut taken), Err(NameRefused::Malformed(_))));
    }
}
