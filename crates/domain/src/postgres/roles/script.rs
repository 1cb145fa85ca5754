//! Roles as a script for `psql`, for whoever restores without a coordinator.

use std::collections::BTreeSet;

use super::super::quote::literal;
use super::{Plan, Role, Step, Target, is_reserved, plan};

const HEAD: &str = "\
-- Roles of the instance, for psql:
--
--     psql --dbname postgres --file roles.sql
--
-- A role that exists already stays as it is; memberships are added to it. Roles that log in have no password here, since
-- RDS shows none: give each its own with \\password. SUPERUSER, REPLICATION and BYPASSRLS are a superuser's to give, and
-- RDS has none to log in as: there, psql tells that these statements fail, and goes on.

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
        text.push_str(&format!(
            "\nSELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name}) AS missing \\gset\n\\if :missing\n"
        ));
        append(&mut text, &made.steps);
        text.push_str("\\endif\n");
    }
    let names = roles.iter().map(|role| role.name.clone());
    let Plan { steps, left_out, .. } = plan(roles, &target(existing.into_iter().chain(names).collect()));
    if !steps.is_empty() || !left_out.is_empty() {
        text.push_str("\n-- Memberships\n");
    }
    append(&mut text, &steps);
    for left in left_out {
        // Names stand in it with their line breaks escaped.
        text.push_str(&format!("-- left out: {}: this script does not make that role\n", left.what));
    }
    text
}

fn append(text: &mut String, steps: &[Step]) {
    for step in steps {
        text.push_str(&step.sql);
        text.push_str(";\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Membership;
    use super::*;

    fn role(name: &str) -> Role {
        Role {
            name: name.into(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: true,
            login: true,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            valid_until: None,
            comment: None,
            settings: Vec::new(),
            member_of: Vec::new(),
        }
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
GRANT \"readers\" TO \"app\";
GRANT \"pg_monitor\" TO \"app\";
-- left out: membership of \"app\" in \"rds_superuser\": this script does not make that role
"
        );
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
