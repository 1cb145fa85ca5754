//! Takes a document apart field by field and goes on after each fault.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::fault::{DocumentFault, Faults};
use super::tree::{Node, Place, Value};

/// One value of a document and its path.
#[derive(Debug, Clone)]
pub struct Reader<'d> {
    node: &'d Node,
    place: Place,
    path: String,
    faults: &'d Faults,
}

/// The fields of a map.
#[derive(Debug)]
pub struct Fields<'d> {
    reader: Reader<'d>,
    known: &'static [&'static str],
}

impl<'d> Reader<'d> {
    /// A reader of the whole document.
    pub fn new(document: &'d Node, faults: &'d Faults) -> Self {
        Self { node: document, place: document.place, path: String::new(), faults }
    }

    /// Adds a fault at this value.
    pub fn fault(&self, message: impl Into<String>, remedy: impl Into<String>) {
        self.faults.add(DocumentFault::at(self.place, &self.path, message, remedy));
    }

    /// The value as a map with these keys and no others.
    pub fn fields(self, known: &'static [&'static str]) -> Option<Fields<'d>> {
        let Value::Map(entries) = &self.node.value else {
            self.fault(format!("is {}", self.kind()), format!("write a map with the keys {}", known.join(", ")));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let remedy = match nearest(&entry.key, known) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("known keys here: {}", known.join(", ")),
            };
            let field = join(&self.path, &entry.key);
            self.faults.add(DocumentFault::at(entry.place, field, format!("unknown key {:?}", entry.key), remedy));
        }
        Some(Fields { reader: self, known })
    }

    /// The value as text, just as it is written.
    pub fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Scalar(text) => Some(text.clone()),
            _ => {
                self.fault(format!("is {}", self.kind()), "write a text");
                None
            }
        }
    }

    /// The value as one of these words.
    pub fn word(&self, words: &'static [&'static str]) -> Option<&'static str> {
        let text = self.text()?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            let remedy = match nearest(&text, words) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("write {}", words.join(" or ")),
            };
            self.fault(format!("{text:?} is not known"), remedy);
        }
        found
    }

    /// The value as something that parses from text.
    pub fn parsed<T: FromStr>(&self, what: &str) -> Option<T> {
        let text = self.text()?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(format!("{text:?} is not {what}"), format!("write {what}"));
        }
        parsed
    }

    /// The value as `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        self.parsed("true or false")
    }

    /// The value as a list.
    pub fn list(&self) -> Option<Vec<Reader<'d>>> {
        let Value::List(items) = &self.node.value else {
            self.fault(format!("is {}", self.kind()), "write a list");
            return None;
        };
        let item = |(index, node): (usize, &'d Node)| Self {
            node,
            place: node.place,
            path: format!("{}[{index}]", self.path),
            faults: self.faults,
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The value as a list of texts.
    pub fn texts(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let texts: Vec<Option<String>> = items.iter().map(Self::text).collect();
        texts.into_iter().collect()
    }

    /// The value as one text or a list of them.
    pub fn text_or_texts(&self) -> Option<Vec<String>> {
        if self.is_list() { self.texts() } else { self.text().map(|text| vec![text]) }
    }

    /// The value as a map from any key, each value read by the function.
    pub fn map_of<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<BTreeMap<String, T>> {
        let Value::Map(entries) = &self.node.value else {
            self.fault(format!("is {}", self.kind()), "write a map");
            return None;
        };
        let mut map = BTreeMap::new();
        let mut complete = true;
        for entry in entries {
            let path = join(&self.path, &entry.key);
            let value = Self { node: &entry.value, place: entry.place, path, faults: self.faults };
            match read(&value) {
                Some(value) => drop(map.insert(entry.key.clone(), value)),
                None => complete = false,
            }
        }
        complete.then_some(map)
    }

    /// Whether it is a single text.
    pub fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Scalar(_))
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    fn kind(&self) -> &'static str {
        match self.node.value {
            Value::Null => "empty",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl<'d> Fields<'d> {
    /// A field that may be left out.
    ///
    /// A key that stands there without a value is a fault: what looks set and is not would mislead.
    pub fn optional(&self, key: &'static str) -> Option<Reader<'d>> {
        debug_assert!(self.known.contains(&key), "{key} is not among the known keys");
        let Value::Map(entries) = &self.reader.node.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        let path = join(&self.reader.path, key);
        let reader = Reader { node: &entry.value, place: entry.place, path, faults: self.reader.faults };
        if entry.value.value == Value::Null {
            reader.fault("has no value", "write one, or remove the key");
            return None;
        }
        Some(reader)
    }

    /// A field that must be there.
    pub fn required(&self, key: &'static str) -> Option<Reader<'d>> {
        let found = self.optional(key);
        if found.is_none() && !self.has(key) {
            let field = join(&self.reader.path, key);
            let fault = DocumentFault::at(self.reader.place, field, "is missing", format!("add {key}"));
            self.reader.faults.add(fault);
        }
        found
    }

    /// Whether the key stands there, with or without a value.
    pub fn has(&self, key: &str) -> bool {
        matches!(&self.reader.node.value, Value::Map(entries) if entries.iter().any(|entry| entry.key == key))
    }

    /// Adds a fault at the map.
    pub fn fault(&self, message: impl Into<String>, remedy: impl Into<String>) {
        self.reader.fault(message, remedy);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The known word that the written one was probably meant to be.
fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let written = written.to_ascii_lowercase().replace('-', "_");
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(&written, word), *word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
