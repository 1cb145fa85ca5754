//! One file out of the temporary bucket into the repository: ranges are read side by side and written in order. Where a
//! connection breaks, only the range that it was at is read again.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use haulier_domain::failure::Failure;
use haulier_domain::manifest::StreamReference;
use tokio_util::task::AbortOnDropHandle;

use super::context::Context;
use super::failures;
use super::hashing::Hashing;
use crate::mover::sinks::{ProgressEvent, Stopped};
use crate::mover::streams::{self, StreamKind};

/// Bytes of a range.
const RANGE: u64 = 8 << 20;
/// Ranges of one file that are read at once, or wait to be written.
const AT_ONCE: usize = 6;

/// A file that is in the repository.
#[derive(Debug)]
pub struct Fetched {
    /// Where it is.
    pub stream: StreamReference,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// Moves an object of that size, in bytes, into a stream of that name. The stream is there for good once the streams are
/// finished.
///
/// # Errors
/// The bucket or the repository fails for longer than it may pass by itself, the object is not of that size, or the order
/// to stop came.
pub async fn fetch(context: &Context, key: &str, size: u64, name: &str) -> Result<Fetched, Stopped> {
    let _shown = context.moving(name.to_owned());
    let created = context.obey(context.streams.create(StreamKind::Pages, name)).await?;
    let mut writer = created.map_err(|error| streams::failure(&error))?;
    let mut hashing = Hashing::default();
    // Tasks of their own, which go on while what they read is chunked.
    let begin = |range| AbortOnDropHandle::new(tokio::spawn(read(context.clone(), key.to_owned(), range)));
    let mut parts = stream::iter(ranges(size)).map(begin).buffered(AT_ONCE);
    while let Some(part) = parts.next().await {
        let part = part.map_err(failures::task)??;
        let length = length_of(&part);
        let write = async {
            for piece in &part {
                writer.write(piece.clone()).await?;
            }
            Ok(())
        };
        let (written, hashed) = context.obey(futures::future::join(write, hashing.update(part.clone()))).await?;
        written.map_err(|error| streams::failure(&error))?;
        hashing = hashed?;
        context.progress.report(ProgressEvent::Moved(length));
    }
    let finished = context.obey(writer.finish()).await?;
    let stream = finished.map_err(|error| streams::failure(&error))?;
    Ok(Fetched { stream, sha256: hashing.finish() })
}

fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(RANGE)).map(move |number| number * RANGE..(number * RANGE + RANGE).min(size))
}

fn length_of(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

async fn read(context: Context, key: String, range: Range<u64>) -> Result<Vec<Bytes>, Stopped> {
    let what = format!("reading {key:?} from the temporary bucket");
    let part = context.bucket(&what, || context.bucket.get_pieces(&key, range.clone())).await?;
    let length = length_of(&part);
    if length == range.end - range.start {
        return Ok(part);
    }
    let cause = format!("bytes {} to {} were {length} bytes: it has changed meanwhile", range.start, range.end);
    let remedy = "find out who writes to the session's prefix in the temporary bucket, then run again";
    Err(Failure::new("temporary-object-changed", what, cause, remedy).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_a_file_without_a_gap() {
        for size in [0, 1, RANGE - 1, RANGE, RANGE + 1, 3 * RANGE] {
            let ranges: Vec<_> = ranges(size).collect();
            let mut end = 0;
            for range in &ranges {
                assert!(range.start == end && range.end > range.start && range.end - range.start <= RANGE, "{range:?}");
                end = range.end;
            }
            assert_eq!(end, size);
        }
    }
}
