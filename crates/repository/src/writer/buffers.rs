//! Buffers of packs: a bounded number, used again and again. A new one would come from the kernel page by page, each time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right to fill one buffer, until the pack in it is uploaded.
pub(crate) type Permit = OwnedSemaphorePermit;

/// The buffers of one writer.
pub(super) struct Buffers {
    /// One permit per buffer. Closed when the writer stops.
    permits: Arc<Semaphore>,
    /// Those that nobody fills: empty, with the room they had.
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    pub(super) fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), idle: Mutex::default() }
    }

    /// Waits until a buffer may be filled. `None`: the writer has stopped.
    pub(super) async fn permit(&self) -> Option<Permit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// A buffer for who has a permit: empty, perhaps with room.
    pub(super) fn take(&self) -> Vec<u8> {
        self.idle().pop().unwrap_or_default()
    }

    /// Takes a buffer back, unless somebody still holds a part of it.
    pub(super) fn give_back(&self, body: Bytes, permit: Permit) {
        if let Ok(mut buffer) = body.try_into_mut() {
            buffer.clear();
            self.idle().push(buffer.into());
        }
        drop(permit);
    }

    /// Nobody gets a permit any more.
    pub(super) fn close(&self) {
        self.permits.close();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_buffer_comes_back_with_its_room_unless_somebody_holds_a_part_of_it() {
        let buffers = Buffers::new(1);
        let permit = buffers.permit().await.unwrap();
        let mut filled = buffers.take();
        assert_eq!(filled.capacity(), 0);
        filled.reserve(5_000);
        filled.extend_from_slice(b"a pack");
        let at = filled.as_ptr();
        buffers.give_back(Bytes::from(filled), permit);

        let permit = buffers.permit().await.unwrap();
        let mut again = buffers.take();
        assert!(again.is_empty() && again.capacity() >= 5_000 && again.as_ptr() == at);
        again.extend_from_slice(b"another");
        let body = Bytes::from(again);
        let held = body.slice(..3);
        buffers.give_back(body, permit);
        assert_eq!(held, "ano");

        assert!(buffers.permit().await.is_some());
        assert_eq!(buffers.take().capacity(), 0);
        buffers.close();
        assert!(buffers.permit().await.is_none());
    }
}
