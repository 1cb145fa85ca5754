//! One entry of an archive's table of contents.

use std::fmt;

use super::primitive::Cursor;
use super::texts::Decode;

/// When an entry is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// With the entry it belongs to: comments, privileges.
    None,
    /// Before data.
    PreData,
    /// Data.
    Data,
    /// After data: indexes, constraints, triggers.
    PostData,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in this archive.
    pub id: i64,
    /// Whether the archive has data for it.
    pub has_data: bool,
    /// What kind of thing it is, as `pg_dump` calls it: `TABLE`, `TABLE DATA`, `FK CONSTRAINT`.
    pub kind: String,
    /// Its name, and for what belongs to a table the table's name before it.
    pub tag: String,
    /// Its schema, where it has one.
    pub schema: Option<String>,
    /// Its owner, where it has one.
    pub owner: Option<String>,
    /// When it is restored.
    pub section: Section,
    /// Numbers of the entries it needs.
    pub needs: Vec<i64>,
    /// Whether its data are rows in `COPY`'s format.
    copies: bool,
    /// Its statements, kept for privileges and for the archive's encoding alone.
    pub statements: Option<String>,
    /// Whether an index brings a change of its table along: what it is clustered on, what replicas know rows by.
    pub alters: bool,
    /// Where in the archive's head its statements stand, length included.
    pub(super) statements_at: std::ops::Range<usize>,
    /// Where in the archive's head its owner stands, length included.
    pub(super) owner_at: std::ops::Range<usize>,
    /// Where in the archive's head all of it stands.
    pub(super) at: std::ops::Range<usize>,
}

impl Entry {
    /// Reads one; `None` where more bytes are needed. `decode` is asked for the texts that are kept.
    pub(super) fn read(
        cursor: &mut Cursor<'_>,
        version: (u8, u8),
        start: usize,
        decode: Decode<'_>,
    ) -> Result<Option<Self>, ()> {
        macro_rules! more {
            ($value:expr) => {
                match $value {
                    Some(value) => value,
                    None => return Ok(None),
                }
            };
        }
        let id = more!(cursor.integer());
        let has_data = more!(cursor.integer()) != 0;
        let _table_oid = more!(cursor.text()?);
        let _oid = more!(cursor.text()?);
        let tag = more!(cursor.text()?).ok_or(())?;
        let kind = decode(more!(cursor.text()?).ok_or(())?);
        let section = match more!(cursor.integer()) {
            1 => Section::None,
            2 => Section::PreData,
            3 => Section::Data,
            4 => Section::PostData,
            _ => return Err(()),
        };
        let statements_from = start + cursor.taken();
        let statements = more!(cursor.text()?);
        let alters =
            kind == "INDEX" && statements.is_some_and(|text| memchr::memmem::find(text, b"ALTER TABLE").is_some());
        let statements = statements.filter(|_| matches!(kind.as_str(), "ACL" | "DEFAULT ACL" | "ENCODING"));
        let statements_at = statements_from..start + cursor.taken();
        let _drop = more!(cursor.text()?);
        let copy = more!(cursor.text()?);
        let schema = more!(cursor.text()?).filter(|schema| !schema.is_empty());
        let _tablespace = more!(cursor.text()?);
        if version >= (1, 14) {
            more!(cursor.text()?);
        }
        if version >= (1, 16) {
            more!(cursor.integer());
        }
        let owner_from = start + cursor.taken();
        let owner = more!(cursor.text()?).filter(|owner| !owner.is_empty());
        let owner_at = owner_from..start + cursor.taken();
        let _with_oids = more!(cursor.text()?);
        let mut needs = Vec::new();
        while let Some(number) = more!(cursor.text()?) {
            needs.push(std::str::from_utf8(number).map_err(|_| ())?.parse().map_err(|_| ())?);
        }
        more!(cursor.offset());
        let copies = copy.is_some_and(|copy| !copy.is_empty());
        Ok(Some(Self {
            id,
            has_data,
            kind,
            tag: decode(tag),
            schema: schema.map(decode),
            owner: owner.map(decode),
            section,
            needs,
            copies,
            statements: statements.map(decode),
            alters,
            statements_at,
            owner_at,
            at: start..start + cursor.taken(),
        }))
    }

    /// Whether its data are rows in `COPY`'s format, which have an end mark.
    pub(super) fn is_rows(&self) -> bool {
        self.has_data && self.copies && self.kind == "TABLE DATA"
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{} {}.{}", self.kind, schema, self.tag),
            None => write!(f, "{} {}", self.kind, self.tag),
        }
    }
}

#[cfg(test)]
impl Entry {
    /// An entry for tests.
    pub(crate) fn sample(id: i64, kind: &str, schema: Option<&str>, tag: &str, needs: &[i64]) -> Self {
        let section = match kind {
            "TABLE DATA" | "SEQUENCE SET" | "BLOBS" => Section::Data,
            "INDEX" | "CONSTRAINT" | "FK CONSTRAINT" | "TRIGGER" | "EVENT TRIGGER" => Section::PostData,
            "COMMENT" | "ACL" => Section::None,
            _ => Section::PreData,
        };
        Self {
            id,
            has_data: section == Section::Data,
            kind: kind.into(),
            tag: tag.into(),
            schema: schema.map(str::to_owned),
            owner: Some("app".into()),
            section,
            needs: needs.to_vec(),
            copies: kind == "TABLE DATA",
            statements: None,
            alters: false,
            statements_at: 0..0,
            owner_at: 0..0,
            at: 0..0,
        }
    }
}
