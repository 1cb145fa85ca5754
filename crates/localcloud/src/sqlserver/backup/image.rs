//! Images that are written: any part of one, made when it is asked for, never the whole of it at once.

use std::io;

use haulier_pages::{PAGE, Random};

use super::blocks::{HEAD, Tape, date};
use super::header::{Header, Kind};
use super::lsn::Lsn;
use crate::sqlserver::tds::to_utf16;

/// Bytes of an extent: what a differential backup takes whole.
pub(crate) const EXTENT: usize = 8 * PAGE;
/// Bytes of log in an image.
const LOG: usize = 64 << 10;
/// Bytes of the fixed part of `SCIN`, and of `SFIN`.
const SCIN: usize = 0x16C;
const SFIN: usize = 0x400;

/// A database's pages, by extent.
pub(crate) trait Pages: Send + Sync {
    /// Fills an extent.
    fn extent(&self, number: u32, into: &mut [u8; EXTENT]) -> io::Result<()>;
}

/// One file of a backup.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    head: Vec<u8>,
    extents: Vec<u32>,
    tail: Vec<u8>,
}

impl Image {
    /// A file of a backup with these extents.
    pub(crate) fn new(header: &Header, extents: Vec<u32>) -> Self {
        let data = extents.len() as u64 * EXTENT as u64;
        let (mut tape, configuration) = begin(header, extents.len() as u64 * 8);
        tape.block(b"MSDA", 0, &[0, 0, 0, 0, 0, 0, 1, 0]);
        tape.pad_for_data();
        tape.stream(b"MQDA", 2, data + 2);
        tape.bytes.extend_from_slice(&[0, 0]);
        let mut rest = tape.resume(data);
        rest.stream(b"MQDA", 6, 0);
        rest.pad();
        rest.block(b"MSTL", 0, &[0; 0x250 - HEAD]);
        rest.pad_for_data();
        rest.stream(b"MQTL", 0, LOG as u64 + 2);
        rest.bytes.extend_from_slice(&[0, 0]);
        rest.bytes.extend_from_slice(&log(header));
        rest.pad();
        end(&mut rest, header, &configuration);
        Self { head: tape.bytes, extents, tail: rest.bytes }
    }

    /// Bytes of the whole file.
    pub(crate) fn length(&self) -> u64 {
        self.data_end() + self.tail.len() as u64
    }

    fn data_end(&self) -> u64 {
        self.head.len() as u64 + self.extents.len() as u64 * EXTENT as u64
    }

    /// Bytes from `offset` on, at most `length`.
    pub(crate) fn read(&self, pages: &dyn Pages, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = (offset + length as u64).min(self.length());
        let mut bytes = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).map_err(io::Error::other)?);
        let mut at = offset;
        let mut extent = Box::new([0; EXTENT]);
        while at < end {
            let left = usize::try_from(end - at).map_err(io::Error::other)?;
            let (data_start, data_end) = (self.head.len() as u64, self.data_end());
            let part: &[u8] = if at < data_start {
                &self.head[at as usize..]
            } else if at < data_end {
                let within = at - data_start;
                pages.extent(self.extents[(within / EXTENT as u64) as usize], &mut extent)?;
                &extent[(within % EXTENT as u64) as usize..]
            } else {
                &self.tail[(at - data_end) as usize..]
            };
            let part = &part[..part.len().min(left)];
            bytes.extend_from_slice(part);
            at += part.len() as u64;
        }
        Ok(bytes)
    }
}

/// What every image begins with; the stream `MQCI` comes again in its end.
pub(super) fn begin(header: &Header, pages: u64) -> (Tape, Vec<u8>) {
    let mut tape = Tape::default();
    media(&mut tape, header);
    let configuration = configuration(header, pages);
    let finished = date(header.finished);
    tape.block(b"SSET", 0, &set(header, finished));
    tape.pad();
    tape.block(b"VOLB", 0, &[&[0; 12][..], &finished, &[0; 3]].concat());
    tape.pad();
    tape.block(b"MSCI", 0, &[0; 4]);
    tape.whole_stream(b"MQCI", &configuration);
    tape.pad();
    (tape, configuration)
}

/// What every image ends in.
pub(super) fn end(tape: &mut Tape, header: &Header, configuration: &[u8]) {
    tape.block(b"MSLS", 0, &[0; 4]);
    tape.whole_stream(b"MQCI", configuration);
    tape.pad();
    tape.mark();
    tape.block(b"ESET", 0, &[&[0; 28][..], &date(header.finished), &[0; 3]].concat());
    tape.pad();
    tape.mark();
}

fn media(tape: &mut Tape, header: &Header) {
    let name = to_utf16("Microsoft SQL Server");
    let family = Random::new(header.set.as_u64_pair().0, u64::from(header.member.number)).next() as u32;
    let mut body = family.to_le_bytes().to_vec();
    body.extend_from_slice(&[5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 3, 0]);
    body.resize(28, 0);
    body.extend_from_slice(&(name.len() as u16 + 4).to_le_bytes());
    body.extend_from_slice(&0x5E_u16.to_le_bytes());
    body.extend_from_slice(&[0, 4, 0, 0x12]);
    body.extend_from_slice(&date(header.finished));
    body.push(1);
    body.extend_from_slice(&name);
    body.resize(0x8C - HEAD, 0);
    tape.block(b"TAPE", 0x0003_0000, &body);
    let mut raid = header.set.to_bytes_le().to_vec();
    raid.extend_from_slice(&[0xAD, 0, 0, 0xF0]);
    raid.extend_from_slice(&header.member.of.to_le_bytes());
    raid.extend_from_slice(&header.member.number.to_le_bytes());
    raid.extend_from_slice(&[1, 0, 0, 0, 0, 0, 1, 0]);
    tape.whole_stream(b"RAID", &raid);
    tape.pad();
    tape.mark();
}

fn set(header: &Header, finished: [u8; 5]) -> Vec<u8> {
    let mut body = vec![0; 0x74 - HEAD];
    body[0x58 - HEAD..0x5D - HEAD].copy_from_slice(&finished);
    body[0x64 - HEAD..0x74 - HEAD].copy_from_slice(&header.set.to_bytes_le());
    body
}

/// The stream `MQCI`.
fn configuration(header: &Header, pages: u64) -> Vec<u8> {
    let mut bytes = vec![0; SCIN];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"SCIN");
    put(8, &[0, if header.kind == Kind::Differential { 0x0A } else { 2 }, 0, 0, 1, 0, 0, 0, 1]);
    put(0x1C, &[9]);
    put(0x20, &short(header.first));
    put(0x2A, &short(header.last));
    put(0x34, &short(header.checkpoint));
    put(0x3E, &short(header.database_backup));
    put(0x48, &date(header.started));
    put(0x4D, &date(header.finished));
    put(0x57, &[header.kind.letter() as u8, 0, 1, 0, header.compatibility]);
    put(0x5E, &header.version.to_le_bytes());
    put(0x60, &header.bytes.to_le_bytes());
    put(0x9C, &header.family.to_bytes_le());
    put(0xE0, &header.fork.to_bytes_le());
    if let Some(base) = header.base {
        put(0xC8, &base.set.to_bytes_le());
        put(0x104, &short(base.lsn));
        put(0x110, &base.set.to_bytes_le());
    }
    for (at, text) in [(0x68, &header.database), (0x6C, &header.server)] {
        add_text(&mut bytes, at, text);
    }
    let length = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    for (number, part) in (1_u32..).zip(&header.parts) {
        let mut chunk = vec![0; SFIN];
        let mut put = |at: usize, value: &[u8]| chunk[at..at + value.len()].copy_from_slice(value);
        put(0, b"SFIN");
        put(8, &[if part.log { 0x0C } else { 4 }]);
        put(0x10, &(PAGE as u32).to_le_bytes());
        put(0x14, &number.to_le_bytes());
        put(0x18, &(if part.log { 0 } else { pages as u32 }).to_le_bytes());
        put(0x28, &part.bytes.to_le_bytes());
        put(0xBA, &part.file_guid.to_bytes_le());
        let physical = format!("D:\\rdsdbdata\\DATA\\{}.{}", part.logical_name, if part.log { "ldf" } else { "mdf" });
        for (at, text) in [(0x30, &part.logical_name), (0x34, &physical)] {
            add_text(&mut chunk, at, text);
        }
        let length = chunk.len() as u32;
        chunk[4..8].copy_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

/// Puts a text at the end of a chunk, its length and its place at `at`.
fn add_text(chunk: &mut Vec<u8>, at: usize, text: &str) {
    let (bytes, place) = (to_utf16(text), chunk.len() as u16);
    chunk[at..at + 2].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
    chunk[at + 2..at + 4].copy_from_slice(&place.to_le_bytes());
    chunk.extend_from_slice(&bytes);
}

pub(super) fn short(lsn: Lsn) -> Vec<u8> {
    [&lsn.file.to_le_bytes()[..], &lsn.block.to_le_bytes(), &lsn.slot.to_le_bytes()].concat()
}

/// Log records: nobody reads them, and no two backups have the same.
fn log(header: &Header) -> Vec<u8> {
    let mut random = Random::new(header.set.as_u64_pair().1, header.last.number() as u64);
    (0..LOG / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}
