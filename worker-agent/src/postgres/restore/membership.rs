//! Memberships that the restoring login needs for a while: an object can be given only to a role one is a member of.
//! They are given back at the end, whatever the end is.
//!
//! A worker that is killed gives nothing back. So what is about to be taken is written into the restore's note on the
//! target first. The next attempt under the same key reads it there, and tells by it what was taken for the restore from what
//! the login was a member of before.

use std::collections::BTreeSet;

use haulier_domain::postgres::quote;

use super::super::connect::{Connector, Session};
use super::super::context::Stopped;
use super::note::Note;
use super::target::{self, Target};

/// Memberships taken for a while.
pub(super) struct Memberships {
    login: String,
    superuser: bool,
    options: bool,
    note: Note,
    taken: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Memberships {
    /// Takes up what an attempt that was killed has written down and not given back.
    pub(super) async fn resume(front: &Session, target: &Target, note: Note) -> Result<Self, Stopped> {
        let mut taken = BTreeSet::new();
        for role in &note.written.lent {
            let doing = "looking for what an interrupted restore has taken";
            let sql = "SELECT 1 FROM pg_catalog.pg_auth_members m
                JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles l ON l.oid = m.member
                WHERE r.rolname = $1 AND l.rolname = $2";
            if !front.query(doing, sql, &[role, &target.login]).await?.is_empty() {
                taken.insert(role.clone());
            }
        }
        Ok(Self {
            login: target.login.clone(),
            superuser: target.superuser,
            options: target.server_version_num >= 160_000,
            note,
            taken,
            refused: BTreeSet::new(),
        })
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
            self.note.written.lent = self.taken.iter().chain([role]).cloned().collect();
            self.note.write(front).await?;
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
        if self.taken.is_empty() && !self.note.is_there() {
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
        if stay.is_empty() && self.note.is_there() {
            match self.note.remove(&front).await {
                Ok(kept) => stay.extend(kept),
                Err(stopped) => stay.push(format!("the restore's note on the target could not be removed: {stopped}")),
            }
        }
        stay
    }

    fn stays(&self, role: &str, cause: &str) -> String {
        format!("{:?} is still a member of {role:?}, which it became for the restore: {cause}", self.login)
    }
}
