//! Export of a database into a stock archive: what its file is called, and whether what went into it is what was backed
//! up.

use super::archive::Contents;
use super::content::Content;
use super::manifest::{Database, Table};
use super::quote;
use super::verification::{self, Verdict};
use crate::file_name;

/// The name of the file that a database's archive goes to.
pub fn file_name(database: &str) -> String {
    file_name::stem(database) + ".dump"
}

/// What a table of the manifest holds, all its streams together.
pub fn content_of(table: &Table) -> Content {
    let none = Content { rows: 0, hash: Some(Default::default()) };
    table.streams.iter().map(|stream| Content { rows: stream.rows, hash: stream.hash }).fold(none, Content::and)
}

/// What of an archive is not what its manifest says: none where it is. `held` are tables of the manifest whose rows are
/// in the archive, each with the entries that may be theirs.
pub fn differences(database: &Database, contents: &Contents, held: &[(usize, Vec<i64>)]) -> Vec<String> {
    let mut found = Vec::new();
    if contents.bytes != database.archive_bytes {
        found.push(format!("its archive has {} bytes where {} were written", contents.bytes, database.archive_bytes));
    }
    for table in &database.archive_contents {
        let name = quote::qualified(&table.schema, &table.name);
        let rows = contents.entries.iter().find_map(|entry| {
            let is_it = entry.schema.as_ref() == Some(&table.schema) && entry.tag == table.name;
            if is_it { contents.rows.get(&entry.id) } else { None }
        });
        match rows.map(|rows| verification::compare(table.content, *rows)) {
            Some(Verdict::Differs(why)) => found.push(format!("table {name}: {why}")),
            Some(_) => {}
            None => found.push(format!("table {name}: the archive lacks its rows")),
        }
    }
    for (table, entries) in held.iter().filter_map(|(index, entries)| Some((database.tables.get(*index)?, entries))) {
        let expected = content_of(table);
        let is_there = entries
            .iter()
            .filter_map(|entry| contents.rows.get(entry))
            .any(|rows| !matches!(verification::compare(expected, *rows), Verdict::Differs(_)));
        if !is_there {
            let name = quote::qualified(&table.schema, &table.name);
            found.push(format!("table {name}: its rows in the archive are not those that were backed up"));
        }
    }
    if let Some(expected) = database.large_objects
        && let Verdict::Differs(why) = verification::compare_objects(expected, contents.large_objects)
    {
        found.push(format!("large objects: {why}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::archive::{Entry, Header};
    use super::super::content::{LargeObjects, Tally};
    use super::super::manifest::{DataStream, Properties, StreamReference, TableContent};
    use super::*;

    #[test]
    fn every_database_has_a_file_of_its_own_that_no_shell_minds() {
        for (database, file) in [
            ("shop", "shop.dump"),
            ("Shop_2-a.b", "Shop_2-a.b.dump"),
            ("naïve 数", "naïve%20数.dump"),
            ("../x", "%2E.%2Fx.dump"),
            (".hidden", "%2Ehidden.dump"),
            ("-rf", "%2Drf.dump"),
            ("a%20b", "a%2520b.dump"),
            ("odd \"db\"'; --\n", "odd%20%22db%22%27%3B%20--%0A.dump"),
        ] {
            assert_eq!(file_name(database), file, "{database:?}");
        }
    }

    fn content(rows: &str) -> Content {
        let mut tally = Tally::default();
        tally.push(rows.as_bytes());
        tally.finish().unwrap()
    }

    fn table(rows: &[&str]) -> Table {
        let stream = |rows: &&str| DataStream {
            stream: StreamReference(0.into()),
            pages: None,
            rows: content(rows).rows,
            bytes: 0,
            hash: content(rows).hash,
        };
        Table {
            schema: "public".into(),
            name: "té".into(),
            columns: vec!["a".into()],
            load_into: None,
            encoding: "LATIN1".into(),
            streams: rows.iter().map(stream).collect(),
        }
    }

    fn both() -> (Database, Contents) {
        let small = TableContent {
            schema: "public".into(),
            name: "small".into(),
            columns: vec!["a".into()],
            load_into: None,
            content: content("1\n"),
        };
        let objects = LargeObjects { count: 1, bytes: 3, hash: content("x\n").hash };
        let database = Database {
            name: "shop".into(),
            consistent_at: "2026-11-20T10:00:00Z".parse().unwrap(),
            properties: Properties::default(),
            archive: StreamReference(0.into()),
            archive_bytes: 10,
            archive_tables: 1,
            tables: vec![table(&["1\n", "2\n"])],
            archive_contents: vec![small],
            large_objects: Some(objects),
            server_bytes: None,
        };
        let contents = Contents {
            header: Header {
                version: (1, 14),
                database: "shop".into(),
                server_version: "15.18".into(),
                client_version: "15.18".into(),
            },
            entries: vec![
                Entry::sample(7, "TABLE", Some("public"), "small", &[]),
                Entry::sample(8, "TABLE DATA", Some("public"), "small", &[7]),
            ],
            bytes: 10,
            places: BTreeMap::new(),
            rows: BTreeMap::from([(8, content("1\n")), (9, content("2\n1\n"))]),
            large_objects: objects,
        };
        (database, contents)
    }

    #[test]
    fn what_is_as_it_was_has_no_differences() {
        let (database, contents) = both();
        assert_eq!(differences(&database, &contents, &[(0, vec![8, 9])]), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_named() {
        type Change = fn(&mut Database, &mut Contents);
        let cases: [(Change, &str); 6] = [
            (|_, contents| contents.bytes = 9, "its archive has 9 bytes where 10 were written"),
            (|database, _| database.archive_contents[0].content = content("1\n2\n"), "\"small\": 1 rows where 2"),
            (|database, _| database.archive_contents[0].content = content("3\n"), "\"small\": its rows are not those"),
            (|database, _| database.archive_contents[0].name = "lost".into(), "\"lost\": the archive lacks its rows"),
            (|_, contents| contents.large_objects.bytes = 4, "large objects: 1 with 4 bytes"),
            (|database, _| database.tables = vec![table(&["3\n"])], "\"té\": its rows in the archive"),
        ];
        for (change, words) in cases {
            let (mut database, mut contents) = both();
            change(&mut database, &mut contents);
            let found = differences(&database, &contents, &[(0, vec![8, 9])]);
            assert!(found.len() == 1 && found[0].contains(words), "{found:?} has no {words:?}");
        }
    }
}
