//! Reading a stream in order. Chunks that lie together in a pack are fetched together, and so are the bases of those that
//! are deltas; some groups are fetched, opened, decompressed and verified ahead of the consumer. Nothing unverified is
//! ever handed out.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream, TryStreamExt};
use tokio::sync::SemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use crate::codec::DeltaDecoder;
use crate::crypto::domain_keys::DomainKeys;
use crate::domain::{Core, Domain};
use crate::error::{Error, ObjectKind, Result};
use crate::fetch::{Base, Bases, near};
use crate::index::local::{LocalIndex, Located};
use crate::index::object::PackEntry;
use crate::list::walk::{Run, Walker};
use crate::pack::open::PackOpener;
use crate::pack::record::ChunkRecord;
use crate::stream::{ChunkRef, StreamRoot};

/// Chunks that are looked up at once.
const LOOK_UP: usize = 512;

impl Domain {
    /// The stream's bytes, in order, verified, some megabytes ahead of whoever reads them.
    pub fn read(&self, root: &StreamRoot) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        self.read_range(root, 0..root.bytes)
    }

    /// The stream's bytes within `range`; what lies past the stream's end is not given.
    pub fn read_range(&self, root: &StreamRoot, range: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let core = Arc::clone(&self.core);
        let ahead = core.plan.prefetch;
        let range = range.start.min(root.bytes)..range.end.min(root.bytes);
        let state = Planner {
            core: Arc::clone(&core),
            root: root.clone(),
            range,
            walker: None,
            ready: VecDeque::new(),
            bases: None,
        };
        stream::try_unfold(state, |mut planner| async move {
            Ok::<_, Error>(planner.next().await?.map(|group| (group, planner)))
        })
        .map_ok(move |group| {
            // A task of its own, so that it goes on while the consumer is busy.
            let fetching = AbortOnDropHandle::new(tokio::spawn(fetch(Arc::clone(&core), group)));
            async move { fetching.await.map_err(|error| Error::TaskStopped(error.to_string()))? }
        })
        .try_buffered(ahead)
    }

    /// The whole stream in memory: for manifests and other documents.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is longer than `limit`, else whatever reading gives.
    pub async fn read_to_bytes(&self, root: &StreamRoot, limit: u64) -> Result<Bytes> {
        if root.bytes > limit {
            return Err(Error::Invalid(format!("stream {:?} has {} bytes, over {limit}", root.name, root.bytes)));
        }
        let mut all = Vec::with_capacity(root.bytes as usize);
        let mut parts = std::pin::pin!(self.read(root));
        while let Some(part) = parts.try_next().await? {
            all.extend_from_slice(&part);
        }
        Ok(Bytes::from(all))
    }
}

/// Chunks of one pack that are fetched with one request.
struct Group {
    /// Where the bases of those that are deltas come from.
    bases: Arc<Bases>,
    pack: PackEntry,
    records: Vec<ChunkRecord>,
    range: Range<u64>,
    plain: u64,
    /// What of the plain bytes is wanted.
    wanted: Range<u64>,
}

/// Turns the list of a stream into groups.
struct Planner {
    core: Arc<Core>,
    root: StreamRoot,
    range: Range<u64>,
    walker: Option<Walker>,
    ready: VecDeque<Group>,
    bases: Option<Arc<Bases>>,
}

impl Planner {
    async fn next(&mut self) -> Result<Option<Group>> {
        loop {
            if let Some(group) = self.ready.pop_front() {
                return Ok(Some(group));
            }
            if self.range.is_empty() {
                return Ok(None);
            }
            let walker = match &mut self.walker {
                Some(walker) => walker,
                none => none.insert(Walker::new(&self.root, self.range.clone())?),
            };
            let Some(run) = walker.next(&self.core).await? else { return Ok(None) };
            let index = Arc::clone(&self.core.index().await?.index);
            let bases = self.bases.get_or_insert_with(|| self.core.bases_read(&index));
            let planning = Planning {
                bases: Arc::clone(bases),
                name: self.root.name.clone(),
                range: self.range.clone(),
                group: self.core.plan.group as u64,
            };
            self.ready = match self.plan(&planning, &index, &run).await {
                Err(Error::ChunkMissing { .. }) => {
                    // Another writer may have stored it since the index was loaded.
                    let index = Arc::clone(&self.core.fresh_index().await?.index);
                    self.plan(&planning, &index, &run).await?
                }
                other => other?,
            };
        }
    }

    async fn plan(&self, planning: &Planning, index: &Arc<LocalIndex>, run: &Run) -> Result<VecDeque<Group>> {
        let mut groups = VecDeque::new();
        let mut start = run.start;
        for part in run.chunks.chunks(LOOK_UP) {
            let length: u64 = part.iter().map(|chunk| u64::from(chunk.length)).sum();
            if start < planning.range.end && start + length > planning.range.start {
                let (planning, index, part) = (planning.clone(), Arc::clone(index), part.to_vec());
                groups.extend(self.core.pool.run(move || planning.groups(&index, start, &part)).await?);
            }
            start += length;
        }
        Ok(groups)
    }
}

#[derive(Clone)]
struct Planning {
    bases: Arc<Bases>,
    name: String,
    range: Range<u64>,
    group: u64,
}

impl Planning {
    /// Groups consecutive chunks that lie near one another in one pack.
    fn groups(&self, index: &LocalIndex, start: u64, chunks: &[ChunkRef]) -> Result<Vec<Group>> {
        let mut groups: Vec<(u32, Group)> = Vec::new();
        let mut start = start;
        for chunk in chunks {
            let place = start..start + u64::from(chunk.length);
            start = place.end;
            if place.end <= self.range.start || place.start >= self.range.end {
                continue;
            }
            let Located { pack, record } = index
                .find(&chunk.id)?
                .ok_or_else(|| Error::ChunkMissing { chunk: chunk.id, stream: self.name.clone() })?;
            if record.plain != chunk.length {
                return Err(Error::Invalid(format!(
                    "chunk {} of stream {:?} has {} bytes in the list and {} in the index",
                    chunk.id, self.name, chunk.length, record.plain
                )));
            }
            let wanted = self.range.start.max(place.start) - place.start..self.range.end.min(place.end) - place.start;
            let sealed = u64::from(record.offset)..u64::from(record.offset) + u64::from(record.stored);
            let plain = u64::from(record.plain);
            // Deltas are small, and what they need besides is not.
            let limit = if record.base.is_some() { self.group / 2 } else { self.group };
            match groups.last_mut() {
                Some((number, group)) if *number == pack && near(&group.range, group.plain, &record, limit) => {
                    group.range.end = sealed.end;
                    group.wanted.end = group.plain + wanted.end;
                    group.plain += plain;
                    group.records.push(record);
                }
                _ => {
                    let (pack_entry, bases) = (index.pack(pack)?, Arc::clone(&self.bases));
                    let group = Group { bases, pack: pack_entry, records: vec![record], range: sealed, plain, wanted };
                    groups.push((pack, group));
                }
            }
        }
        Ok(groups.into_iter().map(|(_, group)| group).collect())
    }
}

async fn fetch(core: Arc<Core>, group: Group) -> Result<Bytes> {
    let object = core.layout.pack(&group.pack.id);
    // Given back when this group is opened, so that no group waits for one behind it.
    let _at_work = bases_at_work(&core, &group).await?;
    let asked = group.bases.ask(group.records.iter().filter_map(|record| Some((record.base?, record.plain))));
    let sealed = core.store.get_range(ObjectKind::Pack, &object, group.range.clone()).await?;
    let mut asked = asked.into_iter();
    let mut bases = Vec::with_capacity(group.records.len());
    for record in &group.records {
        bases.push(match record.base.and_then(|base| Some((base, asked.next()?))) {
            Some((base, asked)) => {
                let unreadable = |cause| Error::BaseUnreadable { chunk: record.id, base, cause };
                Some(asked.answer().await.map_err(unreadable)?.base)
            }
            None => None,
        });
    }
    let keys = Arc::clone(&core.keys);
    let open = move || {
        let opener = PackOpener::new(Arc::clone(&keys), group.pack.salt, object)?;
        let mut plain = Vec::with_capacity(group.plain as usize);
        let mut decoder = DeltaDecoder::default();
        for (record, base) in group.records.iter().zip(&bases) {
            let start = (u64::from(record.offset) - group.range.start) as usize;
            let sealed = &sealed[start..start + record.stored as usize];
            open_on(&opener, &keys, record, base.as_deref().map(|base| (&mut decoder, base)), sealed, &mut plain)?;
        }
        Ok(Bytes::from(plain).slice(group.wanted.start as usize..group.wanted.end as usize))
    };
    core.pool.run(open).await
}

/// Waits until there is memory for the bases of a group. They are about as long as what is made on them.
async fn bases_at_work<'a>(core: &'a Core, group: &Group) -> Result<SemaphorePermit<'a>> {
    let bytes: usize = group.records.iter().filter(|record| record.base.is_some()).map(|r| r.plain as usize).sum();
    let wanted = bytes.min(core.plan.bases_at_work) >> 10;
    let granted = core.bases_at_work.acquire_many(wanted as u32).await;
    granted.map_err(|error| Error::TaskStopped(error.to_string()))
}

/// Opens a chunk on its base, if it has one. Bases are not verified before: where the chunk comes out wrong, this tells
/// whose fault it is.
pub(crate) fn open_on<'b>(
    opener: &PackOpener,
    keys: &DomainKeys,
    record: &ChunkRecord,
    base: Option<(&mut DeltaDecoder<'b>, &'b Base)>,
    sealed: &[u8],
    plain: &mut Vec<u8>,
) -> Result<()> {
    let Some((decoder, base)) = base else { return opener.chunk(record, None, sealed, plain) };
    let opened = opener.chunk(record, Some((decoder, &base.plain[..])), sealed, plain);
    if opened.is_err() && keys.chunk_id(&base.plain) != base.id {
        let cause = Arc::new(base.damaged());
        return Err(Error::BaseUnreadable { chunk: record.id, base: base.id, cause });
    }
    opened
}
