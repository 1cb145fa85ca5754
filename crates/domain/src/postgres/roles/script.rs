//! Roles as a script for `psql`, for whoever restores without a coordinator.

use std::collections::BTreeSet;

use super::super::quote::literal;
use super::{Membership, Plan, Role, Step, Target, is_reserved, plan};

const HEAD: &str = "\
-- Roles of the instance, for psql:
--
--     psql --dbname postgres --file roles.sql
--
-- A role that exists already stays as it is; memberships that it lacks are added to it. Roles that log in have no password
-- here, since RDS shows none: give each its own with \\password. SUPERUSER, REPLICATION and BYPASSRLS are a superuser's to
-- give, and RDS has none to log in as: there, psql tells that these statements fail, and goes on.

\\encoding UTF8
";

/// Writes the script that makes these roles on a server of that version or a later one.
pub fn script(roles: &[Role], server_version_num: u32) -> String {
    // Those of PostgreSQL itself are everywhere.
    let predefined = roles.iter().flat_map(|role| &role.member_of).map(|membership| &membership.role);
    let existing: BTreeSet<_> = predefined.filter(|role| role.starts_with("pg_")).cloned().collect();
    let target = |existing| Target { existing, login: String::new(), superuser: true, server_version_num };
    let mut text = HEAD.to_owned();
    for role in roles.iter().filter(|role| !is_reserved(&role.name)) {
        let alone = Role { member_of: Vec::new(), ..role.clone() };
        let made = plan(std::slice::from_ref(&alone), &target(BTreeSet::new()));
        let name = literal(&role.name);
        let missing = format!("SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name}) AS missing");
        text.push('\n');
        append(&mut text, &missing, &made.steps);
    }
    let names = roles.iter().map(|role| role.name.clone());
    let everywhere = target(existing.into_iter().chain(names).collect());
    let (mut grants, mut remarks) = (String::new(), String::new());
    for (role, membership) in roles.iter().flat_map(|role| role.member_of.iter().map(move |one| (role, one))) {
        let alone = Role { member_of: vec![membership.clone()], ..role.clone() };
        let Plan { steps, left_out, .. } = plan(&[alone], &everywhere);
        if !steps.is_empty() {
            append(&mut grants, &is_lacking(&role.name, membership, server_version_num), &steps);
        }
        for left in left_out {
            // Names stand in it with their line breaks escaped.
            remarks.push_str(&format!("-- left out: {}: this script does not make that role\n", left.what));
        }
    }
    if !grants.is_empty() || !remarks.is_empty() {
        text.push_str("\n-- Memberships\n");
    }
    text + &grants + &remarks
}

/// A query for whether the role lacks the membership, or an option of it. Since PostgreSQL 16 a grant of what somebody else
/// has granted already is a second one beside it.
fn is_lacking(role: &str, membership: &Membership, server_version_num: u32) -> String {
    let knows_all = server_version_num >= 160_000;
    let wanted = [
        (membership.admin, "admin_option"),
        (knows_all && membership.inherit == Some(true), "inherit_option"),
        (knows_all && membership.set == Some(true), "set_option"),
    ];
    let lacks: String =
        wanted.iter().filter(|(is, _)| *is).map(|(_, option)| format!(" OR NOT bool_or({option})")).collect();
    format!(
        "SELECT count(*) = 0{lacks} AS missing FROM pg_catalog.pg_auth_members
    WHERE pg_catalog.pg_get_userbyid(roleid) = {} AND pg_catalog.pg_get_userbyid(member) = {}",
        literal(&membership.role),
        literal(role)
    )
}

/// Adds steps that are taken where a query's column `missing` is true.
fn append(text: &mut String, missing: &str, steps: &[Step]) {
    text.push_str(&format!("{missing} \\gset\n\\if :missing\n"));
    for step in steps {
        text.push_str(&step.sql);
        text.push_str(";\n");
    }
    text.push_str("\\endif\n");
}

#[cfg(test)]
mod tests {
    use super::super::tests::role as bare;
    use super::*;

    fn role(name: &str) -> Role {
        Role { create_database: true, login: true, ..bare(name) }
    }

    fn member_of(role: &str) -> Membership {
        Membership { role: role.into(), admin: false, inherit: None, set: None }
    }

    #[test]
    fn a_role_is_made_where_it_is_missing_and_memberships_come_last() {
        let app = Role { member_of: ["readers", "pg_monitor", "rds_superuser"].map(member_of).into(), ..role("app") };
        let readers = Role { create_database: false, login: false, ..role("readers") };
        let text = script(&[app, readers, role("rdsadmin")], 150_000);
        let body = text.strip_prefix(HEAD).unwrap();
        assert_eq!(
            body,
            "
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app') AS missing \\gset
\\if :missing
CREATE ROLE \"app\" WITH LOGIN INHERIT;
ALTER ROLE \"app\" WITH CREATEDB;
\\endif

SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'readers') AS missing \\gset
\\if :missing
CREATE ROLE \"readers\" WITH NOLOGIN INHERIT;
\\endif

-- Memberships
SELECT count(*) = 0 AS missing FROM pg_catalog.pg_auth_members
    WHERE pg_catalog.pg_get_userbyid(roleid) = 'readers' AND pg_catalog.pg_get_userbyid(member) = 'app' \\gset
\\if :missing
GRANT \"readers\" TO \"app\";
\\endif
SELECT count(*) = 0 AS missing FROM pg_catalog.pg_auth_members
    WHERE pg_catalog.pg_get_userbyid(roleid) = 'pg_monitor' AND pg_catalog.pg_get_userbyid(member) = 'app' \\gset
\\if :missing
GRANT \"pg_monitor\" TO \"app\";
\\endif
-- left out: membership of \"app\" in \"rds_superuser\": this script does not make that role
"
        );
    }

    #[test]
    fn a_membership_is_granted_where_it_or_an_option_that_it_gives_is_lacking() {
        let given = |inherit, set| Membership { admin: true, inherit: Some(inherit), set: Some(set), ..member_of("b") };
        for (membership, version, condition) in [
            (given(true, true), 150_000, "count(*) = 0 OR NOT bool_or(admin_option) AS"),
            (given(false, true), 160_000, "count(*) = 0 OR NOT bool_or(admin_option) OR NOT bool_or(set_option) AS"),
            (
                given(true, false),
                160_000,
                "count(*) = 0 OR NOT bool_or(admin_option) OR NOT bool_or(inherit_option) AS",
            ),
        ] {
            let sql = is_lacking("a", &membership, version);
            assert!(sql.starts_with(&format!("SELECT {condition} missing FROM")), "{sql}");
        }
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let odd = Role { member_of: vec![member_of("rds_\n\\! rm")], ..role("x\"; \\! rm\n:missing '") };
        let text = script(&[odd], 160_000);
        let body = text.strip_prefix(HEAD).unwrap();
        assert!(body.contains("rolname = E'x\"; \\\\! rm\n:missing ''')"), "{body}");
        assert!(body.contains("CREATE ROLE \"x\"\"; \\! rm\n:missing '\" WITH"), "{body}");
        assert!(body.lines().filter(|line| line.contains("left out")).all(|line| line.starts_with("-- ")), "{body}");
        assert!(!body.lines().any(|line| line.starts_with("\\!")), "{body}");
    }
}
