//! Bytes between connections and disk.
//!
//! Nothing here holds an object: a body is gathered to about a megabyte, and while one such batch is hashed and written
//! on a blocking thread the next is gathered. Reads go the other way, one buffer ahead.

mod receive;
mod send;

pub use receive::{Received, receive};
pub use send::{Window, body};

/// Bytes that are handed to a blocking thread at once. Large enough that the hop costs nothing, small enough that 64
/// transfers stay within some hundred megabytes.
const BATCH: usize = 1 << 20;

/// Runs blocking work off the threads that serve connections.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> s3s::S3Result<T> + Send + 'static,
) -> s3s::S3Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(s3s::S3Error::internal_error(error)),
    }
}
