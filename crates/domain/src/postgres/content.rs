//! What a table holds, in two numbers: how many rows, and a hash of them that does not depend on their order.
//!
//! Taken of the rows as `COPY` writes them in its text format, while they pass by at backup, and again of what a restore
//! made of them. A server gives rows in any order, and parallel readers in several parts, so each line is hashed by itself
//! (XXH3, 128 bits) and the hashes are added modulo 2^128: parts add up to the whole. A row that was lost, doubled, moved
//! or altered changes the sum. The hash finds accidents; that nobody altered what is stored, the repository's seals see to.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::xxhash3_128::Hasher;

/// How this hash is written, before its digits. Another way of hashing gets another name.
const SCHEME: &str = "xxh3-128-sum:";

/// What `pg_dump` writes in a line of its own after the last row. No row can be that line.
const END_MARK: &[u8] = b"\\.";

/// A hash of rows, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowsHash(u128);

impl RowsHash {
    /// The hash of the rows of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(SCHEME).filter(|digits| digits.len() == 32)?;
        u128::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for RowsHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{:032x}", self.0)
    }
}

impl Serialize for RowsHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a hash; one of a scheme that this program does not know is as good as none.
///
/// # Errors
/// Where there is something else than a text.
pub fn if_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RowsHash>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| RowsHash::parse(&text)))
}

/// Rows and their hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Content {
    /// How many rows.
    pub rows: u64,
    /// Their hash, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_known")]
    pub hash: Option<RowsHash>,
}

impl Content {
    /// What both hold together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, hash: self.hash.zip(other.hash).map(|(one, two)| one.and(two)) }
    }
}

/// Large objects: how many, their bytes, and a hash of numbers and contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LargeObjects {
    /// How many.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Their hash, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_known")]
    pub hash: Option<RowsHash>,
}

/// Takes rows in as they pass by, cut anywhere.
#[derive(Debug, Default)]
pub struct Tally {
    rows: u64,
    sum: RowsHash,
    /// The beginning of a line whose end is still to come.
    open: Option<OpenLine>,
    ended: bool,
}

struct OpenLine {
    hasher: Hasher,
    head: Vec<u8>,
    length: usize,
}

impl fmt::Debug for OpenLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenLine").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Tally {
    /// Takes more of the rows in. What follows `pg_dump`'s end mark is no row.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.ended {
            // In this format a line break ends a row and stands for nothing else.
            match memchr::memchr(b'\n', bytes) {
                Some(end) => {
                    self.line(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                }
                None => {
                    self.begin(bytes);
                    return;
                }
            }
        }
    }

    /// What was taken in; `None` where it ended within a row.
    pub fn finish(self) -> Option<Content> {
        self.open.is_none().then_some(Content { rows: self.rows, hash: Some(self.sum) })
    }

    fn line(&mut self, end: &[u8]) {
        let (is_mark, hash) = match self.open.take() {
            None => (end == END_MARK, Hasher::oneshot(end)),
            Some(mut line) => {
                line.push(end);
                (line.length == END_MARK.len() && line.head == END_MARK, line.hasher.finish_128())
            }
        };
        if is_mark {
            self.ended = true;
        } else {
            self.rows += 1;
            self.sum = self.sum.and(RowsHash(hash));
        }
    }

    fn begin(&mut self, bytes: &[u8]) {
        let fresh = || OpenLine { hasher: Hasher::new(), head: Vec::new(), length: 0 };
        self.open.get_or_insert_with(fresh).push(bytes);
    }
}

impl OpenLine {
    fn push(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        let missing = END_MARK.len().saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        self.length += bytes.len();
    }
}

/// Takes large objects in, one after another.
#[derive(Default)]
pub struct ObjectTally {
    found: LargeObjects,
    sum: RowsHash,
    open: Option<Hasher>,
}

impl fmt::Debug for ObjectTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectTally").field("found", &self.found).finish_non_exhaustive()
    }
}

impl ObjectTally {
    /// An object of this number begins; the one before it has ended.
    pub fn begin(&mut self, oid: u32) {
        self.end();
        let mut hasher = Hasher::new();
        hasher.write(&oid.to_le_bytes());
        self.open = Some(hasher);
        self.found.count += 1;
    }

    /// More of its content.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.open {
            hasher.write(bytes);
        }
        self.found.bytes += bytes.len() as u64;
    }

    fn end(&mut self) {
        if let Some(hasher) = self.open.take() {
            self.sum = self.sum.and(RowsHash(hasher.finish_128()));
        }
    }

    /// What was taken in.
    pub fn finish(mut self) -> LargeObjects {
        self.end();
        LargeObjects { hash: Some(self.sum), ..self.found }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> Content {
        let mut tally = Tally::default();
        tally.push(bytes);
        tally.finish().unwrap()
    }

    fn lines(rows: &[Vec<u8>]) -> Vec<u8> {
        rows.iter().flat_map(|row| row.iter().copied().chain([b'\n'])).collect()
    }

    #[test]
    fn a_change_of_any_kind_is_another_hash() {
        let base = of(b"1\ta\n2\tb\n");
        assert_eq!(base.rows, 2);
        for other in ["1\ta\n2\tc\n", "1\tb\n2\ta\n", "1\ta\n2\tb\n2\tb\n", "1\ta\n", "1\ta\n2\tb\n\n", "1\ta2\tb\n"] {
            assert_ne!(base.hash, of(other.as_bytes()).hash, "{other:?}");
        }
        assert_eq!(of(b""), Content { rows: 0, hash: Some(RowsHash(0)) });
    }

    #[test]
    fn rows_end_at_the_end_mark_wherever_it_is_cut() {
        let expected = of(b"1\n\\N\n");
        for cut in 0..9 {
            let whole = b"1\n\\N\n\\.\n\n\n";
            let mut tally = Tally::default();
            tally.push(&whole[..cut]);
            tally.push(&whole[cut..]);
            assert_eq!(tally.finish(), Some(expected), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_never_ends_has_no_content() {
        let mut tally = Tally::default();
        tally.push(b"1\n2");
        assert_eq!(tally.finish(), None);
    }

    #[test]
    fn a_hash_is_written_with_its_scheme_and_an_unknown_one_is_none() {
        let content = of(b"x\n");
        let text = serde_json::to_string(&content).unwrap();
        assert!(text.contains("\"hash\":\"xxh3-128-sum:"), "{text}");
        assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
        for unknown in [r#"{"rows":1,"hash":"newer:00"}"#, r#"{"rows":1}"#, r#"{"rows":1,"hash":"xxh3-128-sum:0"}"#] {
            assert_eq!(serde_json::from_str::<Content>(unknown).unwrap(), Content { rows: 1, hash: None });
        }
    }

    /// The scheme's name stands for exactly this: stored hashes must mean the same for ever.
    #[test]
    fn the_hash_is_xxh3_of_each_line_added_up() {
        // XXH3_128bits("") with the seed 0, from the reference implementation.
        assert_eq!(of(b"\n").hash.unwrap().to_string(), "xxh3-128-sum:99aa06d3014798d86001c324468d497f");
        assert_eq!(of(b"\n\n").hash.unwrap().0, 0x99aa_06d3_0147_98d8_6001_c324_468d_497f_u128.wrapping_mul(2));
    }

    #[test]
    fn large_objects_are_told_apart_by_number_and_content() {
        let of = |objects: &[(u32, &[&[u8]])]| {
            let mut tally = ObjectTally::default();
            for (oid, pieces) in objects {
                tally.begin(*oid);
                pieces.iter().for_each(|piece| tally.push(piece));
            }
            tally.finish()
        };
        let base = of(&[(1, &[b"ab", b"c"]), (2, &[])]);
        assert_eq!((base.count, base.bytes), (2, 3));
        assert_eq!(base, of(&[(2, &[]), (1, &[b"abc"])]));
        assert_ne!(base.hash, of(&[(1, &[b"abd"]), (2, &[])]).hash);
        assert_ne!(base.hash, of(&[(2, &[b"abc"]), (1, &[])]).hash);
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = any::<u8>().prop_map(|byte| if byte == b'\n' || byte == b'\\' { b'x' } else { byte });
        prop::collection::vec(prop::collection::vec(byte, 0..300), 0..30)
    }

    proptest! {
        #[test]
        fn neither_order_nor_cuts_nor_parts_matter(
            original in rows(), shuffled in rows().prop_shuffle(), cuts in prop::collection::vec(0_usize..4000, 0..10),
        ) {
            let mut other = original.clone();
            other.extend(shuffled.clone());
            other.reverse();
            let whole = of(&lines(&original)).and(of(&lines(&shuffled)));
            prop_assert_eq!(whole, of(&lines(&other)));
            let bytes = lines(&original);
            let mut tally = Tally::default();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts {
                tally.push(&bytes[from..cut]);
                from = cut;
            }
            tally.push(&bytes[from..]);
            prop_assert_eq!(tally.finish(), Some(of(&bytes)));
        }

        #[test]
        fn a_flipped_bit_is_seen(rows in rows(), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
            let bytes = lines(&rows);
            prop_assume!(!bytes.is_empty());
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            let mut tally = Tally::default();
            tally.push(&flipped);
            prop_assert_ne!(tally.finish(), Some(of(&bytes)));
        }
    }
}
