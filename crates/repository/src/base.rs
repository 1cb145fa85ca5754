//! The base point: an earlier restore point whose streams the new ones are likely to resemble.

use std::collections::HashMap;

use haulier_domain::id::PointId;

use crate::catalogue::Catalogue;
use crate::domain::Domain;
use crate::error::Result;
use crate::stream::StreamRoot;

/// The streams of an earlier point, by name. A hint for a writer: where it is wrong or absent, a backup grows, no more.
#[derive(Debug, Clone)]
pub struct BasePoint {
    pub(crate) streams: HashMap<String, StreamRoot>,
    manifest: StreamRoot,
}

impl BasePoint {
    /// How many streams it has.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Its manifest: a mover may find streams there to take over, see [`crate::Writer::take_over`].
    pub fn manifest(&self) -> &StreamRoot {
        &self.manifest
    }
}

impl Domain {
    /// Reads what a writer needs of an earlier point: see [`Domain::writer_on`].
    ///
    /// # Errors
    /// Whatever reading the point gives, and [`crate::Error::SlowBase`] where a part of it does not come in time. A writer does
    /// without it then.
    pub async fn base_point(&self, id: &PointId) -> Result<BasePoint> {
        // Takes as long as it takes: a writer needs it anyway.
        let core = &self.core;
        core.index().await?;
        let root = core.in_time(self.read_point(id)).await?;
        let mut streams = HashMap::new();
        let mut catalogue = Catalogue::new(self, &root.catalogue);
        while let Some(stream) = core.in_time(catalogue.next()).await? {
            // Of streams of the same name the last one was finished last: an attempt that was repeated.
            streams.insert(stream.name.clone(), stream);
        }
        Ok(BasePoint { streams, manifest: root.manifest })
    }
}
