//! Numbers and texts of the custom format. Each read answers `None` where the bytes at hand end before it does.

use super::Layout;

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

/// Writes a text as an archive holds it.
pub(super) fn write_text(bytes: &mut Vec<u8>, text: &[u8], integer: usize) {
    bytes.push(0);
    // Archives of every version write numbers of four bytes; a text of an entry is far shorter than those can tell.
    let length = (text.len() as u64).to_le_bytes();
    bytes.extend(length.iter().copied().chain(std::iter::repeat(0)).take(integer));
    bytes.extend_from_slice(text);
}
