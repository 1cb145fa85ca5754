//! What is wrong with a document, and where.

use std::cell::RefCell;
use std::fmt;

use haulier_domain::policy::Fault;

use super::tree::{Entry, Node, Place, Value};

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentFault {
    /// Where it stands; line 0 where it has no place.
    pub place: Place,
    /// What is wrong.
    pub fault: Fault,
}

impl DocumentFault {
    /// A fault at a place.
    pub fn at(place: Place, field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place, fault: Fault::new(field, message, remedy) }
    }
}

impl fmt::Display for DocumentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.place.line, self.place.column)?;
        if !self.fault.field.is_empty() {
            write!(f, "{}: ", self.fault.field)?;
        }
        write!(f, "{} ({})", self.fault.message, self.fault.remedy)
    }
}

/// Faults found so far.
#[derive(Debug, Default)]
pub struct Faults(RefCell<Vec<DocumentFault>>);

impl Faults {
    /// Adds one.
    pub fn add(&self, fault: DocumentFault) {
        self.0.borrow_mut().push(fault);
    }

    /// Adds faults of the meaning, found after the shape was read. Where the shape is wrong already, nothing more is
    /// said: the value that was checked is not what was written.
    pub fn add_meant(&self, document: &Node, meant: impl IntoIterator<Item = Fault>) {
        let shapes: Vec<String> = self.0.borrow().iter().map(|known| known.fault.field.clone()).collect();
        for fault in meant {
            let known = |shape: &String| is_within(&fault.field, shape) || is_within(shape, &fault.field);
            if !shapes.iter().any(known) {
                self.add(DocumentFault { place: place_of(document, &fault.field), fault });
            }
        }
    }

    /// All of them, in the order of the document.
    pub fn into_sorted(self) -> Vec<DocumentFault> {
        let mut faults = self.0.into_inner();
        faults.sort_by(|a, b| {
            (a.place.line, a.place.column, &a.fault.field).cmp(&(b.place.line, b.place.column, &b.fault.field))
        });
        faults
    }
}

/// Whether the field is the outer one or lies in it.
fn is_within(field: &str, outer: &str) -> bool {
    field.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Place of the field, or of the innermost thing around it that is there.
fn place_of(document: &Node, field: &str) -> Place {
    let mut node = document;
    let mut place = document.place;
    let mut rest = field;
    while !rest.is_empty() {
        let step = match &node.value {
            Value::Map(entries) => {
                rest = rest.strip_prefix('.').unwrap_or(rest);
                // Keys may hold dots and brackets themselves, so the longest that fits is the one that is meant.
                let fits = |entry: &&Entry| is_within(rest, &entry.key);
                entries.iter().filter(fits).max_by_key(|entry| entry.key.len()).map(|entry| {
                    rest = &rest[entry.key.len()..];
                    (entry.place, &entry.value)
                })
            }
            Value::List(items) => {
                rest.strip_prefix('[').and_then(|tail| tail.split_once(']')).and_then(|(index, tail)| {
                    let item = items.get(index.parse::<usize>().ok()?)?;
                    rest = tail;
                    Some((item.place, item))
                })
            }
            Value::Null | Value::Scalar(_) => None,
        };
        match step {
            Some((at, next)) => (place, node) = (at, next),
            None => break,
        }
    }
    place
}
