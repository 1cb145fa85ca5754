//! The tape format's blocks and streams, each with its checksum, on the grid that SQL Server keeps.

use jiff::civil::DateTime;

/// Bytes of the head that all blocks have.
pub(super) const HEAD: usize = 52;
/// Bytes of a stream's head.
pub(super) const STREAM: usize = 22;
/// Where blocks may begin after the first file mark.
const GRID: usize = 0x400;
/// Bytes of a soft file mark.
const MARK: usize = 0x200;

/// A tape under construction.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) bytes: Vec<u8>,
    /// Bytes that precede these on the tape.
    pub(super) before: u64,
    /// Where blocks are counted from: the first one after the first file mark.
    origin: u64,
    number: u32,
}

impl Tape {
    /// Goes on after so many bytes that others write.
    pub(super) fn resume(&self, skipped: u64) -> Self {
        Self {
            bytes: Vec::new(),
            before: self.before + self.bytes.len() as u64 + skipped,
            origin: self.origin,
            number: self.number,
        }
    }

    fn position(&self) -> u64 {
        self.before + self.bytes.len() as u64
    }

    /// A block with what follows its head.
    pub(super) fn block(&mut self, kind: &[u8; 4], attributes: u32, body: &[u8]) {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(kind);
        head[4..8].copy_from_slice(&attributes.to_le_bytes());
        head[8..10].copy_from_slice(&((HEAD + body.len()) as u16).to_le_bytes());
        // Windows, version 1.
        head[10..12].copy_from_slice(&[0x0E, 0x01]);
        if self.origin > 0 {
            head[20..28].copy_from_slice(&((self.position() - self.origin) / GRID as u64).to_le_bytes());
            head[36..40].copy_from_slice(&self.number.to_le_bytes());
            self.number += 1;
        }
        // Text is UTF-16.
        head[48..50].copy_from_slice(&[2, 0]);
        let sum = checksum(&head[..50]);
        head[50..52].copy_from_slice(&sum.to_le_bytes());
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(body);
        self.align(4);
    }

    /// A soft file mark.
    pub(super) fn mark(&mut self) {
        let start = self.bytes.len();
        self.block(b"SFMB", 0x8000_0000, &[]);
        self.bytes[start + 8..start + 10].copy_from_slice(&(MARK as u16).to_le_bytes());
        let sum = checksum(&self.bytes[start..start + 50]);
        self.bytes[start + 50..start + 52].copy_from_slice(&sum.to_le_bytes());
        self.bytes.resize(start + MARK, 0);
        if self.origin == 0 {
            self.origin = self.position();
        }
    }

    /// A stream's head, for so many bytes that follow.
    pub(super) fn stream(&mut self, kind: &[u8; 4], attributes: u16, length: u64) {
        self.align(4);
        let mut head = [0; STREAM];
        head[..4].copy_from_slice(kind);
        head[6..8].copy_from_slice(&attributes.to_le_bytes());
        head[8..16].copy_from_slice(&length.to_le_bytes());
        let sum = checksum(&head[..20]);
        head[20..22].copy_from_slice(&sum.to_le_bytes());
        self.bytes.extend_from_slice(&head);
    }

    /// A whole stream.
    pub(super) fn whole_stream(&mut self, kind: &[u8; 4], data: &[u8]) {
        self.stream(kind, 0, data.len() as u64);
        self.bytes.extend_from_slice(data);
        self.align(4);
    }

    /// Ends a block: padding up to where the next may begin.
    pub(super) fn pad(&mut self) {
        self.align(4);
        let from = self.position() + STREAM as u64 - self.origin;
        let fill = (GRID as u64 - from % GRID as u64) % GRID as u64;
        self.stream(b"SPAD", 0, fill);
        self.bytes.resize(self.bytes.len() + fill as usize, 0);
    }

    /// Padding after which a stream's head and its two bytes of a number end at a multiple of 512.
    pub(super) fn pad_for_data(&mut self) {
        self.align(4);
        let from = self.position() as usize + STREAM + STREAM + 2;
        let fill = (MARK - from % MARK) % MARK;
        // The stream after this one begins at a multiple of four, as everything here does: 512 is one.
        self.stream(b"APAD", 0x80, fill as u64);
        self.bytes.resize(self.bytes.len() + fill, 0);
    }

    fn align(&mut self, to: usize) {
        while !self.position().is_multiple_of(to as u64) {
            self.bytes.push(0);
        }
    }
}

/// Exclusive or of all 16-bit words.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    bytes.as_chunks::<2>().0.iter().fold(0, |sum, word| sum ^ u16::from_le_bytes(*word))
}

/// The tape format's date: 14 bits of year, 4 of month, 5 of day, 5 of hour, 6 of minute, 6 of second.
pub(super) fn date(moment: DateTime) -> [u8; 5] {
    let fields = [
        (moment.year() as u64, 14),
        (moment.month() as u64, 4),
        (moment.day() as u64, 5),
        (moment.hour() as u64, 5),
        (moment.minute() as u64, 6),
        (moment.second() as u64, 6),
    ];
    let bits = fields.iter().fold(0_u64, |bits, (value, width)| bits << width | (value & ((1 << width) - 1)));
    let bytes = bits.to_be_bytes();
    [bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
}

/// The moment of such a date; `None` where it is none.
pub(super) fn moment(date: [u8; 5]) -> Option<DateTime> {
    let mut bits = date.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut take = |width: u32| {
        let value = bits & ((1 << width) - 1);
        bits >>= width;
        i8::try_from(value).ok()
    };
    let (second, minute, hour, day, month) = (take(6)?, take(6)?, take(5)?, take(5)?, take(4)?);
    DateTime::new(i16::try_from(bits).ok()?, month, day, hour, minute, second, 0).ok()
}
