//! Privileges that were passed on by somebody other than an object's owner. `pg_dump` restores them by taking that
//! role's session, which only a superuser may; a member of the role gets the same effect by taking the role.

use std::collections::BTreeSet;

use super::quote::{identifier, parse_identifier};

const TAKE: &str = "SET SESSION AUTHORIZATION ";
const GIVE_BACK: &str = "RESET SESSION AUTHORIZATION";

/// Statements that take a role instead of its session, and the roles they take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByRole {
    /// The statements.
    pub sql: String,
    /// The roles.
    pub grantors: BTreeSet<String>,
}

/// Rewrites an entry's statements; `None` where they take nobody's session.
pub fn by_role(statements: &str) -> Option<ByRole> {
    let mut sql = String::with_capacity(statements.len());
    let mut grantors = BTreeSet::new();
    let mut rest = statements;
    let mut quote = None;
    while let Some(next) = rest.chars().next() {
        if quote.is_none() {
            if let Some((role, after)) = rest.strip_prefix(TAKE).and_then(parse_identifier) {
                sql.push_str(&format!("SET ROLE {}", identifier(&role)));
                grantors.insert(role);
                rest = after;
                continue;
            }
            if let Some(after) = rest.strip_prefix(GIVE_BACK) {
                sql.push_str("RESET ROLE");
                rest = after;
                continue;
            }
        }
        // A doubled quote ends and begins the quoted text, which comes to the same.
        quote = match (quote, next) {
            (None, '"' | '\'') => Some(next),
            (Some(open), _) if open == next => None,
            (state, _) => state,
        };
        sql.push(next);
        rest = &rest[next.len_utf8()..];
    }
    (!grantors.is_empty()).then_some(ByRole { sql, grantors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_become_roles_outside_of_quotes_only() {
        let text = "GRANT SELECT ON TABLE \"SET SESSION AUTHORIZATION x; \"\"\" TO a;\nSET SESSION AUTHORIZATION \"o\"\"dd\";\n\
                    GRANT SELECT ON TABLE t TO b;\nRESET SESSION AUTHORIZATION;\n";
        let expected = "GRANT SELECT ON TABLE \"SET SESSION AUTHORIZATION x; \"\"\" TO a;\nSET ROLE \"o\"\"dd\";\n\
                        GRANT SELECT ON TABLE t TO b;\nRESET ROLE;\n";
        let rewritten = by_role(text);
        assert_eq!(rewritten.as_ref().map(|by_role| by_role.sql.as_str()), Some(expected));
        assert_eq!(rewritten.map(|by_role| by_role.grantors), Some(BTreeSet::from(["o\"dd".to_owned()])));
    }

    #[test]
    fn other_statements_are_left_alone() {
        assert_eq!(by_role("GRANT SELECT ON TABLE \"RESET SESSION AUTHORIZATION\" TO a;"), None);
    }
}
