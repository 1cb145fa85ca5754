//! Names in an archive that is not in UTF-8. A server would know each of its encodings; where there is none, those are
//! known that other programs use, too.

use std::collections::BTreeMap;

use encoding_rs::Encoding;
use haulier_domain::postgres::archive::Foreign;

/// What the archive's names mean. What is not known here is left out.
pub(super) fn meanings(foreign: &Foreign) -> BTreeMap<Vec<u8>, String> {
    let Some(encoding) = label(&foreign.encoding).and_then(|label| Encoding::for_label(label.as_bytes())) else {
        return BTreeMap::new();
    };
    let decoded = |text: &Vec<u8>| {
        let meaning = encoding.decode_without_bom_handling_and_without_replacement(text)?;
        Some((text.clone(), meaning.into_owned()))
    };
    foreign.texts.iter().filter_map(decoded).collect()
}

/// What an encoding of PostgreSQL is called elsewhere.
fn label(encoding: &str) -> Option<String> {
    let latin = [("LATIN1", 1), ("LATIN2", 2), ("LATIN3", 3), ("LATIN4", 4), ("LATIN5", 9), ("LATIN6", 10)];
    let more = [("LATIN7", 13), ("LATIN8", 14), ("LATIN9", 15), ("LATIN10", 16)];
    if let Some((_, part)) = latin.iter().chain(&more).find(|(name, _)| *name == encoding) {
        return Some(format!("iso-8859-{part}"));
    }
    if let Some(part) = encoding.strip_prefix("ISO_8859_") {
        return Some(format!("iso-8859-{part}"));
    }
    if let Some(page) = encoding.strip_prefix("WIN") {
        return Some(if page == "866" { "ibm866".to_owned() } else { format!("windows-{page}") });
    }
    let other =
        [("EUC_JP", "euc-jp"), ("EUC_KR", "euc-kr"), ("EUC_CN", "gbk"), ("KOI8R", "koi8-r"), ("KOI8U", "koi8-u")];
    other.iter().find(|(name, _)| *name == encoding).map(|(_, label)| (*label).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_their_own_encoding() {
        for (encoding, text, meaning) in [
            ("LATIN1", b"t\xe9".as_slice(), Some("té")),
            ("LATIN2", b"\xb1", Some("ą")),
            ("LATIN5", b"\xfe", Some("ş")),
            ("LATIN9", b"\xa4", Some("€")),
            ("LATIN10", b"\xaa", Some("Ș")),
            ("ISO_8859_5", b"\xd0", Some("а")),
            ("WIN1251", b"\xe0", Some("а")),
            ("WIN866", b"\xa0", Some("а")),
            ("WIN874", b"\xa1", Some("ก")),
            ("KOI8R", b"\xc1", Some("а")),
            ("EUC_JP", b"\xcc\xbe", Some("名")),
            ("EUC_KR", b"\xb0\xa1", Some("가")),
            ("EUC_CN", b"\xc3\xfb", Some("名")),
            ("EUC_JP", b"\xcc", None),
            ("MULE_INTERNAL", b"\x81\xe9", None),
            ("EUC_TW", b"\xcc\xbe", None),
        ] {
            let foreign = Foreign { encoding: encoding.to_owned(), texts: [text.to_vec()].into() };
            let found = meanings(&foreign);
            assert_eq!(found.get(text).map(String::as_str), meaning, "{encoding} {text:?}");
        }
    }
}
