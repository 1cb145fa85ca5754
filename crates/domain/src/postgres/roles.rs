//! Roles: what is kept of them, and which statements bring them to a target that is not ours. RDS forbids a good deal
//! of what a role may have been given elsewhere; what is forbidden is left out and said. A role that exists already
//! keeps what it is; only memberships are added to it. Passwords cannot be read on RDS, so a created role has none.

mod script;

use std::collections::BTreeSet;

pub use script::script;
use serde::{Deserialize, Serialize};

use super::quote::{identifier, literal, split_list};

/// A role as the catalogue shows it to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Role {
    /// Name.
    pub name: String,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `INHERIT`.
    pub inherit: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// `CREATEDB`.
    pub create_database: bool,
    /// `LOGIN`: it needs a password, unless it logs in by IAM.
    pub login: bool,
    /// `REPLICATION`.
    pub replication: bool,
    /// `BYPASSRLS`.
    pub bypass_row_security: bool,
    /// Connection limit; -1 means none.
    pub connection_limit: i32,
    /// `VALID UNTIL`.
    pub valid_until: Option<String>,
    /// Comment on it.
    pub comment: Option<String>,
    /// `ALTER ROLE … SET`: name and stored value.
    pub settings: Vec<(String, String)>,
    /// Roles it is a member of.
    pub member_of: Vec<Membership>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Membership {
    /// The role it is a member of.
    pub role: String,
    /// `WITH ADMIN OPTION`.
    pub admin: bool,
    /// `WITH INHERIT`, from PostgreSQL 16 on.
    pub inherit: Option<bool>,
    /// `WITH SET`, from PostgreSQL 16 on.
    pub set: Option<bool>,
}

/// What matters of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Roles that exist there.
    pub existing: BTreeSet<String>,
    /// The role that restores.
    pub login: String,
    /// Whether that one is a superuser.
    pub superuser: bool,
    /// `server_version_num`.
    pub server_version_num: u32,
}

/// A statement and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// One SQL statement.
    pub sql: String,
    /// What it does, for the report.
    pub what: String,
    /// Whether the restore cannot go on without it.
    pub essential: bool,
}

/// Something left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// How roles come to a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to run, in order. One that is not essential may fail and is then reported.
    pub steps: Vec<Step>,
    /// Roles the steps create.
    pub created: Vec<String>,
    /// Those of them that may log in.
    pub without_password: Vec<String>,
    /// What is left out.
    pub left_out: Vec<LeftOut>,
}

/// Whether a role belongs to the server or to RDS and is never described or created.
pub fn is_reserved(name: &str) -> bool {
    // An interrupted restore may have left a note of its own.
    ["pg_", "rds_", "haulier_lent_"].iter().any(|prefix| name.starts_with(prefix))
        || matches!(name, "rdsadmin" | "rdstopmgr" | "rdsrepladmin")
}

/// Plans the restore of roles.
pub fn plan(roles: &[Role], target: &Target) -> Plan {
    let mut plan = Plan::default();
    let missing: Vec<_> =
        roles.iter().filter(|role| !is_reserved(&role.name) && !target.existing.contains(&role.name)).collect();
    for role in &missing {
        create(role, &mut plan);
    }
    for role in &missing {
        attributes(role, target, &mut plan);
    }
    let known: BTreeSet<_> =
        target.existing.iter().map(String::as_str).chain(missing.iter().map(|role| role.name.as_str())).collect();
    for role in roles.iter().filter(|role| known.contains(role.name.as_str())) {
        memberships(role, target, &known, &mut plan);
    }
    plan
}

fn create(role: &Role, plan: &mut Plan) {
    let flag = |on, word: &str| if on { word.to_owned() } else { format!("NO{word}") };
    let mut sql = format!(
        "CREATE ROLE {} WITH {} {}",
        identifier(&role.name),
        flag(role.login, "LOGIN"),
        flag(role.inherit, "INHERIT")
    );
    if role.connection_limit >= 0 {
        sql.push_str(&format!(" CONNECTION LIMIT {}", role.connection_limit));
    }
    if let Some(until) = &role.valid_until {
        sql.push_str(&format!(" VALID UNTIL {}", literal(until)));
    }
    plan.steps.push(Step { sql, what: format!("create role {:?}", role.name), essential: true });
    plan.created.push(role.name.clone());
    if role.login {
        plan.without_password.push(role.name.clone());
    }
}

fn attributes(role: &Role, target: &Target, plan: &mut Plan) {
    let name = identifier(&role.name);
    let alter = |what: &str| Step {
        sql: format!("ALTER ROLE {name} WITH {what}"),
        what: format!("give role {:?} {what}", role.name),
        essential: false,
    };
    for (has, word) in [(role.create_role, "CREATEROLE"), (role.create_database, "CREATEDB")] {
        if has {
            plan.steps.push(alter(word));
        }
    }
    let superuser_only =
        [(role.superuser, "SUPERUSER"), (role.replication, "REPLICATION"), (role.bypass_row_security, "BYPASSRLS")];
    for (_, word) in superuser_only.iter().filter(|(has, _)| *has) {
        if target.superuser {
            plan.steps.push(alter(word));
        } else {
            plan.left_out.push(LeftOut {
                what: format!("{word} of role {:?}", role.name),
                reason: "only a superuser may give it, and there is none to log in as on RDS".into(),
            });
        }
    }
    if let Some(comment) = &role.comment {
        plan.steps.push(Step {
            sql: format!("COMMENT ON ROLE {name} IS {}", literal(comment)),
            what: format!("comment on role {:?}", role.name),
            essential: false,
        });
    }
    for (setting, value) in &role.settings {
        plan.steps.push(Step {
            sql: format!("ALTER ROLE {name} SET {}", assignment(setting, value)),
            what: format!("set {setting} of role {:?}", role.name),
            essential: false,
        });
    }
}

fn memberships(role: &Role, target: &Target, known: &BTreeSet<&str>, plan: &mut Plan) {
    for membership in &role.member_of {
        let what = format!("membership of {:?} in {:?}", role.name, membership.role);
        if role.name == target.login && is_reserved(&membership.role) {
            // What the restoring login is on this server is this server's business.
            continue;
        }
        if !known.contains(membership.role.as_str()) {
            let reason = format!("the target has no role {:?}", membership.role);
            plan.left_out.push(LeftOut { what, reason });
            continue;
        }
        // From 16 on a role that is created makes its creator a member that may administer it and no more, and nobody can
        // give himself that: who may grant has it.
        let is_own = role.name == target.login && !target.superuser && target.server_version_num >= 160_000;
        if is_own && membership.inherit == Some(false) && membership.set == Some(false) {
            continue;
        }
        let mut options = Vec::new();
        if membership.admin && !is_own {
            options.push("ADMIN OPTION".to_owned());
        }
        if target.server_version_num >= 160_000 {
            let named = [("INHERIT", membership.inherit), ("SET", membership.set)];
            options.extend(named.iter().filter_map(|(word, value)| {
                value.map(|value| format!("{word} {}", if value { "TRUE" } else { "FALSE" }))
            }));
        }
        let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(", ")) };
        plan.steps.push(Step {
            sql: format!("GRANT {} TO {}{with}", identifier(&membership.role), identifier(&role.name)),
            what,
            essential: false,
        });
    }
}

/// Parameters whose stored value is a list of quoted names rather than one text.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `name TO value`, from a parameter's stored value.
pub fn assignment(name: &str, value: &str) -> String {
    let quoted_name: Vec<_> = name.split('.').map(identifier).collect();
    let list = if LISTS.contains(&name.to_ascii_lowercase().as_str()) { split_list(value) } else { None };
    let value = match list {
        Some(elements) if !elements.is_empty() => {
            elements.iter().map(|element| literal(element)).collect::<Vec<_>>().join(", ")
        }
        _ => literal(value),
    };
    format!("{} TO {value}", quoted_name.join("."))
}

#[cfg(test)]
mod tests;
