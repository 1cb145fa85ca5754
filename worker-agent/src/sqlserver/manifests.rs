//! Manifests, to and from their streams.

use bytes::Bytes;
use haulier_domain::failure::Failure;
use haulier_domain::manifest::StreamReference;
use haulier_domain::sqlserver::manifest::Manifest;

use super::context::Context;
use crate::mover::sinks::Stopped;
use crate::mover::streams::{self, StoreError, StreamKind};

/// Reads a point's manifest.
pub(super) async fn read(context: &Context, reference: &StreamReference) -> Result<Manifest, Stopped> {
    let reading = async {
        let mut bytes = Vec::new();
        let mut stream = context.streams.open(reference).await.map_err(|error| streams::failure(&error))?;
        while let Some(piece) = stream.next().await.map_err(|error| streams::failure(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > Manifest::MOST_BYTES {
                return Err(unreadable("it is beyond all measure"));
            }
        }
        Manifest::read(&bytes).map_err(|error| unreadable(&error.to_string()))
    };
    Ok(context.obey(reading).await??)
}

fn unreadable(cause: &str) -> Failure {
    let remedy = "use a worker image at least as new as the one that made the point; else run a check of the point";
    Failure::new("manifest-unreadable", "reading the restore point's manifest", cause, remedy)
}

/// Writes a manifest into a stream of its own.
pub(super) async fn write(context: &Context, manifest: &Manifest) -> Result<StreamReference, Stopped> {
    let json = serde_json::to_vec(manifest).map_err(|error| {
        Failure::new("mover-defect", "writing the manifest", error.to_string(), "report this with the session's log")
    })?;
    let writing = async {
        let mut stream = context.streams.create(StreamKind::Document, "manifest").await?;
        stream.write(Bytes::from(json)).await?;
        stream.finish().await
    };
    let written: Result<_, StoreError> = context.obey(writing).await?;
    Ok(written.map_err(|error| streams::failure(&error))?)
}
