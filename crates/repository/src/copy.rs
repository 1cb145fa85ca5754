//! Copying a point into another domain: of another repository, in another account, under other keys.
//!
//! Chunks are opened with the keys of the one and stored anew with those of the other, in memory and a few at a time; no
//! plain byte touches a disk. The other domain cuts and names chunks by its own keys, so what it has already is not
//! stored again, and neither repository can tell what the other one holds.

use std::collections::HashMap;

use bytes::Bytes;
use futures::TryStreamExt;
use haulier_domain::id::PointId;
use serde_json::Value;

use crate::base::BasePoint;
use crate::catalogue::Catalogue;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::point::PointRoot;
use crate::stream::StreamRoot;
use crate::writer::{WriteStats, WriteSummary, Writer};

/// The largest manifest that is read into memory.
const LARGEST_MANIFEST: u64 = 256 << 20;

/// A step of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress<'s> {
    /// The stream that is copied.
    pub stream: &'s str,
    /// Bytes of it that were copied since the last step.
    pub bytes: u64,
    /// What the copy has stored so far.
    pub stored: WriteStats,
}

impl Domain {
    /// Stores everything a point of this domain needs in `target`, and gives the root that describes it there: the same
    /// point with other streams. Whoever may publish there publishes it. Repeating it stores nothing twice.
    ///
    /// A manifest names streams by their roots; wherever it holds the root of a stream of the point, it is given the new
    /// one. `base` is a point of `target` that the copy is expected to resemble, so that what is new there is stored as
    /// deltas. `foundation` is the copy, published in `target`, of the point that this one stands on.
    ///
    /// # Errors
    /// Those of reading here and writing there; [`Error::FoundationMissing`] where the point stands on another and no copy of that
    /// is named; [`Error::Invalid`] where the manifest is no JSON document.
    pub async fn copy_point(
        &self,
        id: &PointId,
        target: &Self,
        base: Option<BasePoint>,
        foundation: Option<&PointId>,
        progress: impl Fn(CopyProgress<'_>) + Send + Sync,
    ) -> Result<PointRoot> {
        let root = self.read_point(id).await?;
        let mut writer = target.writer_on(base).await?;
        let stands_on = match (&root.stands_on, foundation) {
            (None, _) => None,
            (Some(on), None) => return Err(Error::FoundationMissing { point: id.clone(), on: on.clone() }),
            (Some(_), Some(copied)) => {
                writer = writer.standing_on(&target.read_point(copied).await?);
                Some(copied.clone())
            }
        };
        let mut copied: HashMap<String, StreamRoot> = HashMap::new();
        let mut catalogue = Catalogue::new(self, &root.catalogue);
        while let Some(stream) = catalogue.next().await? {
            // The manifest is among the streams, and written last.
            if stream != root.manifest {
                copied.insert(known_by(&stream)?, copy(self, &stream, &writer, &progress).await?);
            }
        }
        let manifest = self.read_to_bytes(&root.manifest, LARGEST_MANIFEST).await?;
        let mut document: Value = serde_json::from_slice(&manifest)
            .map_err(|error| Error::Invalid(format!("the manifest of point {id}: {error}")))?;
        replace(&mut document, &copied)?;
        let document = serde_json::to_vec(&document)
            .map_err(|error| Error::Invalid(format!("the manifest of point {id}: {error}")))?;
        let StreamRoot { name, kind, chunking, .. } = &root.manifest;
        let mut stream = writer.stream_cut(name, *kind, *chunking)?;
        stream.write(Bytes::from(document)).await?;
        let manifest = stream.finish().await?;
        let summary = writer.finish().await?;
        // What this domain's points require says nothing of how the target stores the same.
        let WriteSummary { catalogue, totals, required_features, locked_until } = summary;
        Ok(PointRoot { manifest, catalogue, totals, required_features, locked_until, stands_on, ..root })
    }
}

async fn copy(
    source: &Domain,
    stream: &StreamRoot,
    writer: &Writer,
    progress: &(impl Fn(CopyProgress<'_>) + Send + Sync),
) -> Result<StreamRoot> {
    let mut out = writer.stream_cut(&stream.name, stream.kind, stream.chunking)?;
    let mut parts = std::pin::pin!(source.read(stream));
    while let Some(part) = parts.try_next().await? {
        let length = part.len() as u64;
        out.write(part).await?;
        progress(CopyProgress { stream: &stream.name, bytes: length, stored: writer.stats() });
    }
    out.finish().await
}

/// What a stream's root is found by within a manifest: its JSON, the order of fields set aside.
fn known_by(stream: &StreamRoot) -> Result<String> {
    let value = serde_json::to_value(stream).and_then(|value| serde_json::to_string(&value));
    value.map_err(|error| Error::Invalid(format!("stream {:?} has no description: {error}", stream.name)))
}

/// Puts the new roots in the place of the old ones, wherever in the document they stand.
fn replace(document: &mut Value, copied: &HashMap<String, StreamRoot>) -> Result<()> {
    match document {
        Value::Object(fields) if fields.contains_key("content") && fields.contains_key("chunking") => {
            if let Ok(old) = serde_json::from_value::<StreamRoot>(Value::Object(fields.clone()))
                && let Some(new) = copied.get(&known_by(&old)?)
            {
                *document = serde_json::to_value(new)
                    .map_err(|error| Error::Invalid(format!("stream {:?} has no description: {error}", new.name)))?;
                return Ok(());
            }
            fields.values_mut().try_for_each(|value| replace(value, copied))
        }
        Value::Object(fields) => fields.values_mut().try_for_each(|value| replace(value, copied)),
        Value::Array(values) => values.iter_mut().try_for_each(|value| replace(value, copied)),
        _ => Ok(()),
    }
}
