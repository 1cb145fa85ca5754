//! The restore's note on the target: the comment of a role without rights, named after the restore's key. It says what
//! outlives a worker that is killed and cannot be seen otherwise: memberships that were taken for a while, and which roles
//! the restore created. It is there for as long as the restore takes.

use std::collections::BTreeSet;

use haulier_domain::postgres::{clash, quote};
use serde::{Deserialize, Serialize};

use super::super::connect::Session;
use super::super::context::Stopped;
use super::super::job::RolesShare;

/// What it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Written {
    /// Roles that the login became a member of, or was about to.
    pub(super) lent: BTreeSet<String>,
    /// The roles, once they are there.
    pub(super) roles: Option<RolesShare>,
}

impl Written {
    fn parse(comment: &str) -> Self {
        // Workers of an earlier version wrote the memberships alone.
        let earlier = || serde_json::from_str(comment).map(|lent| Self { lent, roles: None });
        serde_json::from_str(comment).or_else(|_| earlier()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Present,
    /// The login may not make one: an attempt that is killed leaves what it took.
    Refused,
}

/// The note.
#[derive(Debug, Clone)]
pub(super) struct Note {
    name: String,
    standing: Standing,
    pub(super) written: Written,
}

impl Note {
    /// What an attempt that was killed has left of it.
    pub(super) async fn read(front: &Session, key: &str) -> Result<Self, Stopped> {
        let name = clash::lent_name(key);
        let doing = "looking for the note of an interrupted restore";
        let sql = "SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = $1";
        let found = front.query(doing, sql, &[&name]).await?;
        let standing = if found.is_empty() { Standing::Absent } else { Standing::Present };
        let comment: Option<String> = found.first().and_then(|row| row.get(0));
        Ok(Self { name, standing, written: comment.as_deref().map(Written::parse).unwrap_or_default() })
    }

    /// Statements that write it as it is now.
    pub(super) fn statements(&self) -> String {
        let name = quote::identifier(&self.name);
        let create =
            if self.standing == Standing::Absent { format!("CREATE ROLE {name} NOLOGIN; ") } else { String::new() };
        let text = serde_json::to_string(&self.written).unwrap_or_default();
        format!("{create}COMMENT ON ROLE {name} IS {}", quote::literal(&text))
    }

    /// Those statements have come to this.
    pub(super) fn stands(&mut self, written: bool) {
        self.standing = if written { Standing::Present } else { Standing::Refused };
    }

    /// Writes it.
    pub(super) async fn write(&mut self, front: &Session) -> Result<(), Stopped> {
        if self.standing == Standing::Refused {
            return Ok(());
        }
        let written = front.attempt("writing down what is done for the restore", &self.statements()).await?;
        self.stands(written.is_ok());
        Ok(())
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.standing == Standing::Present
    }

    /// Removes it. Answers what keeps it.
    pub(super) async fn remove(&self, front: &Session) -> Result<Option<String>, Stopped> {
        let sql = format!("DROP ROLE IF EXISTS {}", quote::identifier(&self.name));
        let removed = front.attempt("removing the note of the restore", &sql).await?;
        Ok(removed
            .err()
            .map(|refusal| format!("role {:?}, which has no rights, could not be dropped: {refusal}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_this_and_of_the_earlier_version_are_read() {
        let lent = BTreeSet::from(["app".to_owned()]);
        let roles = Some(RolesShare { created: vec!["new".into()], ..RolesShare::default() });
        let written = Written { lent: lent.clone(), roles };
        assert_eq!(Written::parse(&serde_json::to_string(&written).unwrap_or_default()), written);
        assert_eq!(Written::parse("[\"app\"]"), Written { lent, roles: None });
        assert_eq!(Written::parse("somebody's comment"), Written::default());
    }
}
