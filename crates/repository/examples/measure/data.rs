//! Streams to measure with, made from a seed: a mixed dump and its second day, appends, pages of a database file.

/// A small generator of numbers (xorshift64*): the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// A generator that is a function of its seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

const SYLLABLES: [&str; 32] = [
    "ka", "ro", "mi", "ten", "sol", "ba", "ver", "lin", "do", "gra", "pel", "un", "stor", "ha", "li", "er", "con",
    "tra", "mo", "sta", "fi", "re", "quo", "des", "ant", "il", "per", "vo", "na", "cer", "tu", "bri",
];

fn word(out: &mut Vec<u8>, random: &mut Random) {
    // Few words are frequent, as in any text.
    let rank = random.below(64) * random.below(64);
    let mut own = Random::new(rank + 7);
    for _ in 0..1 + own.below(3) {
        out.extend_from_slice(SYLLABLES[own.below(32) as usize].as_bytes());
    }
}

fn text(out: &mut Vec<u8>, random: &mut Random, words: u64) {
    for number in 0..words {
        if number > 0 {
            out.push(b' ');
        }
        word(out, random);
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(value.to_string().as_bytes());
}

fn time(out: &mut Vec<u8>, seconds: u64, random: &mut Random) {
    let day = seconds / 86_400;
    let parts =
        [2_024 + day / 336, 1 + day / 28 % 12, 1 + day % 28, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    let micros = random.below(1_000_000);
    let [year, month, day, hour, minute, second] = parts;
    out.extend_from_slice(
        format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}").as_bytes(),
    );
}

/// The tables of the mixed dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Customers,
    Orders,
    Events,
    Readings,
    Files,
}

impl Table {
    /// All of them, in the order of the dump.
    pub(crate) const ALL: [Self; 5] = [Self::Customers, Self::Orders, Self::Events, Self::Readings, Self::Files];

    /// The table's share of the whole, in percent.
    fn share(self) -> u64 {
        match self {
            Self::Orders => 35,
            Self::Events => 30,
            Self::Customers => 15,
            Self::Readings => 15,
            Self::Files => 5,
        }
    }

    /// Whether an updated row moves to the table's end, as it does where its page has no room.
    fn moves(self) -> bool {
        matches!(self, Self::Orders | Self::Readings)
    }

    /// One row as `COPY` prints it. A later version differs in a column or two.
    fn row(self, out: &mut Vec<u8>, id: u64, version: u64) {
        let mut fixed = Random::new(id.wrapping_mul(31) + self as u64);
        let mut changed = Random::new(id.wrapping_mul(37) + self as u64 + (version << 48));
        number(out, id);
        out.push(b'\t');
        match self {
            Self::Customers => {
                text(out, &mut fixed, 2);
                out.push(b'\t');
                word(out, &mut fixed);
                out.extend_from_slice(b"@example.com\t");
                text(out, &mut fixed, 4);
                out.push(b'\t');
                time(out, id / 3 + version * 40_000_000, &mut changed);
            }
            Self::Orders => {
                number(out, fixed.below(2_000_000));
                out.push(b'\t');
                number(out, fixed.below(90_000));
                out.extend_from_slice(format!("\t{}.{:02}\t", changed.below(900), changed.below(100)).as_bytes());
                out.extend_from_slice([&b"open"[..], b"paid", b"shipped", b"returned"][changed.below(4) as usize]);
                out.push(b'\t');
                time(out, id / 2 + version * 40_000_000, &mut changed);
                out.push(b'\t');
                text(out, &mut fixed, 4);
            }
            Self::Events => {
                out.extend_from_slice(b"{\"kind\": \"");
                word(out, &mut fixed);
                out.extend_from_slice(b"\", \"user\": ");
                number(out, fixed.below(500_000));
                out.extend_from_slice(b", \"tags\": [\"");
                word(out, &mut fixed);
                out.extend_from_slice(b"\", \"");
                word(out, &mut fixed);
                out.extend_from_slice(b"\"], \"score\": ");
                number(out, changed.below(100_000));
                out.extend_from_slice(b", \"message\": \"");
                text(out, &mut fixed, 6);
                out.extend_from_slice(b"\"}\t");
                time(out, id / 5 + version * 40_000_000, &mut changed);
            }
            Self::Readings => {
                number(out, fixed.below(5_000));
                out.push(b'\t');
                time(out, id, &mut fixed);
                for _ in 0..4 {
                    out.extend_from_slice(format!("\t{}.{:03}", changed.below(90), changed.below(1_000)).as_bytes());
                }
            }
            Self::Files => {
                out.extend_from_slice(b"\\\\x");
                for _ in 0..20 + fixed.below(20) {
                    out.extend_from_slice(format!("{:016x}", fixed.next()).as_bytes());
                }
                out.push(b'\t');
                time(out, id + version * 40_000_000, &mut changed);
            }
        }
        out.push(b'\n');
    }
}

/// A day of the mixed dump, and what of it is new since the day before.
pub(crate) struct Dump {
    pub(crate) bytes: Vec<u8>,
    /// The rows that were updated or added, one after another.
    pub(crate) changed: Vec<u8>,
}

/// What happens to rows between one day and the next, in rows of ten thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) appended: u64,
}

/// A dump of these tables of about `size` bytes on day `day`, counted from 1: each day after the first changes rows at random.
pub(crate) fn dump(tables: &[Table], size: usize, day: u64, change: Change) -> Dump {
    let shares: u64 = tables.iter().map(|table| table.share()).sum();
    let mut bytes = Vec::with_capacity(size + size / 8);
    let mut changed = Vec::new();
    for table in tables.iter().copied() {
        bytes.extend_from_slice(format!("\n-- Data for {table:?}\n\nCOPY public.{table:?} FROM stdin;\n").as_bytes());
        let mut sample = Vec::new();
        (0..1_000).for_each(|id| table.row(&mut sample, id * 50, 0));
        let first = size as u64 / shares * table.share() * 1_000 / sample.len() as u64;
        table_on(table, first, day, change, &mut bytes, &mut changed);
        bytes.extend_from_slice(b"\\.\n");
    }
    Dump { bytes, changed }
}

fn table_on(table: Table, first: u64, day: u64, change: Change, bytes: &mut Vec<u8>, changed: &mut Vec<u8>) {
    let mut rows: Vec<(u64, u64)> = (0..first).map(|id| (id, 0)).collect();
    let mut next = first;
    for today in 2..=day {
        let mut random = Random::new(today * 1_000 + table as u64);
        let mut moved = Vec::new();
        let (updated, deleted) = (change.updated, change.updated + change.deleted);
        rows.retain_mut(|row| match random.below(10_000) {
            draw if draw < updated => {
                row.1 = today;
                if table.moves() {
                    moved.push(*row);
                }
                !table.moves()
            }
            draw => draw >= deleted,
        });
        let added = next * change.appended / 10_000;
        rows.extend(moved);
        rows.extend((next..next + added).map(|id| (id, today)));
        next += added;
    }
    for (id, version) in rows {
        let start = bytes.len();
        table.row(bytes, id, version);
        if version == day && day > 1 {
            changed.extend_from_slice(&bytes[start..]);
        }
    }
}

/// Pages of 8 KiB like those of a database file, which zstd -3 shrinks to about a third.
pub(crate) fn pages(size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8_192);
    let mut number = 0;
    while bytes.len() < size {
        page(&mut bytes, number, 0);
        number += 1;
    }
    bytes
}

fn page(bytes: &mut Vec<u8>, number: u64, version: u64) {
    let end = bytes.len() + 8_192;
    let mut random = Random::new(number + (version << 40));
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&random.next().to_le_bytes());
    while bytes.len() < end - 200 {
        bytes.extend_from_slice(&[0x30, 0, 0x24, 0]);
        bytes.extend_from_slice(&random.next().to_le_bytes()[..6]);
        bytes.extend_from_slice(&(random.below(1 << 20) as u32).to_le_bytes());
        text(bytes, &mut random, 3);
        bytes.extend_from_slice(&[0, 0, 5, 0, 0]);
    }
    bytes.resize(end, 0);
}

/// The same with one page of a hundred written anew.
pub(crate) fn pages_changed(pages: &[u8]) -> Vec<u8> {
    let mut bytes = pages.to_vec();
    let mut random = Random::new(99);
    for number in 0..bytes.len() / 8_192 {
        if random.below(100) == 0 {
            let mut fresh = Vec::new();
            page(&mut fresh, number as u64, 1);
            bytes[number * 8_192..(number + 1) * 8_192].copy_from_slice(&fresh);
        }
    }
    bytes
}
