//! Memberships that the restoring login needs for a while: an object can be given only to a role one is a member of.
//! They are given back at the end, whatever the end is.
//!
//! A worker that is killed gives nothing back. So what is about to be taken is written down on the target first: in the
//! comment of a role without rights, named after the restore's key. The next attempt under that key reads it there, and
//! tells by it what was taken for the restore from what the login was a member of before.

use std::collections::BTreeSet;

use haulier_domain::postgres::{clash, quote};

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;
use super::target::{self, Target};

/// Memberships taken for a while.
pub(super) struct Memberships {
    login: String,
    superuser: bool,
    options: bool,
    marker: String,
    marked: Marked,
    taken: BTreeSet<String>,
    refused: BTreeSet<String>,
}

/// What is known of the role whose comment names what was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    /// Nobody has looked.
    Unknown,
    /// There is none.
    No,
    /// It is there.
    Yes,
    /// The login may not make one: an attempt that is killed leaves what it took.
    Refused,
}

impl Memberships {
    pub(super) fn new(target: &Target, key: &str) -> Self {
        Self {
            login: target.login.clone(),
            superuser: target.superuser,
            options: target.server_version_num >= 160_000,
            marker: clash::lent_name(key),
            marked: Marked::Unknown,
            taken: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Takes up what an attempt that was killed has written down and not given back.
    async fn resume(&mut self, front: &Session) -> Result<(), Stopped> {
        let doing = "looking for what an interrupted restore has taken";
        let sql = "SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = $1";
        let found = front.query(doing, sql, &[&self.marker]).await?;
        self.marked = if found.is_empty() { Marked::No } else { Marked::Yes };
        let comment: Option<String> = found.first().and_then(|row| row.get(0));
        let written: Vec<String> = comment.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        for role in written {
            let sql = "SELECT 1 FROM pg_catalog.pg_auth_members m
                JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles l ON l.oid = m.member
                WHERE r.rolname = $1 AND l.rolname = $2";
            if !front.query(doing, sql, &[&role, &self.login]).await?.is_empty() {
                self.taken.insert(role);
            }
        }
        Ok(())
    }

    /// Writes down that one more role is about to be taken.
    async fn mark(&mut self, front: &Session, next: &str) -> Result<(), Stopped> {
        let doing = "writing down what is taken for the restore";
        let marker = quote::identifier(&self.marker);
        if self.marked == Marked::No {
            let made = front.attempt(doing, &format!("CREATE ROLE {marker} NOLOGIN")).await?;
            self.marked = if made.is_ok() { Marked::Yes } else { Marked::Refused };
        }
        if self.marked == Marked::Yes {
            let roles: Vec<&str> = self.taken.iter().map(String::as_str).chain([next]).collect();
            let text = serde_json::to_string(&roles).unwrap_or_default();
            let sql = format!("COMMENT ON ROLE {marker} IS {}", quote::literal(&text));
            if front.attempt(doing, &sql).await?.is_err() {
                self.marked = Marked::Refused;
            }
        }
        Ok(())
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
        if self.marked == Marked::Unknown {
            self.resume(front).await?;
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
            self.mark(front, role).await?;
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
        if self.taken.is_empty() && self.marked != Marked::Yes {
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
        if stay.is_empty() && self.marked == Marked::Yes {
            let sql = format!("DROP ROLE IF EXISTS {}", quote::identifier(&self.marker));
            if let Ok(Err(refusal)) = front.attempt("removing the note of what was taken", &sql).await {
                stay.push(format!("role {:?}, which has no rights, could not be dropped: {refusal}", self.marker));
            }
        }
        stay
    }

    fn stays(&self, role: &str, cause: &str) -> String {
        format!("{:?} is still a member of {role:?}, which it became for the restore: {cause}", self.login)
    }
}
