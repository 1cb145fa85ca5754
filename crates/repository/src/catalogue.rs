//! Reading a point's catalogue: a stream of lines, each the root of one of its streams.

use std::pin::Pin;

use bytes::Bytes;
use futures::stream::{Stream, TryStreamExt};

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::stream::StreamRoot;

/// The longest line a catalogue may have.
const LONGEST_LINE: usize = 1 << 20;

/// A catalogue being read.
pub(crate) struct Catalogue {
    parts: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    rest: Vec<u8>,
}

impl Catalogue {
    pub(crate) fn new(domain: &Domain, root: &StreamRoot) -> Self {
        Self { parts: Box::pin(domain.read(root)), rest: Vec::new() }
    }

    /// The next stream. After [`Error::Invalid`] the lines behind the bad one can still be read; after anything else
    /// nothing can.
    pub(crate) async fn next(&mut self) -> Result<Option<StreamRoot>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let root = serde_json::from_slice(&line);
                return root.map(Some).map_err(|error| Error::Invalid(format!("a line of the catalogue: {error}")));
            }
            if self.rest.len() > LONGEST_LINE {
                self.rest = Vec::new();
                self.parts = Box::pin(futures::stream::empty());
                return Err(Error::Invalid("the catalogue has no lines".to_owned()));
            }
            match self.parts.try_next().await? {
                Some(part) => self.rest.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}
