//! Pages of keys in byte order, with prefix, delimiter and a place to go on from. Pure.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that have this after the prefix are rolled up into one entry. Empty for none.
    pub delimiter: String,
    /// Go on after this place.
    pub after: Option<Place>,
    /// Most entries of a page, keys and rolled-up prefixes together.
    pub most: usize,
}

/// A place in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// After this key.
    Key(String),
    /// After every key with this prefix.
    Prefix(String),
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Entries by key.
    pub entries: Vec<(String, T)>,
    /// Rolled-up prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// The page of `keys` that `query` asks for.
pub(super) fn page<T: Clone>(keys: &BTreeMap<String, T>, query: &Query) -> Page<T> {
    let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), next: None };
    let mut last = None;
    let Some(mut from) = start(query) else { return page };
    loop {
        let range = (from.as_ref().map(String::as_str), Bound::Unbounded);
        let Some((key, value)) = keys.range::<str, _>(range).next() else { break };
        if !key.starts_with(&query.prefix) {
            break;
        }
        if page.entries.len() + page.prefixes.len() == query.most {
            page.next = last;
            break;
        }
        match rolled_up(key, query) {
            Some(prefix) => {
                last = Some(Place::Prefix(prefix.to_owned()));
                page.prefixes.push(prefix.to_owned());
                let Some(behind) = after_prefix(prefix) else { break };
                from = behind;
            }
            None => {
                from = Bound::Excluded(key.clone());
                last = Some(Place::Key(key.clone()));
                page.entries.push((key.clone(), value.clone()));
            }
        }
    }
    page
}

fn rolled_up<'k>(key: &'k str, query: &Query) -> Option<&'k str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = &key[query.prefix.len()..];
    let end = rest.find(&query.delimiter)? + query.delimiter.len();
    Some(&key[..query.prefix.len() + end])
}

/// Where the page begins, or nothing if no key can follow.
fn start(query: &Query) -> Option<Bound<String>> {
    let after = match &query.after {
        None => Bound::Included(query.prefix.clone()),
        Some(Place::Key(key)) => Bound::Excluded(key.clone()),
        Some(Place::Prefix(prefix)) => after_prefix(prefix)?,
    };
    match &after {
        Bound::Included(place) | Bound::Excluded(place) if *place < query.prefix => {
            Some(Bound::Included(query.prefix.clone()))
        }
        _ => Some(after),
    }
}

/// The first place behind every key with this prefix: its last character replaced by the next one. Nothing if the
/// prefix is made of the highest character alone.
fn after_prefix(prefix: &str) -> Option<Bound<String>> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            characters.push(next);
            return Some(Bound::Included(characters.into_iter().collect()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> BTreeMap<String, ()> {
        names.iter().map(|name| ((*name).to_owned(), ())).collect()
    }

    fn all(keys: &BTreeMap<String, ()>, mut query: Query) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let page = page(keys, &query);
            assert!(page.entries.len() + page.prefixes.len() <= query.most);
            seen.extend(page.entries.into_iter().map(|(key, ())| key));
            seen.extend(page.prefixes);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return seen,
            }
        }
    }

    #[test]
    fn pages_of_every_size_give_the_same_entries_in_order() {
        let keys = keys(&["a", "a/1", "a/2", "a0", "b/1/x", "b/2/y", "b/é", "c\u{10ffff}", "c\u{10ffff}d"]);
        for (prefix, delimiter, expected) in [
            ("", "", vec!["a", "a/1", "a/2", "a0", "b/1/x", "b/2/y", "b/é", "c\u{10ffff}", "c\u{10ffff}d"]),
            ("", "/", vec!["a", "a/", "a0", "b/", "c\u{10ffff}", "c\u{10ffff}d"]),
            ("a", "/", vec!["a", "a/", "a0"]),
            ("a/", "/", vec!["a/1", "a/2"]),
            ("b/", "/", vec!["b/1/", "b/2/", "b/é"]),
            ("z", "/", vec![]),
        ] {
            for most in 1..10 {
                let query = Query { prefix: prefix.to_owned(), delimiter: delimiter.to_owned(), after: None, most };
                let mut seen = all(&keys, query);
                seen.sort();
                assert_eq!(seen, expected, "prefix {prefix:?}, delimiter {delimiter:?}, pages of {most}");
            }
        }
    }

    #[test]
    fn a_start_before_the_prefix_changes_nothing_and_one_behind_it_ends_the_list() {
        let keys = keys(&["a/1", "a/2", "b/1"]);
        let query = |after: &str| Query {
            prefix: "a/".to_owned(),
            after: Some(Place::Key(after.to_owned())),
            most: 9,
            ..Query::default()
        };
        assert_eq!(all(&keys, query("A")), ["a/1", "a/2"]);
        assert_eq!(all(&keys, query("a/1")), ["a/2"]);
        assert!(all(&keys, query("b")).is_empty());
    }

    #[test]
    fn a_page_of_nothing_has_no_next() {
        let page = page(&keys(&["a"]), &Query::default());
        assert_eq!((page.entries.len(), page.next), (0, None));
    }
}
