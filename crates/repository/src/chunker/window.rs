//! What of a stream is not cut yet, in one piece. Chunks are slices of the buffer that it lies in, so a buffer is used again
//! only when the last of its chunks is gone. A new one would come from the kernel page by page, each time.

use std::collections::VecDeque;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};

/// Buffers that are kept until their chunks are gone: about as many as the batches that a stream has in work lie in.
const KEPT: usize = 4;

/// The bytes between the last cut and what has come last.
#[derive(Default)]
pub(super) struct Window {
    open: BytesMut,
    /// Full ones, the oldest first.
    full: VecDeque<BytesMut>,
}

impl Window {
    /// Takes as many of the bytes as there is room for; where there is none, makes room for `size` in all.
    pub(super) fn feed(&mut self, bytes: &mut &[u8], size: usize) {
        if self.open.capacity() == self.open.len() {
            let mut next = self.empty(size);
            next.extend_from_slice(&self.open);
            self.open.clear();
            self.full.push_back(std::mem::replace(&mut self.open, next));
            if self.full.len() > KEPT {
                self.full.pop_front();
            }
        }
        let room = (self.open.capacity() - self.open.len()).min(bytes.len());
        let (now, later) = bytes.split_at(room);
        self.open.extend_from_slice(now);
        *bytes = later;
    }

    /// The oldest buffer whose chunks are gone, or a new one.
    fn empty(&mut self, size: usize) -> BytesMut {
        let size = size.max(self.open.len() + 1);
        let free = self.full.iter_mut().position(|buffer| buffer.try_reclaim(size));
        free.and_then(|at| self.full.remove(at)).unwrap_or_else(|| BytesMut::with_capacity(size))
    }

    /// Takes so many bytes off its front, which must be there.
    pub(super) fn take(&mut self, length: usize) -> Bytes {
        self.open.split_to(length).freeze()
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(window: &mut Window, byte: u8) {
        window.feed(&mut &[byte; 1_000][..], 1_000);
    }

    #[test]
    fn a_buffer_is_used_again_when_its_chunks_are_gone_and_not_before() {
        let mut window = Window::default();
        fill(&mut window, 1);
        let first = window.as_ptr();
        let held = window.take(1_000);
        fill(&mut window, 2);
        assert_ne!(window.as_ptr(), first);
        let second = window.as_ptr();
        assert_eq!(window.take(1_000), [2; 1_000][..]);
        // The first is held, and the second has been cut only now.
        fill(&mut window, 3);
        assert!(![first, second].contains(&window.as_ptr()));
        assert_eq!(window.take(1_000), [3; 1_000][..]);
        fill(&mut window, 4);
        assert_eq!(window.as_ptr(), second);
        assert_eq!(held, [1; 1_000][..]);
        drop(held);
        assert_eq!(window.take(1_000), [4; 1_000][..]);
        fill(&mut window, 5);
        assert_eq!(window.as_ptr(), first);
    }

    #[test]
    fn what_is_not_cut_goes_along_and_no_more_buffers_are_kept_than_are_of_use() {
        let mut window = Window::default();
        let mut held = Vec::new();
        for byte in 0..10 {
            let mut bytes = &[byte; 1_000][..];
            while !bytes.is_empty() {
                window.feed(&mut bytes, 1_000);
                if window.len() == 1_000 {
                    held.push(window.take(900));
                }
            }
        }
        let all: Vec<u8> = held.iter().flatten().copied().chain(window.iter().copied()).collect();
        assert_eq!(all, (0..10).flat_map(|byte| [byte; 1_000]).collect::<Vec<_>>());
        assert!(window.full.len() <= KEPT);
    }
}
