//! The entry of a table's rows, made from that of the table itself.

use super::Layout;
use super::primitive::{self, Cursor};

/// What stands in an entry of the archive and is taken over, in the archive's own encoding.
pub(super) struct Original<'a> {
    /// Its oid in the catalogue.
    pub(super) oid: &'a [u8],
    /// Its name.
    pub(super) tag: &'a [u8],
    drop: Option<&'a [u8]>,
    schema: Option<&'a [u8]>,
    owner: Option<&'a [u8]>,
}

impl<'a> Original<'a> {
    /// Reads an entry.
    pub(super) fn read(bytes: &'a [u8], layout: Layout) -> Option<Self> {
        let mut cursor = Cursor::new(bytes, Some(layout));
        let (_id, _has_data) = (cursor.integer()?, cursor.integer()?);
        let text = |cursor: &mut Cursor<'a>| cursor.text().ok().flatten();
        let _catalogue = text(&mut cursor)?;
        let oid = text(&mut cursor)??;
        let tag = text(&mut cursor)??;
        let _kind = text(&mut cursor)?;
        let _section = cursor.integer()?;
        let (_statements, drop) = (text(&mut cursor)?, text(&mut cursor)?);
        let _copy = text(&mut cursor)?;
        let schema = text(&mut cursor)?;
        let _tablespace = text(&mut cursor)?;
        if layout.version >= (1, 14) {
            let _access_method = text(&mut cursor)?;
        }
        if layout.version >= (1, 16) {
            let _relation_kind = cursor.integer()?;
        }
        let owner = text(&mut cursor)?;
        Some(Self { oid, tag, drop, schema, owner })
    }

    /// The table's name with its schema, quoted as `pg_dump` has found it necessary. `pg_restore` compares it with how it
    /// would write the name itself.
    pub(super) fn qualified(&self) -> Option<&'a [u8]> {
        self.drop?.strip_prefix(b"DROP TABLE ")?.strip_suffix(b";\n")
    }
}

/// Where the rows of an entry go, in the archive's own encoding.
pub(super) struct Target<'a> {
    /// The table's name with its schema, quoted.
    pub(super) name: &'a [u8],
    /// The same of the root, where they find their partition from there.
    pub(super) root: Option<&'a [u8]>,
    /// The columns, quoted.
    pub(super) columns: &'a str,
}

/// Writes the entry of that number for the rows of a table whose own entry is the number `of`.
pub(super) fn write(id: i64, of: i64, table: &Original<'_>, target: &Target<'_>, layout: Layout) -> Vec<u8> {
    let Layout { version, integer, offset } = layout;
    let remark = target.root.map(|root| [b"-- load via partition root ".as_slice(), root].concat());
    let goes_to = target.root.unwrap_or(target.name);
    let copy = [b"COPY ".as_slice(), goes_to, b" (", target.columns.as_bytes(), b") FROM stdin;\n"].concat();
    let mut bytes = Vec::new();
    let text = |bytes: &mut Vec<u8>, text: Option<&[u8]>| match text {
        Some(text) => primitive::write_text(bytes, text, integer),
        // Readers of those versions want a text here, be it empty.
        None if version < (1, 14) => primitive::write_text(bytes, b"", integer),
        None => primitive::write_no_text(bytes, integer),
    };
    primitive::write_integer(&mut bytes, id, integer);
    // It has data.
    primitive::write_integer(&mut bytes, 1, integer);
    for value in [b"0".as_slice(), table.oid, table.tag, b"TABLE DATA"] {
        text(&mut bytes, Some(value));
    }
    // Section: data.
    primitive::write_integer(&mut bytes, 3, integer);
    let (no_drop, no_tablespace, no_access_method) = (None, None, None);
    for value in [remark.as_deref(), no_drop, Some(copy.as_slice()), table.schema, no_tablespace] {
        text(&mut bytes, value);
    }
    if version >= (1, 14) {
        text(&mut bytes, no_access_method);
    }
    if version >= (1, 16) {
        // Relation kind: none.
        primitive::write_integer(&mut bytes, 0, integer);
    }
    text(&mut bytes, table.owner);
    // It has no oids.
    text(&mut bytes, Some(b"false"));
    text(&mut bytes, Some(of.to_string().as_bytes()));
    primitive::write_no_text(&mut bytes, integer);
    primitive::write_offset(&mut bytes, None, offset);
    bytes
}
