//! Streams of earlier points that a new one has as they are: none of their bytes is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Writer;
use super::shared::Shared;
use super::stream_writer::enter;
use crate::error::Result;
use crate::list::build::ListBuilder;
use crate::list::walk::Walker;
use crate::stream::{StreamContent, StreamRoot};

impl Writer {
    /// Takes over a stream of an earlier point of the domain as it is: the new point has it as if it had been written again, and
    /// is as safe from prunes and under the same locks. Gives its root; `None` where not all of it is there for new points
    /// to rely on, because a part is lost or about to be deleted, or where its list cannot be read. It has to be written then.
    ///
    /// # Errors
    /// As for [`super::StreamWriter::write`].
    pub async fn take_over(&self, root: &StreamRoot) -> Result<Option<StreamRoot>> {
        self.shared.check()?;
        let taken = content(&self.shared, root).await;
        let Some(content) = self.shared.watch(taken)? else { return Ok(None) };
        let root = StreamRoot { content, ..root.clone() };
        self.shared.stats.chunks.fetch_add(root.chunks, Ordering::Relaxed);
        enter(&self.shared, &self.catalogue, &root).await?;
        Ok(Some(root))
    }
}

/// The list of a stream whose chunks are all known, its pages stored again as far as they have to be.
async fn content(shared: &Arc<Shared>, root: &StreamRoot) -> Result<Option<StreamContent>> {
    let unreadable = |error| tracing::warn!(stream = root.name, %error, "an earlier stream is not taken over");
    let mut walker = match Walker::new(root, 0..root.bytes) {
        Ok(walker) => walker,
        Err(error) => {
            unreadable(error);
            return Ok(None);
        }
    };
    let mut list = ListBuilder::default();
    loop {
        let chunks = match walker.next(&shared.core).await {
            Ok(Some(run)) => Arc::new(run.chunks),
            Ok(None) => return list.finish(shared).await.map(Some),
            Err(error) => {
                unreadable(error);
                return Ok(None);
            }
        };
        let (knowing, asked) = (Arc::clone(shared), Arc::clone(&chunks));
        let all_known = move || {
            for chunk in asked.iter() {
                if !knowing.knows(&chunk.id)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        if !shared.core.pool.run(all_known).await? {
            tracing::info!(
                stream = root.name,
                "an earlier stream is not taken over: a part of it may not be relied on"
            );
            return Ok(None);
        }
        for chunk in chunks.iter() {
            list.push(shared, *chunk).await?;
        }
    }
}
