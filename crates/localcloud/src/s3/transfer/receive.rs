//! A request body into a staged data file, with its digests.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, s3_error};

use super::{BATCH, blocking};
use crate::s3::checksum::{Digests, Hashers};
use crate::s3::store::{Error, StagedFile};

/// A body that arrived whole.
#[derive(Debug)]
pub struct Received {
    /// The file with its bytes.
    pub file: StagedFile,
    /// Their number.
    pub length: u64,
    /// Their digests.
    pub digests: Digests,
}

struct Sink {
    staged: StagedFile,
    file: File,
    length: u64,
    hashers: Hashers,
}

/// Writes a body to a new file in `folder`. `expected` is the length that the request declares.
pub async fn receive(
    body: Option<StreamingBlob>,
    expected: Option<u64>,
    hashers: Hashers,
    folder: &Path,
) -> S3Result<Received> {
    let folder = folder.to_owned();
    let create = move || {
        let (staged, file) = StagedFile::create(&folder)?;
        Ok(Sink { staged, file, length: 0, hashers })
    };
    let mut sink = blocking(create).await?;
    if let Some(mut body) = body {
        let mut batch = gather(&mut body).await?;
        while !batch.is_empty() {
            let write = tokio::task::spawn_blocking(move || sink.absorb(&batch));
            let next = gather(&mut body).await;
            sink = write.await.map_err(S3Error::internal_error)??;
            batch = next?;
        }
    }
    if expected.is_some_and(|expected| expected != sink.length) {
        return Err(s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header"
        ));
    }
    Ok(Received { file: sink.staged, length: sink.length, digests: sink.hashers.finish() })
}

/// The next batch; empty at the end.
async fn gather(body: &mut StreamingBlob) -> S3Result<Vec<Bytes>> {
    let mut batch = Vec::new();
    let mut size = 0;
    while size < BATCH {
        match body.next().await {
            None => break,
            Some(Ok(bytes)) => {
                size += bytes.len();
                if !bytes.is_empty() {
                    batch.push(bytes);
                }
            }
            Some(Err(error)) => return Err(refusal(error)),
        }
    }
    Ok(batch)
}

impl Sink {
    fn absorb(mut self, batch: &[Bytes]) -> S3Result<Self> {
        for bytes in batch {
            self.hashers.update(bytes);
            self.length += bytes.len() as u64;
        }
        write_all(&mut self.file, batch).map_err(Error::disk("writing", self.staged.path()))?;
        Ok(self)
    }
}

fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let written = file.write_vectored(rest)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// What S3 says of a body that broke. The protocol crate keeps its error types to itself, so their texts decide.
fn refusal(error: StdError) -> S3Error {
    let text = error.to_string();
    let code = if text.contains("SignatureMismatch") {
        S3ErrorCode::SignatureDoesNotMatch
    } else if text.contains("Sha256Mismatch") {
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into())
    } else if text.contains("FormatError") || text.contains("Trailer") || text.contains("ChunkMeta") {
        S3ErrorCode::InvalidRequest
    } else {
        S3ErrorCode::IncompleteBody
    };
    let custom = matches!(code, S3ErrorCode::Custom(_));
    let mut answer = S3Error::with_message(code, format!("The request body could not be taken: {text}"));
    if custom {
        answer.set_status_code(http::StatusCode::BAD_REQUEST);
    }
    answer.set_source(error);
    answer
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::s3::checksum::Algorithm;

    fn blob(pieces: Vec<io::Result<Bytes>>) -> Option<StreamingBlob> {
        Some(StreamingBlob::wrap(stream::iter(pieces)))
    }

    async fn take(pieces: Vec<io::Result<Bytes>>, expected: u64, folder: &Path) -> S3Result<Received> {
        receive(blob(pieces), Some(expected), Hashers::new([Algorithm::Crc32], false), folder).await
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn pieces_of_any_size_arrive_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..5_000_000_u32).map(|place| (place / 7) as u8).collect();
        for size in [700, 65_536, BATCH, BATCH + 1, content.len()] {
            let pieces = content.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let received = take(pieces, content.len() as u64, folder.path()).await.unwrap();
            assert!(std::fs::read(received.file.path()).unwrap() == content, "pieces of {size}");
            let mut whole = Hashers::new([Algorithm::Crc32], false);
            whole.update(&content);
            assert_eq!(received.digests, whole.finish(), "pieces of {size}");
        }
        let empty = receive(None, None, Hashers::new([], false), folder.path()).await.unwrap();
        assert_eq!(empty.length, 0);
    }

    #[tokio::test]
    async fn a_body_that_breaks_or_is_too_short_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let piece = || Ok(Bytes::from(vec![7; BATCH]));
        let cut = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        for pieces in [vec![cut()], vec![piece(), piece(), cut()], vec![piece()]] {
            let refused = take(pieces, 3 * BATCH as u64, folder.path()).await.unwrap_err();
            assert_eq!(refused.code(), &S3ErrorCode::IncompleteBody);
            // The write under way when the body broke ends by itself.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while files(folder.path()) > 0 {
                assert!(std::time::Instant::now() < deadline, "a file stays behind");
                tokio::task::yield_now().await;
            }
        }
    }

    #[test]
    fn refusals_tell_a_bad_signature_from_a_lost_connection() {
        for (text, code) in [
            ("AwsChunkedStreamError: SignatureMismatch", "SignatureDoesNotMatch"),
            ("UploadStreamError: Sha256Mismatch", "XAmzContentSHA256Mismatch"),
            ("AwsChunkedStreamError: FormatError", "InvalidRequest"),
            ("AwsChunkedStreamError: Incomplete", "IncompleteBody"),
            ("connection reset", "IncompleteBody"),
        ] {
            let refused = refusal(io::Error::other(text).into());
            assert_eq!(
                (refused.code().as_str(), refused.status_code().is_some_and(|code| code.is_client_error())),
                (code, true)
            );
        }
    }
}
