//! Numbers as zstd's sequences have them (RFC 8878, 3.1.1.3.2): each is a code, written with the predefined table of its
//! kind, and further bits as they are.

use std::sync::LazyLock;

/// Bits, written from the lowest on. Readers go backwards, so the last ones written come first.
pub(super) struct Bits<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Adds the lowest bits of a number, 32 at most.
    pub(super) fn add(&mut self, value: u64, bits: u32) {
        self.pending |= (value & ((1 << bits) - 1)) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Ends with the bit that tells a reader where to begin.
    pub(super) fn finish(mut self) {
        self.add(1, 1);
        if self.count > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

/// A number as code and further bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) symbol: usize,
    pub(super) extra: u64,
    pub(super) bits: u32,
}

/// The further bits of the codes that stand for more than one number, which follow those that stand for one.
const LITERAL_BITS: [u32; 20] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS: [u32; 21] = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// The code of a number, the first `single` of which have one for themselves.
fn code(value: u64, single: u64, ranges: &[u32]) -> Code {
    if value < single {
        return Code { symbol: value as usize, extra: 0, bits: 0 };
    }
    let mut code = Code { symbol: single as usize, extra: value - single, bits: 0 };
    for bits in ranges {
        code.bits = *bits;
        if code.extra >> bits == 0 {
            break;
        }
        code.extra -= 1 << bits;
        code.symbol += 1;
    }
    code
}

/// The code of a number of literals, below 131,072.
pub(super) fn of_literals(length: usize) -> Code {
    code(length as u64, 16, &LITERAL_BITS)
}

/// The code of a match's length, from 3 to below 131,075.
pub(super) fn of_match(length: usize) -> Code {
    code(length as u64 - 3, 32, &MATCH_BITS)
}

/// The code of an offset's value, from 1 on.
pub(super) fn of_offset(value: u64) -> Code {
    let bits = value.ilog2();
    Code { symbol: bits as usize, extra: value - (1 << bits), bits }
}

const LITERAL_COUNTS: [i8; 36] =
    [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1];
const MATCH_COUNTS: [i8; 53] = [
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
];
const OFFSET_COUNTS: [i8; 29] =
    [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1];

pub(super) static LITERALS: LazyLock<Table> = LazyLock::new(|| Table::new(&LITERAL_COUNTS, 6));
pub(super) static MATCHES: LazyLock<Table> = LazyLock::new(|| Table::new(&MATCH_COUNTS, 6));
pub(super) static OFFSETS: LazyLock<Table> = LazyLock::new(|| Table::new(&OFFSET_COUNTS, 5));

/// How a symbol moves the state.
#[derive(Debug, Clone, Copy, Default)]
struct Move {
    /// The bits to write are what the state plus this is, above its lower sixteen bits.
    bits: i64,
    /// Where the symbol's states begin, less the lowest value a shifted state has.
    first: i64,
}

/// A predefined table, for writing.
pub(super) struct Table {
    log: u32,
    moves: Vec<Move>,
    /// The next state by where a symbol's states begin and how far into them.
    next: Vec<u16>,
}

impl Table {
    /// Builds the table as readers do (RFC 8878, 4.1.1), and turns it around. A count of -1 is a probability below one.
    fn new(counts: &[i8], log: u32) -> Self {
        let size = 1_usize << log;
        let mut symbols = vec![0; size];
        let mut highest = size;
        for (symbol, _) in counts.iter().enumerate().filter(|(_, count)| **count == -1) {
            highest -= 1;
            symbols[highest] = symbol;
        }
        let mut position = 0;
        for (symbol, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                symbols[position] = symbol;
                loop {
                    position = (position + (size >> 1) + (size >> 3) + 3) & (size - 1);
                    if position < highest {
                        break;
                    }
                }
            }
        }
        let mut moves = Vec::with_capacity(counts.len());
        let mut next = Vec::with_capacity(size);
        for (symbol, count) in counts.iter().enumerate() {
            let states = i64::from(count.unsigned_abs());
            let most = match states {
                ..=1 => log,
                states => log - (states - 1).ilog2(),
            };
            moves.push(Move { bits: (i64::from(most) << 16) - (states << most), first: next.len() as i64 - states });
            next.extend((0..size).filter(|at| symbols[*at] == symbol).map(|at| (size + at) as u16));
        }
        Self { log, moves, next }
    }

    /// The state in which a reader ends with this symbol.
    pub(super) fn start(&self, symbol: usize) -> State<'_> {
        let Move { bits, first } = self.moves[symbol];
        let count = (bits + (1 << 15)) >> 16;
        let value = (count << 16) - bits;
        State { table: self, value: i64::from(self.next[((value >> count) + first) as usize]) }
    }
}

/// The state of writing with a table.
pub(super) struct State<'a> {
    table: &'a Table,
    value: i64,
}

impl State<'_> {
    /// Writes a symbol; readers will have it before what was written until now.
    pub(super) fn write(&mut self, symbol: usize, out: &mut Bits<'_>) {
        let Move { bits, first } = self.table.moves[symbol];
        let count = (self.value + bits) >> 16;
        out.add(self.value as u64, count as u32);
        self.value = i64::from(self.table.next[((self.value >> count) + first) as usize]);
    }

    /// Writes the state itself.
    pub(super) fn finish(self, out: &mut Bits<'_>) {
        out.add(self.value as u64, self.table.log);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        let code = |symbol, extra, bits| Code { symbol, extra, bits };
        for (length, expected) in
            [(0, code(0, 0, 0)), (15, code(15, 0, 0)), (17, code(16, 1, 1)), (63, code(24, 15, 4))]
        {
            assert_eq!(of_literals(length), expected, "{length}");
        }
        assert_eq!(of_literals(65_536), code(35, 0, 16));
        for (length, expected) in
            [(3, code(0, 0, 0)), (34, code(31, 0, 0)), (36, code(32, 1, 1)), (130, code(42, 31, 5))]
        {
            assert_eq!(of_match(length), expected, "{length}");
        }
        assert_eq!([131, 65_539].map(of_match), [code(43, 0, 7), code(52, 0, 16)]);
        assert_eq!([1, 4, 1_003].map(of_offset), [code(0, 0, 0), code(2, 0, 2), code(9, 491, 9)]);
    }
}
