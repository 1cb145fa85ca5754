//! Copying what is needed out of packs that are mostly dead. Chunks stay compressed as they are; they are opened and
//! sealed again, because a seal belongs to its pack.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::plan::PackFacts;
use super::survey::Survey;
use super::usage::pack_and_id;
use super::{PrunePhase, Teller};
use crate::crypto::seal::{SealedKind, read_header};
use crate::domain::Core;
use crate::error::{Error, ObjectKind, Result};
use crate::ids::ChunkId;
use crate::index::object::{IndexTable, PackEntry};
use crate::pack::builder::{PackBuilder, TRAILER_LENGTH};
use crate::pack::open::PackOpener;
use crate::pack::record::ChunkRecord;

/// Copies what is needed out of the packs of these numbers, and lists the copies. Gives the numbers of those packs that
/// could not be read: they stay as they are.
pub(super) async fn repack(core: &Arc<Core>, survey: &Survey, numbers: &[u32], tell: &Teller<'_>) -> Result<Vec<u32>> {
    let mut unreadable = Vec::new();
    if numbers.is_empty() {
        return Ok(unreadable);
    }
    let residents = survey.residents(core, numbers).await?;
    let mut residents = residents.iter().peekable();
    let mut copier = Copier { core, builder: None, table: IndexTable::default() };
    for (done, number) in (0..).zip(numbers) {
        tell(PrunePhase::Repack, done, numbers.len() as u64);
        let mut wanted = HashSet::new();
        while let Some(record) =
            residents.next_if(|record| record.as_ref().map_or(true, |record| pack_and_id(record).0 <= *number))
        {
            let record =
                record.map_err(|source| Error::Local { doing: "reading", path: core.folder.clone(), source })?;
            wanted.insert(pack_and_id(&record).1);
        }
        let pack = &survey.packs[*number as usize];
        match chunks(core, pack, wanted).await {
            Ok(chunks) => copier.take(chunks).await?,
            Err(error @ (Error::Damaged { .. } | Error::Missing { .. })) => {
                tracing::warn!(%error, "a pack that should be repacked cannot be read and stays as it is");
                unreadable.push(*number);
            }
            Err(error) => return Err(error),
        }
    }
    copier.finish().await?;
    Ok(unreadable)
}

/// A chunk as it is stored, out of its seal.
type Encoded = (ChunkRecord, Vec<u8>);

/// The wanted chunks of a pack.
async fn chunks(core: &Arc<Core>, pack: &PackFacts, wanted: HashSet<ChunkId>) -> Result<Vec<Encoded>> {
    let object = core.layout.pack(&pack.id);
    let body = core.store.get(ObjectKind::Pack, &object).await?;
    let keys = Arc::clone(&core.keys);
    core.pool
        .run(move || {
            let salt = read_header(SealedKind::Pack, &object, &body)?;
            let opener = PackOpener::new(keys, salt, object.clone())?;
            let trailer = body.get(body.len().saturating_sub(TRAILER_LENGTH)..).unwrap_or_default();
            let (range, count) = opener.table_range(body.len() as u64, trailer)?;
            let records = opener.table(&body[range.start as usize..range.end as usize], count)?;
            let mut found = Vec::with_capacity(wanted.len());
            for record in records.into_iter().filter(|record| wanted.contains(&record.id)) {
                let encoded = opener.encoded(&record, opener.slice(&body, &record)?)?;
                found.push((record, encoded));
            }
            if found.len() == wanted.len() {
                Ok(found)
            } else {
                Err(Error::damaged(ObjectKind::Pack, &object, "it lacks chunks that the index has it for"))
            }
        })
        .await
}

/// Writes packs one after another, and the index object that names them.
struct Copier<'a> {
    core: &'a Arc<Core>,
    builder: Option<PackBuilder>,
    table: IndexTable,
}

impl Copier<'_> {
    async fn take(&mut self, chunks: Vec<Encoded>) -> Result<()> {
        let core = Arc::clone(self.core);
        let mut builder = self.builder.take();
        let (builder, full) = self
            .core
            .pool
            .run(move || {
                let mut full = Vec::new();
                for (record, encoded) in chunks {
                    let open = match &mut builder {
                        Some(open) => open,
                        none => none.insert(PackBuilder::new(&core.keys, core.plan.pack_target, Vec::new())?),
                    };
                    open.add(record, &encoded)?;
                    if open.is_full()
                        && let Some(open) = builder.take()
                    {
                        full.push(open.finish()?);
                    }
                }
                Ok((builder, full))
            })
            .await?;
        self.builder = builder;
        for pack in full {
            self.put(pack).await?;
        }
        Ok(())
    }

    async fn put(&mut self, pack: crate::pack::builder::BuiltPack) -> Result<()> {
        let crate::pack::builder::BuiltPack { id, salt, body, records } = pack;
        let size = body.len() as u64;
        self.core.store.put_content(&self.core.layout.pack(&id), body).await?;
        self.table.add_pack(PackEntry { id, salt, size }, records);
        if self.table.rows.len() >= self.core.plan.index_object_rows {
            put_index(self.core, std::mem::take(&mut self.table)).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        if let Some(builder) = self.builder.take() {
            let pack = self.core.pool.run(move || builder.finish()).await?;
            self.put(pack).await?;
        }
        if !self.table.packs.is_empty() {
            put_index(self.core, self.table).await?;
        }
        Ok(())
    }
}

/// Writes an index object.
pub(super) async fn put_index(core: &Arc<Core>, mut table: IndexTable) -> Result<()> {
    let keys = Arc::clone(&core.keys);
    let (id, body) = core.pool.run(move || table.seal(&keys)).await?;
    core.store.put_content(&core.layout.index(&id), Bytes::from(body)).await
}
