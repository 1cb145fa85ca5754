//! Quoting, in one place, for names that somebody chose to be difficult: SQL identifiers and literals, connection
//! strings, password files, `pg_dump` patterns.

/// An SQL identifier, always quoted.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A qualified SQL identifier, always quoted.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// An SQL identifier in ASCII alone, for a session whose client encoding is not UTF-8: what lies outside of ASCII is
/// written as a Unicode escape.
pub fn ascii_identifier(name: &str) -> String {
    if name.is_ascii() {
        return identifier(name);
    }
    let mut text = String::from("U&\"");
    for character in name.chars() {
        match character {
            '"' => text.push_str("\"\""),
            '\\' => text.push_str("\\\\"),
            _ if character.is_ascii() => text.push(character),
            _ => text.push_str(&format!("\\+{:06X}", u32::from(character))),
        }
    }
    text.push('"');
    text
}

/// An SQL identifier for a session of that client encoding: where it is none, the server takes bytes as they come.
pub fn identifier_in(encoding: &str, name: &str) -> String {
    if matches!(encoding, "UTF8" | "SQL_ASCII") { identifier(name) } else { ascii_identifier(name) }
}

/// An SQL string literal that reads the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// A libpq connection string that names a database and nothing else.
pub fn connection_string(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The line of a password file that gives this password to every connection.
pub fn password_file_line(password: &str) -> String {
    format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:"))
}

/// A `pg_dump` pattern that matches exactly this table.
pub fn dump_pattern(schema: &str, name: &str) -> String {
    // Within double quotes `pg_dump` takes every character for itself.
    qualified(schema, name)
}

/// A schema-qualified name in SQL quoting that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a table name of the form schema.table in SQL quoting")]
pub struct BadName {
    /// The offending text.
    pub text: String,
}

/// Reads `schema.table` in SQL quoting: unquoted parts fold to lower case.
///
/// # Errors
/// The text is not exactly two identifiers with a dot between them.
pub fn parse_qualified(text: &str) -> Result<(String, String), BadName> {
    let bad = || BadName { text: text.to_owned() };
    let (schema, rest) = parse_identifier(text).ok_or_else(bad)?;
    let (table, rest) = rest.strip_prefix('.').and_then(parse_identifier).ok_or_else(bad)?;
    if rest.is_empty() { Ok((schema, table)) } else { Err(bad()) }
}

/// Splits the stored value of a list parameter (`search_path`) into its elements, unquoted. `None` where it is not
/// such a list.
pub fn split_list(text: &str) -> Option<Vec<String>> {
    let mut elements = Vec::new();
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Some(elements);
    }
    loop {
        let (element, after) = if rest.starts_with('"') { parse_identifier(rest)? } else { parse_bare_element(rest)? };
        elements.push(element);
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(elements);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn parse_bare_element(text: &str) -> Option<(String, &str)> {
    let end = text.find([',', '"', ' ', '\t', '\n']).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

pub(super) fn parse_identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_lowercase(), &text[end..]));
    };
    let mut name = String::new();
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return (!name.is_empty()).then_some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn difficult_names_stay_one_identifier() {
        assert_eq!(identifier("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(ascii_identifier("plain"), "\"plain\"");
        assert_eq!(ascii_identifier("né\\\"😀"), "U&\"n\\+0000E9\\\\\"\"\\+01F600\"");
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn a_database_name_cannot_become_another_parameter() {
        assert_eq!(connection_string("x' host='evil"), "dbname='x\\' host=\\'evil'");
        assert_eq!(connection_string("a\\b"), "dbname='a\\\\b'");
    }

    #[test]
    fn password_files_escape_their_separators() {
        assert_eq!(password_file_line("a:b\\c"), "*:*:*:*:a\\:b\\\\c\n");
    }

    #[test]
    fn qualified_names_are_read_as_sql_reads_them() {
        let cases = [
            ("public.orders", Some(("public", "orders"))),
            ("Public.ORDERS", Some(("public", "orders"))),
            ("\"A.b\".\"c\"\"d\"", Some(("A.b", "c\"d"))),
            ("orders", None),
            ("a.b.c", None),
            ("\"a.b", None),
            ("", None),
            ("a.", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(schema, table)| (schema.to_owned(), table.to_owned()));
            assert_eq!(parse_qualified(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn list_parameters_are_split_as_the_server_splits_them() {
        let cases: [(&str, Option<&[&str]>); 5] = [
            ("\"$user\", public", Some(&["$user", "public"])),
            ("", Some(&[])),
            ("\"a, b\",c", Some(&["a, b", "c"])),
            ("a b", None),
            ("\"open", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|list| list.iter().map(|&element| element.to_owned()).collect());
            assert_eq!(split_list(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(schema in ".{1,12}", table in ".{1,12}") {
            prop_assert_eq!(parse_qualified(&qualified(&schema, &table)), Ok((schema, table)));
        }
    }
}
