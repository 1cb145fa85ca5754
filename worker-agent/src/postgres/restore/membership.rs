//! Memberships that the restoring login needs for a while: an object can be given only to a role one is a member of.
//! They are given back at the end, whatever the end is.

use std::collections::BTreeSet;

use haulier_domain::postgres::quote;

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;
use super::target::{self, Target};

/// Memberships taken for a while.
pub(super) struct Memberships {
    login: String,
    superuser: bool,
    options: bool,
    taken: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Memberships {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            login: target.login.clone(),
            superuser: target.superuser,
            options: target.server_version_num >= 160_000,
            taken: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Makes the login a member of these roles where it is not. Answers those of which it cannot be.
    pub(super) async fn take(
        &mut self,
        front: &Session,
        roles: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Stopped> {
        if self.superuser {
            return Ok(BTreeSet::new());
        }
        let doing = "taking the place of the objects' owners";
        for role in roles {
            if *role == self.login || self.taken.contains(role) || self.refused.contains(role) {
                continue;
            }
            let privilege = if self.options { "SET" } else { "USAGE" };
            let sql = "SELECT pg_catalog.pg_has_role(oid, 'USAGE') AND pg_catalog.pg_has_role(oid, $2)
                FROM pg_catalog.pg_roles WHERE rolname = $1";
            let found = front.query(doing, sql, &[role, &privilege]).await?;
            let Some(is_member) = found.first().map(|row| row.get::<_, bool>(0)) else {
                self.refused.insert(role.clone());
                continue;
            };
            if is_member {
                continue;
            }
            let with = if self.options { " WITH INHERIT TRUE, SET TRUE" } else { "" };
            let sql = format!("GRANT {} TO {}{with}", quote::identifier(role), quote::identifier(&self.login));
            match front.attempt(doing, &sql).await? {
                Ok(()) => self.taken.insert(role.clone()),
                Err(_) => self.refused.insert(role.clone()),
            };
        }
        Ok(roles.intersection(&self.refused).cloned().collect())
    }

    /// Gives them back, even after a cancellation. Answers what could not be given back.
    pub(super) async fn give_back(self, connector: &Connector) -> Vec<String> {
        if self.taken.is_empty() {
            return Vec::new();
        }
        // The work may have been cancelled; this is not.
        let connector = connector.obeying(tokio_util::sync::CancellationToken::new());
        let front = match target::open_front(&connector).await {
            Ok(front) => front,
            Err(stopped) => {
                return self.taken.iter().map(|role| self.stays(role, &stopped.to_string())).collect();
            }
        };
        let mut stay = Vec::new();
        for role in &self.taken {
            let by = if self.options { " GRANTED BY CURRENT_USER" } else { "" };
            let sql = format!("REVOKE {} FROM {}{by}", quote::identifier(role), quote::identifier(&self.login));
            match front.attempt("giving a membership back", &sql).await {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => stay.push(self.stays(role, &refusal)),
                Err(stopped) => stay.push(self.stays(role, &stopped.to_string())),
            }
        }
        stay
    }

    fn stays(&self, role: &str, cause: &str) -> String {
        format!("{:?} is still a member of {role:?}, which it became for the restore: {cause}", self.login)
    }
}
