//! A zstd frame (RFC 8878) written out of stretches that are known to be copies, for chunks that are little else. Literals
//! stand as they are: whoever has many of them lets zstd itself do the work. Any zstd reads the result.

use super::difference::Copied;
use super::entropy::{Bits, Code, LITERALS, MATCHES, OFFSETS, Table, of_literals, of_match, of_offset};

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// The most that a block may hold.
const BLOCK: usize = 128 << 10;
/// Matches are this long at least.
const SHORTEST_MATCH: usize = 3;

/// Literals, then a match.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    literals: usize,
    length: usize,
    /// As the format has it: 1 is the last distance again, others are distances and 3.
    offset: u64,
}

/// Appends the frame of `plain` with a base of that length as its prefix.
pub(super) fn write(plain: &[u8], base: usize, copies: &[Copied], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    put_length(plain.len(), out);
    let mut pieces = Pieces { base, copies: copies.iter().copied(), current: None, last: 1 };
    let mut start = 0;
    loop {
        let end = (start + BLOCK).min(plain.len());
        pieces.block(plain, start..end, out);
        if end == plain.len() {
            return;
        }
        start = end;
    }
}

/// The frame's header: one segment, no checksum, no dictionary, the length of the content.
fn put_length(length: usize, out: &mut Vec<u8>) {
    const SINGLE: u8 = 1 << 5;
    match length {
        0..256 => out.extend_from_slice(&[SINGLE, length as u8]),
        256..65_792 => {
            out.push(SINGLE | 1 << 6);
            out.extend_from_slice(&(length as u16).wrapping_sub(256).to_le_bytes());
        }
        _ => {
            out.push(SINGLE | 2 << 6);
            out.extend_from_slice(&(length as u32).to_le_bytes());
        }
    }
}

/// The copies, taken block by block.
struct Pieces<I> {
    base: usize,
    copies: I,
    /// What is left of the copy that was begun last.
    current: Option<Copied>,
    /// The last match's distance.
    last: u64,
}

impl<I: Iterator<Item = Copied>> Pieces<I> {
    fn block(&mut self, plain: &[u8], range: std::ops::Range<usize>, out: &mut Vec<u8>) {
        let last = self.last;
        let (mut sequences, mut literals) = (Vec::new(), Vec::new());
        let mut at = range.start;
        while let Some(copied) = self.current.take().or_else(|| self.copies.next()) {
            let here = copied.length.min(range.end.saturating_sub(copied.at));
            if here >= SHORTEST_MATCH {
                literals.extend_from_slice(&plain[at..copied.at]);
                sequences.push(self.sequence(copied.at - at, here, copied));
                at = copied.at + here;
            }
            if here < copied.length {
                let Copied { at, from, length } = copied;
                self.current = Some(Copied { at: at + here, from: from + here, length: length - here });
                break;
            }
        }
        literals.extend_from_slice(&plain[at..range.end]);
        let header = out.len();
        out.extend_from_slice(&[0; 3]);
        if !sequences.is_empty() {
            put_literals(&literals, out);
            put_sequences(&sequences, out);
        }
        let mut kind = 2;
        if sequences.is_empty() || out.len() - header - 3 >= range.len() {
            // As it is. Readers learn no distance from that.
            out.truncate(header + 3);
            out.extend_from_slice(&plain[range.clone()]);
            (kind, self.last) = (0, last);
        }
        let length = (out.len() - header - 3) as u32;
        let head = length << 3 | kind << 1 | u32::from(range.end == plain.len());
        out[header..header + 3].copy_from_slice(&head.to_le_bytes()[..3]);
    }

    fn sequence(&mut self, literals: usize, length: usize, copied: Copied) -> Sequence {
        let distance = (copied.at + self.base - copied.from) as u64;
        // Without literals before it, 1 would mean the distance before the last.
        let offset = if distance == self.last && literals > 0 { 1 } else { distance + 3 };
        self.last = distance;
        Sequence { literals, length, offset }
    }
}

/// Literals as they are.
fn put_literals(literals: &[u8], out: &mut Vec<u8>) {
    let length = literals.len() as u32;
    match length {
        0..32 => out.push((length << 3) as u8),
        32..4_096 => out.extend_from_slice(&(length << 4 | 1 << 2).to_le_bytes()[..2]),
        _ => out.extend_from_slice(&(length << 4 | 3 << 2).to_le_bytes()[..3]),
    }
    out.extend_from_slice(literals);
}

/// Sequences, the last one first.
fn put_sequences(sequences: &[Sequence], out: &mut Vec<u8>) {
    match sequences.len() {
        count @ ..128 => out.push(count as u8),
        count @ 128..0x7F00 => out.extend_from_slice(&[(count >> 8) as u8 + 128, count as u8]),
        count => {
            out.push(255);
            out.extend_from_slice(&((count - 0x7F00) as u16).to_le_bytes());
        }
    }
    let codes =
        |sequence: &Sequence| [of_literals(sequence.literals), of_offset(sequence.offset), of_match(sequence.length)];
    let codes: Vec<[Code; 3]> = sequences.iter().map(codes).collect();
    let Some((last, others)) = codes.split_last() else { return };
    let same: [bool; 3] = std::array::from_fn(|kind| others.iter().all(|code| code[kind].symbol == last[kind].symbol));
    // A kind of which all have one code is named once.
    out.push(same.iter().fold(0, |modes, same| modes << 2 | u8::from(*same)) << 2);
    let single = last.iter().zip(same).filter(|(_, same)| *same);
    out.extend(single.map(|(code, _)| code.symbol as u8));
    let mut bits = Bits::new(out);
    let tables: [&Table; 3] = [&LITERALS, &OFFSETS, &MATCHES];
    let mut states =
        std::array::from_fn::<_, 3, _>(|kind| (!same[kind]).then(|| tables[kind].start(last[kind].symbol)));
    put_extra(last, &mut bits);
    for codes in others.iter().rev() {
        for kind in [1, 2, 0] {
            if let Some(state) = &mut states[kind] {
                state.write(codes[kind].symbol, &mut bits);
            }
        }
        put_extra(codes, &mut bits);
    }
    let [literals, offset, length] = states;
    for state in [length, offset, literals].into_iter().flatten() {
        state.finish(&mut bits);
    }
    bits.finish();
}

/// The further bits of a sequence's codes.
fn put_extra([literals, offset, length]: &[Code; 3], bits: &mut Bits<'_>) {
    for code in [literals, length, offset] {
        bits.add(code.extra, code.bits);
    }
}
