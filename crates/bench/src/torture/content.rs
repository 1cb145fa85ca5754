//! The bytes of a stream, made as they are read: noise, rows, runs of one byte, stretches that other streams have too; or an
//! earlier stream with edits.

use std::io::Write as _;

use super::plan::{Planned, Source};
use haulier_pages::Random;

/// Bytes made at once.
const BLOCK: u64 = 64 << 10;
/// Stretches that streams have in common.
const COMMON: u64 = 40;

/// The bytes of a stream, block by block.
pub(crate) struct Content(Box<dyn Iterator<Item = Vec<u8>> + Send>);

impl Content {
    /// The bytes of one of the streams.
    pub(crate) fn of(streams: &[Planned], number: usize) -> Self {
        let stream = streams[number];
        match stream.source {
            Source::Fresh => Self(Box::new(Fresh::new(stream.seed, stream.bytes))),
            Source::Copy { of, every } => {
                let random = Random::new(stream.seed, 1);
                let edited = Edited { inner: Self::of(streams, of), random, every, until: every, drop: 0 };
                let mut tail = Random::new(stream.seed, 2);
                let more = if tail.chance(50) { stream.bytes / 50 } else { 0 };
                Self(Box::new(edited.chain(Fresh::new(stream.seed, more))))
            }
        }
    }
}

impl Iterator for Content {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }
}

/// Made up: one segment after another.
struct Fresh {
    random: Random,
    left: u64,
    segment: Segment,
}

impl Fresh {
    fn new(seed: u64, bytes: u64) -> Self {
        Self { random: Random::new(seed, 0), left: bytes, segment: Segment::new(0, 0) }
    }
}

impl Iterator for Fresh {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.left == 0 {
            return None;
        }
        if self.segment.left == 0 {
            let common = self.random.chance(20);
            let seed = if common { self.random.below(COMMON) } else { self.random.next() };
            self.segment = Segment::new(seed, Random::new(seed, 3).size(4 << 10, 8 << 20));
        }
        let block = self.segment.block(BLOCK.min(self.left));
        self.left -= block.len() as u64;
        Some(block)
    }
}

/// A stretch of one kind.
struct Segment {
    random: Random,
    kind: u64,
    row: u64,
    left: u64,
}

impl Segment {
    fn new(seed: u64, bytes: u64) -> Self {
        let mut random = Random::new(seed, 4);
        Self { kind: random.below(8), random, row: 0, left: bytes }
    }

    fn block(&mut self, most: u64) -> Vec<u8> {
        let length = most.min(self.left).min(BLOCK) as usize;
        let mut block = Vec::with_capacity(length + 128);
        match self.kind {
            0 => block.resize(length, b'0'),
            1 | 2 => {
                while block.len() < length {
                    block.extend_from_slice(&self.random.next().to_le_bytes());
                }
            }
            _ => {
                while block.len() < length {
                    self.row += 1;
                    let (a, b) = (self.random.next(), self.random.next());
                    let (id, day, cents) = (self.row, a % 28 + 1, b % 1_000_000);
                    // Writing to memory does not fail.
                    let _ =
                        writeln!(block, "{id}\tcustomer {}\t2026-11-{day:02}\t{cents}\t\\N\t{:x}", a >> 44, b >> 30);
                }
            }
        }
        block.truncate(length);
        self.left -= length as u64;
        block
    }
}

/// Another stream with bytes replaced, put in and taken out.
struct Edited {
    inner: Content,
    random: Random,
    every: u64,
    /// Bytes to the next edit.
    until: u64,
    /// Bytes to be taken out.
    drop: u64,
}

impl Iterator for Edited {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let block = self.inner.next()?;
        let mut out = Vec::with_capacity(block.len());
        let mut rest = block.as_slice();
        while !rest.is_empty() {
            if self.drop > 0 {
                let gone = self.drop.min(rest.len() as u64);
                rest = &rest[gone as usize..];
                self.drop -= gone;
                continue;
            }
            let kept = self.until.min(rest.len() as u64);
            out.extend_from_slice(&rest[..kept as usize]);
            rest = &rest[kept as usize..];
            self.until -= kept;
            if self.until == 0 {
                self.edit(&mut out);
            }
        }
        Some(out)
    }
}

impl Edited {
    fn edit(&mut self, out: &mut Vec<u8>) {
        self.until = 1 + self.random.below(2 * self.every);
        let length = if self.random.chance(2) { self.random.below(100_000) } else { self.random.below(48) };
        let kind = self.random.below(3);
        if kind != 0 {
            out.extend((0..length).map(|_| self.random.next() as u8));
        }
        if kind != 1 {
            self.drop = length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Terms, plan};
    use super::*;

    fn all(content: Content) -> Vec<u8> {
        content.flatten().collect()
    }

    #[test]
    fn the_same_stream_comes_again_and_copies_resemble_what_they_are_of() {
        let streams = plan(&Terms { seed: 3, streams: 60, largest: 2, volume: 30 });
        let mut copies = 0;
        for (number, stream) in streams.iter().enumerate() {
            let bytes = all(Content::of(&streams, number));
            assert_eq!(bytes, all(Content::of(&streams, number)));
            match stream.source {
                Source::Fresh => assert_eq!(bytes.len() as u64, stream.bytes),
                Source::Copy { of, every } if stream.bytes > 300_000 => {
                    let original = all(Content::of(&streams, of));
                    let common = original.iter().zip(&bytes).take_while(|(old, new)| old == new).count();
                    assert!(
                        common as u64 >= every.min(original.len() as u64) && bytes != original,
                        "{number}: {common}"
                    );
                    copies += 1;
                }
                Source::Copy { .. } => {}
            }
        }
        assert!(copies > 3, "{copies}");
    }
}
