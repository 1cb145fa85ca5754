//! Images of log backups, and the records in them.
//!
//! They have the blocks of every other image but `MSDA`, and the log in `MQTL`. What lies in there is the stand-in's own:
//!
//! ```text
//! milliseconds since 1970 until which the log goes   u64
//! number of changes                                   u64
//! per change    LSN (10), 2 bytes of zeros, generation (4), milliseconds of its commit (8), number of pages (8)
//!   per page    number (4), generation (4), and noise in place of the rows: 504 bytes
//! ```
//!
//! A change's rows follow from its generation and its pages, which is what is carried out again; the noise gives the file
//! the size of rows.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use haulier_pages::Random;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::blocks::HEAD;
use super::header::Header;
use super::image::{begin, end, short};
use super::lsn::Lsn;

/// Bytes of the head of a log, and of that of a change.
const LOG_HEAD: usize = 16;
const CHANGE_HEAD: usize = 32;
/// Bytes of a page's record.
const RECORD: usize = 512;

/// A change of pages, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) lsn: Lsn,
    /// UTC, in whole milliseconds.
    pub(crate) committed: DateTime,
    pub(crate) generation: u32,
    pub(crate) pages: Vec<u32>,
}

/// What a log backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Records {
    /// The moment until which it tells what happened, in whole milliseconds.
    pub(crate) until: DateTime,
    /// Oldest first.
    pub(crate) changes: Vec<Change>,
}

impl Records {
    /// Bytes of the records in an image.
    pub(crate) fn length(&self) -> u64 {
        let pages = |change: &Change| (CHANGE_HEAD + change.pages.len() * RECORD) as u64;
        LOG_HEAD as u64 + self.changes.iter().map(pages).sum::<u64>()
    }

    /// The image of a log backup.
    pub(crate) fn image(&self, header: &Header) -> Vec<u8> {
        let (mut tape, configuration) = begin(header, 0);
        tape.block(b"MSTL", 0, &[0; 0x250 - HEAD]);
        tape.pad_for_data();
        tape.stream(b"MQTL", 0, self.length() + 2);
        tape.bytes.extend_from_slice(&[0, 0]);
        self.write(&mut tape.bytes);
        tape.pad();
        end(&mut tape, header, &configuration);
        tape.bytes
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&milliseconds(self.until).to_le_bytes());
        into.extend_from_slice(&(self.changes.len() as u64).to_le_bytes());
        for change in &self.changes {
            into.extend_from_slice(&short(change.lsn));
            into.extend_from_slice(&[0, 0]);
            into.extend_from_slice(&change.generation.to_le_bytes());
            into.extend_from_slice(&milliseconds(change.committed).to_le_bytes());
            into.extend_from_slice(&(change.pages.len() as u64).to_le_bytes());
            for page in &change.pages {
                into.extend_from_slice(&page.to_le_bytes());
                into.extend_from_slice(&change.generation.to_le_bytes());
                let mut random = Random::new(u64::from(change.generation), u64::from(*page));
                into.extend((0..(RECORD - 8) / 8).flat_map(|_| random.next().to_le_bytes()));
            }
        }
    }

    /// Reads what lies in this range of a file; `None` where it is something else. Blocking.
    pub(crate) fn read(path: &Path, range: &Range<u64>) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        File::open(path)?.read_exact_at(&mut bytes, range.start)?;
        Ok(Self::parse(&bytes))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let until = moment(u64::from_le_bytes(take(&mut rest)?))?;
        let mut changes = Vec::new();
        for _ in 0..u64::from_le_bytes(take(&mut rest)?) {
            let (file, block) = (u32::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?));
            let slot = u16::from_le_bytes(take(&mut rest)?);
            take::<2>(&mut rest)?;
            let generation = u32::from_le_bytes(take(&mut rest)?);
            let committed = moment(u64::from_le_bytes(take(&mut rest)?))?;
            let mut pages = Vec::new();
            for _ in 0..u64::from_le_bytes(take(&mut rest)?) {
                pages.push(u32::from_le_bytes(*take::<RECORD>(&mut rest)?.first_chunk()?));
            }
            changes.push(Change { lsn: Lsn { file, block, slot }, committed, generation, pages });
        }
        Some(Self { until, changes })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

fn milliseconds(moment: DateTime) -> u64 {
    let stamp = TimeZone::UTC.to_timestamp(moment).map_or(0, |stamp| stamp.as_millisecond());
    stamp.max(0).unsigned_abs()
}

fn moment(milliseconds: u64) -> Option<DateTime> {
    let stamp = jiff::Timestamp::from_millisecond(i64::try_from(milliseconds).ok()?).ok()?;
    Some(TimeZone::UTC.to_datetime(stamp))
}
