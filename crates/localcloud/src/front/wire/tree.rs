//! Reading XML answers of the emulator: small, so a tree will do.

use quick_xml::Reader;
use quick_xml::events::Event;

/// An element, its text and its children. Prefixes and attributes are dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Parses a document; `None` where it is no XML.
    pub(crate) fn parse(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => open.push(Self::named(start.local_name().as_ref())),
                Event::Empty(start) => open.last_mut()?.children.push(Self::named(start.local_name().as_ref())),
                Event::End(_) => {
                    let closed = open.pop()?;
                    open.last_mut()?.children.push(closed);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
                Event::CData(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().ok()? {
                        Some(character) => character.to_string(),
                        None => quick_xml::escape::resolve_xml_entity(&reference.decode().ok()?)?.to_owned(),
                    };
                    open.last_mut()?.text.push_str(&character);
                }
                Event::Eof => break,
                _ => {}
            }
        }
        match open.as_slice() {
            [root] => root.children.first().cloned(),
            _ => None,
        }
    }

    fn named(name: &[u8]) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), ..Self::default() }
    }

    /// The child at a path of names.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        match path {
            [] => Some(self),
            [first, rest @ ..] => self.children.iter().find(|child| child.name == *first)?.at(rest),
        }
    }

    /// The trimmed text of the child at a path.
    pub(crate) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|element| element.text.trim())
    }

    /// All children of the element at a path: the items of a list.
    pub(crate) fn items(&self, path: &[&str]) -> &[Self] {
        self.at(path).map_or(&[], |element| &element.children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_and_entities() {
        let document = r#"<?xml version="1.0"?><R xmlns="u"><set><item><id>a&amp;b</id></item><item><id>&#65;c</id></item></set><x/></R>"#;
        let root = Element::parse(document).unwrap();
        let ids: Vec<_> = root.items(&["set"]).iter().filter_map(|item| item.text_at(&["id"])).collect();
        assert_eq!(ids, ["a&b", "Ac"]);
        assert_eq!(root.text_at(&["x"]), Some(""));
        assert_eq!(Element::parse("not xml"), None);
    }
}
