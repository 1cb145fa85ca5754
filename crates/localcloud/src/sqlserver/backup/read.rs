//! Reading a backup's header, and finding its pages.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use haulier_pages::PAGE;
use jiff::civil::DateTime;
use uuid::Uuid;

use super::blocks::{HEAD, STREAM, checksum, moment};
use super::header::{Base, Header, Kind, Member, Part};
use super::image::EXTENT;
use super::lsn::Lsn;

/// Bytes within which the pages begin.
const HEADERS: u64 = 1 << 20;
/// Pages of an extent.
const PAGES: u32 = (EXTENT / PAGE) as u32;
/// Blocks that there are.
const BLOCKS: [&[u8; 4]; 12] =
    [b"TAPE", b"SFMB", b"SSET", b"VOLB", b"MSCI", b"MSDA", b"MSTL", b"MSLS", b"ESET", b"EOTM", b"DIRB", b"FILE"];

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// An uncompressed backup, and where its pages lie in the file; of a log backup, where its log does.
    Plain(Box<Header>, Range<u64>),
    /// A compressed one, which says no more.
    Compressed,
    /// Something else.
    Foreign,
}

/// Reads the header of a file.
pub(crate) fn inspect(path: &Path) -> io::Result<Inspected> {
    let mut head = Vec::new();
    File::open(path)?.take(HEADERS).read_to_end(&mut head)?;
    if head.starts_with(b"MSSQLBAK") {
        return Ok(Inspected::Compressed);
    }
    Ok(match parse(&head) {
        Some((header, pages)) => Inspected::Plain(Box::new(header), pages),
        None => Inspected::Foreign,
    })
}

/// Where each extent lies in a file, by its number; the first page of an extent tells it.
pub(crate) fn places(file: &File, pages: &Range<u64>) -> io::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    let mut offset = pages.start;
    let mut head = [0; 40];
    while offset + EXTENT as u64 <= pages.end {
        file.read_exact_at(&mut head, offset)?;
        let number = u32::from_le_bytes([head[32], head[33], head[34], head[35]]);
        found.push((number / PAGES, offset));
        offset += EXTENT as u64;
    }
    Ok(found)
}

struct Stream<'a> {
    kind: [u8; 4],
    /// Where its data begin, in the file.
    start: usize,
    length: u64,
    data: &'a [u8],
}

fn parse(bytes: &[u8]) -> Option<(Header, Range<u64>)> {
    let (mut set, mut member, mut configuration) = (None, Member { number: 1, of: 1 }, None);
    let mut at = 0;
    loop {
        let block = bytes.get(at..)?;
        let (kind, head) = (block.first_chunk::<4>()?, block.get(..HEAD)?);
        if !BLOCKS.contains(&kind) || checksum(&head[..50]) != u16_at(head, 50)? {
            return None;
        }
        let first_stream = at + usize::from(u16_at(head, 8)?);
        if kind == b"SFMB" {
            at = first_stream;
            continue;
        }
        if kind == b"SSET" {
            set = Some(guid_at(block, 0x64)?);
        }
        at = first_stream;
        while let Some(stream) = stream_at(bytes, at) {
            match &stream.kind {
                b"RAID" => member = Member { of: u16_at(stream.data, 20)?, number: u16_at(stream.data, 22)? },
                b"MQCI" if configuration.is_none() => configuration = Some(stream.data),
                // Before the log of any other backup come its pages.
                b"MQDA" | b"MQTL" => {
                    // Two bytes number the stream.
                    let data = stream.start as u64 + 2..stream.start as u64 + stream.length;
                    return Some((read_configuration(configuration?, set?, member)?, data));
                }
                _ => {}
            }
            let end = stream.start + usize::try_from(stream.length).ok()?;
            at = end.next_multiple_of(4);
        }
    }
}

fn stream_at(bytes: &[u8], at: usize) -> Option<Stream<'_>> {
    let head = bytes.get(at..at + STREAM)?;
    let kind = *head.first_chunk::<4>()?;
    if BLOCKS.contains(&&kind) || checksum(&head[..20]) != u16_at(head, 20)? {
        return None;
    }
    let (start, length) = (at + STREAM, u64_at(head, 8)?);
    let end = start.saturating_add(usize::try_from(length).ok()?).min(bytes.len());
    Some(Stream { kind, start, length, data: &bytes[start..end] })
}

fn read_configuration(bytes: &[u8], set: Uuid, member: Member) -> Option<Header> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..) {
        let Some(length) = u32_at(chunk, 4) else { break };
        if chunk.starts_with(b"SFIN") {
            parts.push(part(chunk)?);
        }
        at += usize::try_from(length).ok().filter(|length| *length > 0)?;
    }
    if !bytes.starts_with(b"SCIN") {
        return None;
    }
    let base_set = guid_at(bytes, 0x110)?;
    Some(Header {
        kind: Kind::of_letter(*bytes.get(0x57)?)?,
        database: text_at(bytes, bytes, 0x68)?,
        server: text_at(bytes, bytes, 0x6C)?,
        version: u16_at(bytes, 0x5E)?,
        compatibility: *bytes.get(0x5B)?,
        set,
        member,
        first: lsn_at(bytes, 0x20)?,
        last: lsn_at(bytes, 0x2A)?,
        checkpoint: lsn_at(bytes, 0x34)?,
        database_backup: lsn_at(bytes, 0x3E)?,
        base: (!base_set.is_nil()).then_some(Base { lsn: lsn_at(bytes, 0x104)?, set: base_set }),
        family: guid_at(bytes, 0x9C)?,
        fork: guid_at(bytes, 0xE0)?,
        started: date_at(bytes, 0x48)?,
        finished: date_at(bytes, 0x4D)?,
        bytes: u64_at(bytes, 0x60)?,
        parts,
    })
}

fn part(chunk: &[u8]) -> Option<Part> {
    Some(Part {
        logical_name: text_at(chunk, chunk, 0x30)?,
        file_guid: guid_at(chunk, 0xBA)?,
        log: u16_at(chunk, 8)? & 0x08 != 0,
        bytes: u64_at(chunk, 0x28)?,
    })
}

/// A text whose length and place stand at `at`.
fn text_at(chunk: &[u8], whole: &[u8], at: usize) -> Option<String> {
    let (length, place) = (usize::from(u16_at(chunk, at)?), usize::from(u16_at(chunk, at + 2)?));
    crate::sqlserver::tds::utf16(whole.get(place..place + length)?)
}

fn lsn_at(bytes: &[u8], at: usize) -> Option<Lsn> {
    Some(Lsn { file: u32_at(bytes, at)?, block: u32_at(bytes, at + 4)?, slot: u16_at(bytes, at + 8)? })
}

fn date_at(bytes: &[u8], at: usize) -> Option<DateTime> {
    moment(*bytes.get(at..)?.first_chunk()?)
}

fn guid_at(bytes: &[u8], at: usize) -> Option<Uuid> {
    Some(Uuid::from_bytes_le(*bytes.get(at..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
