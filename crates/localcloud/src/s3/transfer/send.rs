//! An object's bytes, or a window of them, as a response body.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use s3s::dto::StreamingBlob;
use tokio::task::JoinHandle;

use super::BATCH;
use crate::s3::store::Object;

/// The bytes of an object that a request asks for.
pub type Window = Range<u64>;

/// A run of bytes in one file.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    path: PathBuf,
    from: u64,
    length: u64,
}

struct Source {
    /// Keeps the files: an overwrite or a delete does not take them from under a reader.
    _object: Object,
    /// In reverse order.
    runs: Vec<Run>,
    open: Option<File>,
}

/// Streams a window of an object.
pub fn body(object: Object, window: Window) -> StreamingBlob {
    let runs = runs(object.blob.files(), window);
    let source = Source { _object: object, runs, open: None };
    StreamingBlob::wrap(futures::stream::unfold(read_ahead(source), async |pending: Option<Pending>| {
        match pending?.await.map_err(io::Error::other) {
            Err(error) | Ok(Err(error)) => Some((Err(error), None)),
            Ok(Ok((bytes, source))) => Some((Ok(bytes), read_ahead(source))),
        }
    }))
}

type Pending = JoinHandle<io::Result<(Bytes, Source)>>;

/// Begins to read the next buffer; nothing at the end.
fn read_ahead(source: Source) -> Option<Pending> {
    (!source.runs.is_empty()).then(|| tokio::task::spawn_blocking(move || source.next()))
}

impl Source {
    fn next(mut self) -> io::Result<(Bytes, Self)> {
        let Some(run) = self.runs.last_mut() else { return Ok((Bytes::new(), self)) };
        let mut file = match self.open.take() {
            Some(file) => file,
            None => {
                let mut file = File::open(&run.path)?;
                file.seek(SeekFrom::Start(run.from))?;
                file
            }
        };
        let wanted = run.length.min(BATCH as u64);
        let mut buffer = Vec::with_capacity(usize::try_from(wanted).map_err(io::Error::other)?);
        Read::by_ref(&mut file).take(wanted).read_to_end(&mut buffer)?;
        if (buffer.len() as u64) < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} is too short", run.path.display())));
        }
        run.length -= wanted;
        if run.length == 0 {
            self.runs.pop();
        } else {
            self.open = Some(file);
        }
        Ok((Bytes::from(buffer), self))
    }
}

/// Where the window's bytes are, last run first.
fn runs(files: impl Iterator<Item = (PathBuf, u64)>, window: Window) -> Vec<Run> {
    let mut begin = 0;
    let mut runs = Vec::new();
    for (path, length) in files {
        let end = begin + length;
        let (from, to) = (window.start.max(begin), window.end.min(end));
        if from < to {
            runs.push(Run { path, from: from - begin, length: to - from });
        }
        begin = end;
    }
    runs.reverse();
    runs
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[test]
    fn a_window_falls_into_the_right_files() {
        let files = || [("a", 10), ("b", 0), ("c", 5)].map(|(path, length)| (PathBuf::from(path), length)).into_iter();
        let of = |window: Window| -> Vec<(String, u64, u64)> {
            let runs = runs(files(), window).into_iter().rev();
            runs.map(|run| (run.path.display().to_string(), run.from, run.length)).collect()
        };
        assert_eq!(of(0..15), [("a".to_owned(), 0, 10), ("c".to_owned(), 0, 5)]);
        assert_eq!(of(9..11), [("a".to_owned(), 9, 1), ("c".to_owned(), 0, 1)]);
        assert_eq!(of(10..12), [("c".to_owned(), 0, 2)]);
        assert_eq!(of(3..3), []);
    }

    async fn read(blob: StreamingBlob) -> Result<Vec<u8>, s3s::StdError> {
        Ok(blob.try_collect::<Vec<Bytes>>().await?.concat())
    }

    #[tokio::test]
    async fn windows_are_read_across_files_and_a_short_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3_000_000_u32).map(|place| (place / 3) as u8).collect();
        let (first, second) = content.split_at(1_200_000);
        for (name, bytes) in [("a", first), ("b", second)] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let object = Object::for_tests(folder.path(), &[("a", first.len() as u64), ("b", second.len() as u64)]);
        for window in [0..3_000_000_u64, 0..1, 1_199_999..1_200_001, 2_999_999..3_000_000, 5..5] {
            let range = usize::try_from(window.start).unwrap()..usize::try_from(window.end).unwrap();
            assert!(read(body(object.clone(), window.clone())).await.unwrap() == content[range], "{window:?}");
        }
        File::options().write(true).open(folder.path().join("b")).unwrap().set_len(100).unwrap();
        assert!(read(body(object, 0..3_000_000)).await.is_err());
    }
}
