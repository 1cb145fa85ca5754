//! Numbers and texts of the custom format. Each read answers `None` where the bytes at hand end before it does.

use super::Layout;

/// The entry has data somewhere behind the table of contents.
const PLACE_UNKNOWN: u8 = 1;

/// The entry's data begin where the number behind this says.
const PLACE_KNOWN: u8 = 2;

/// A place in the bytes at hand.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    layout: Option<Layout>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: Option<Layout>) -> Self {
        Self { bytes, at: 0, layout }
    }

    pub(super) fn set_layout(&mut self, layout: Layout) {
        self.layout = Some(layout);
    }

    /// Bytes read so far.
    pub(super) fn taken(&self) -> usize {
        self.at
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        let size = self.layout?.integer;
        self.bytes(size + 1).map(integer)
    }

    /// A text, or the absence of one, in the archive's encoding.
    pub(super) fn text(&mut self) -> Result<Option<Option<&'a [u8]>>, ()> {
        let Some(length) = self.integer() else { return Ok(None) };
        if length < 0 {
            return Ok(Some(None));
        }
        let length = usize::try_from(length).map_err(|_| ())?;
        if length > super::MOST_TOC_BYTES {
            return Err(());
        }
        Ok(self.bytes(length).map(Some))
    }

    /// A place in the file, of which only the length matters here.
    pub(super) fn offset(&mut self) -> Option<()> {
        let size = self.layout?.offset;
        self.bytes(size + 1).map(|_| ())
    }
}

/// A number: a sign, then its magnitude, least byte first.
pub(super) fn integer(bytes: &[u8]) -> i64 {
    let magnitude = bytes.iter().skip(1).rev().fold(0_i64, |value, &byte| (value << 8) | i64::from(byte));
    if bytes.first().is_some_and(|&sign| sign != 0) { magnitude.wrapping_neg() } else { magnitude }
}

/// Writes a number as an archive holds it, in so many bytes.
pub(super) fn write_integer(bytes: &mut Vec<u8>, value: i64, integer: usize) {
    bytes.push(u8::from(value < 0));
    bytes.extend(value.unsigned_abs().to_le_bytes().iter().copied().chain(std::iter::repeat(0)).take(integer));
}

/// Writes a text as an archive holds it.
pub(super) fn write_text(bytes: &mut Vec<u8>, text: &[u8], integer: usize) {
    // Archives of every version write numbers of four bytes; a text of an entry is far shorter than those can tell.
    write_integer(bytes, i64::try_from(text.len()).unwrap_or(i64::MAX), integer);
    bytes.extend_from_slice(text);
}

/// Writes that there is no text.
pub(super) fn write_no_text(bytes: &mut Vec<u8>, integer: usize) {
    write_integer(bytes, -1, integer);
}

/// Writes where in the archive an entry's data begin, as far as that is known.
pub(super) fn write_offset(bytes: &mut Vec<u8>, place: Option<u64>, offset: usize) {
    bytes.push(if place.is_some() { PLACE_KNOWN } else { PLACE_UNKNOWN });
    let place = place.unwrap_or_default().to_le_bytes();
    bytes.extend(place.iter().copied().chain(std::iter::repeat(0)).take(offset));
}
