//! What a restored database must hold, and whether it does.
//!
//! Tables are compared one by one, but for the partitions whose rows go in by their root: a row may lie in another
//! partition afterwards, so those of one root are compared together.

use std::collections::BTreeMap;

use super::content::{Content, LargeObjects};
use super::manifest::Database;
use super::quote;

/// A table to read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Schema.
    pub schema: String,
    /// Table.
    pub name: String,
    /// Columns in the order in which they were read at backup.
    pub columns: Vec<String>,
}

/// Tables that are compared together: mostly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name of the table, or of the root of its partitions, in SQL quoting.
    pub name: String,
    /// The tables to read back.
    pub members: Vec<Member>,
    /// What they held at backup, all together.
    pub content: Content,
}

/// Everything that can be compared of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Tables, those with the most rows first.
    pub groups: Vec<Group>,
    /// Large objects, where they were recorded.
    pub large_objects: Option<LargeObjects>,
    /// Tables of which nothing was recorded.
    pub unrecorded: u64,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Rows and hash are the same.
    Equal,
    /// The number of rows is the same; a hash was not to be had.
    SameCount,
    /// It is not what it was.
    Differs(String),
}

/// What is to be compared of a database.
pub fn expected(database: &Database) -> Expected {
    let large = database.tables.iter().map(|table| {
        let of_stream = |stream: &super::manifest::DataStream| Content { rows: stream.rows, hash: stream.hash };
        let none = Content { rows: 0, hash: Some(Default::default()) };
        let content = table.streams.iter().map(of_stream).fold(none, Content::and);
        (&table.schema, &table.name, &table.columns, &table.load_into, content)
    });
    let small = database
        .archive_contents
        .iter()
        .map(|table| (&table.schema, &table.name, &table.columns, &table.load_into, table.content));
    let mut groups: BTreeMap<(&String, &String), Group> = BTreeMap::new();
    for (schema, name, columns, load_into, content) in large.chain(small) {
        let key = load_into.as_ref().map_or((schema, name), |(schema, name)| (schema, name));
        let fresh = || Group { name: quote::qualified(key.0, key.1), members: Vec::new(), content };
        let member = Member { schema: schema.clone(), name: name.clone(), columns: columns.clone() };
        let group = groups.entry(key).or_insert_with(fresh);
        if let Some(first) = group.members.first() {
            group.content = group.content.and(content);
            if first.columns != *columns {
                // The same row is another line in each of them.
                group.content.hash = None;
            }
        }
        group.members.push(member);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.content.rows));
    let recorded = database.archive_contents.len() as u64;
    // What an extension brings into its own tables is in the archive and is no table of the database's.
    let unrecorded = if recorded == 0 { database.archive_tables } else { 0 };
    Expected { groups, large_objects: database.large_objects, unrecorded }
}

/// Compares what a group held with what was found.
pub fn compare(expected: Content, found: Content) -> Verdict {
    if expected.rows != found.rows {
        return Verdict::Differs(format!("{} rows where {} were backed up", found.rows, expected.rows));
    }
    match (expected.hash, found.hash) {
        (Some(expected), Some(found)) if expected == found => Verdict::Equal,
        (Some(expected), Some(found)) => {
            Verdict::Differs(format!("its rows are not those that were backed up ({found} instead of {expected})"))
        }
        _ => Verdict::SameCount,
    }
}

/// Compares large objects.
pub fn compare_objects(expected: LargeObjects, found: LargeObjects) -> Verdict {
    if (expected.count, expected.bytes) != (found.count, found.bytes) {
        return Verdict::Differs(format!(
            "{} with {} bytes where {} with {} bytes were backed up",
            found.count, found.bytes, expected.count, expected.bytes
        ));
    }
    compare(Content { rows: 0, hash: expected.hash }, Content { rows: 0, hash: found.hash })
}

/// The statement that reads a table back as it was read at backup. In a session whose encoding is not UTF-8, names are
/// written in ASCII.
pub fn statement(member: &Member, encoding: &str) -> String {
    let identifier = |name: &str| quote::identifier_in(encoding, name);
    let columns: Vec<_> = member.columns.iter().map(|column| identifier(column)).collect();
    // A table without columns has rows all the same.
    let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    format!("COPY {}.{}{columns} TO STDOUT", identifier(&member.schema), identifier(&member.name))
}

#[cfg(test)]
mod tests {
    use super::super::content::{RowsHash, Tally};
    use super::super::manifest::{DataStream, Properties, StreamReference, Table, TableContent};
    use super::*;

    fn content(rows: &str) -> Content {
        let mut tally = Tally::default();
        tally.push(rows.as_bytes());
        tally.finish().unwrap()
    }

    fn stream(rows: &str, hash: Option<RowsHash>) -> DataStream {
        DataStream {
            stream: StreamReference(0.into()),
            pages: None,
            rows: content(rows).rows,
            bytes: rows.len() as u64,
            hash,
        }
    }

    fn small(name: &str, columns: &[&str], root: Option<&str>, rows: &str) -> TableContent {
        TableContent {
            schema: "public".into(),
            name: name.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            load_into: root.map(|root| ("public".to_owned(), root.to_owned())),
            content: content(rows),
        }
    }

    fn database(streams: Vec<DataStream>, contents: Vec<TableContent>) -> Database {
        Database {
            name: "shop".into(),
            consistent_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            properties: Properties::default(),
            archive: StreamReference(0.into()),
            archive_bytes: 0,
            archive_tables: 5,
            tables: vec![Table {
                schema: "public".into(),
                name: "big".into(),
                columns: vec!["a".into()],
                load_into: None,
                encoding: "UTF8".into(),
                streams,
            }],
            archive_contents: contents,
            large_objects: None,
            server_bytes: None,
        }
    }

    #[test]
    fn the_streams_of_a_table_add_up_and_one_without_a_hash_leaves_the_count() {
        let hashed = |rows: &str| stream(rows, content(rows).hash);
        let both = database(vec![hashed("1\n2\n"), hashed("3\n")], vec![small("t", &["a"], None, "x\n")]);
        let found = expected(&both);
        assert_eq!(
            (found.groups[0].name.as_str(), found.groups[0].content),
            ("\"public\".\"big\"", content("1\n2\n3\n"))
        );
        assert_eq!((found.groups.len(), found.unrecorded), (2, 0));
        let older = database(vec![hashed("1\n2\n"), stream("3\n", None)], Vec::new());
        let found = expected(&older);
        assert_eq!(found.groups[0].content, Content { rows: 3, hash: None });
        assert_eq!(found.unrecorded, 5, "nothing is known of the archive's tables");
    }

    #[test]
    fn partitions_that_are_filled_by_their_root_are_compared_together() {
        let contents = vec![
            small("p1", &["a", "b"], Some("root"), "1\tx\n"),
            small("p2", &["a", "b"], Some("root"), "2\ty\n"),
            small("q1", &["a", "b"], Some("other"), "1\tx\n"),
            small("q2", &["b", "a"], Some("other"), "y\t2\n"),
        ];
        let found = expected(&database(Vec::new(), contents));
        let group = |name: &str| found.groups.iter().find(|group| group.name.contains(name)).unwrap();
        assert_eq!(group("root").content, content("2\ty\n1\tx\n"));
        assert_eq!(group("root").members.len(), 2);
        assert_eq!(group("other").content, Content { rows: 2, hash: None });
    }

    #[test]
    fn a_difference_is_told_and_a_missing_hash_is_no_proof() {
        let whole = content("1\n2\n");
        let uncounted = Content { hash: None, ..whole };
        assert_eq!(compare(whole, content("2\n1\n")), Verdict::Equal);
        assert_eq!(compare(uncounted, whole), Verdict::SameCount);
        assert_eq!(compare(whole, uncounted), Verdict::SameCount);
        for (found, words) in [("1\n", "1 rows where 2"), ("1\n3\n", "not those that were backed up")] {
            let Verdict::Differs(text) = compare(whole, content(found)) else { panic!("{found:?} passes") };
            assert!(text.contains(words), "{text}");
        }
        assert!(matches!(compare(uncounted, content("1\n")), Verdict::Differs(_)));
    }

    #[test]
    fn large_objects_differ_by_count_bytes_or_content() {
        let base = LargeObjects { count: 2, bytes: 10, hash: content("1\n").hash };
        assert_eq!(compare_objects(base, base), Verdict::Equal);
        assert_eq!(compare_objects(base, LargeObjects { hash: None, ..base }), Verdict::SameCount);
        for other in [
            LargeObjects { count: 1, ..base },
            LargeObjects { bytes: 11, ..base },
            LargeObjects { hash: content("2\n").hash, ..base },
        ] {
            assert!(matches!(compare_objects(base, other), Verdict::Differs(_)), "{other:?}");
        }
    }

    #[test]
    fn a_table_is_read_back_with_the_columns_of_the_backup() {
        let member = |columns: &[&str]| Member {
            schema: "a\"b".into(),
            name: "té".into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        };
        assert_eq!(statement(&member(&["x", "y;"]), "UTF8"), "COPY \"a\"\"b\".\"té\" (\"x\", \"y;\") TO STDOUT");
        assert_eq!(statement(&member(&[]), "LATIN1"), "COPY \"a\"\"b\".U&\"t\\+0000E9\" TO STDOUT");
    }
}
