//! BACKUP_DB and BACKUP_DB_DIFFERENTIAL.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::TryStreamExt as _;

use super::super::backup::{Image, Inspected, Kind, Member, inspect};
use super::super::bucket::Bucket;
use super::super::contents::Reader;
use super::super::database::{BackupSet, opaque_images};
use super::super::frames::Packer;
use super::super::instance::{locked, now};
use super::super::surroundings::DataKey;
use super::{Failure, OVERLAP, Run};

/// Bytes of a part of an upload.
const PART: usize = 8 << 20;
/// Files that are written at once.
const AT_ONCE: usize = 4;

/// A file of the backup, to be read piece by piece.
enum Source {
    Made(Image, Arc<Reader>),
    Kept(File, u64),
}

/// What a backup consists of.
struct Plan {
    set: BackupSet,
    sources: Vec<Source>,
    compress: bool,
}

pub(super) async fn run(run: &Run, kind: Kind) -> Result<(), Failure> {
    let instance = &run.instance;
    let order = &run.task.order;
    if instance.surroundings.is_backing_up(&instance.id) {
        return Err(Failure(vec![OVERLAP.to_owned()]));
    }
    let (bucket, location) = run.bucket().await?;
    let keys = location.keys(order.files)?;
    if !order.overwrite {
        for key in &keys {
            if bucket.has(key).await? {
                return Err(Failure(vec!["Please reissue task with correct type and overwrite property".to_owned()]));
            }
        }
    }
    let data_keys = run.data_keys(keys.len()).await?;
    let plan = plan(run, kind)?;
    if keys.len() > 1 {
        let names: Vec<&str> = keys.iter().map(|key| name_of(key)).collect();
        run.note(&format!(
            "{} task will initiate a multi-file task with {} file(s). The files are: {}",
            order.work.name(),
            keys.len(),
            names.join(", ")
        ));
    }
    let all: u64 = plan.sources.iter().map(Source::length).sum();
    let done = AtomicU64::new(0);
    let upload = Upload { run, bucket, compress: plan.compress, all, done };
    let files = plan.sources.into_iter().zip(keys).zip(data_keys);
    futures::stream::iter(files.map(|((source, key), data_key)| upload.file(source, key, data_key)))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    let mut set = plan.set;
    let name = order.database.clone();
    instance
        .change(|state| {
            if let Some(database) = state.get_mut(&name) {
                set.finish(database, now());
            }
            state.backups.push(set);
        })
        .map_err(|error| Failure(vec![format!("{error:#}")]))
}

/// Decides what is in the files, as the database is now.
fn plan(run: &Run, kind: Kind) -> Result<Plan, Failure> {
    let (instance, order) = (&run.instance, &run.task.order);
    let compression = instance.read(|state| state.compression);
    if compression && !instance.edition.compresses() {
        let text = format!("BACKUP DATABASE WITH COMPRESSION isn't supported on {} Edition", instance.edition);
        return Err(Failure(vec![text]));
    }
    let folder = instance.images();
    let begun = instance.change(|state| {
        let database = state.get_mut(&order.database)?;
        let since = database.base.map(|(_, generation)| generation).filter(|_| kind == Kind::Differential);
        let kept = match opaque_images(database, kind, order.files) {
            Ok(kept) => kept,
            Err(error) => return Some(Err(error)),
        };
        let set = BackupSet::begin(database, kind, false, now());
        Some(set.map(|set| (set, kept, database.clone(), since)))
    });
    let begun = begun.map_err(|error| Failure(vec![format!("{error:#}")]))?;
    let missing = || Failure(vec![format!("Database {} does not exist.", order.database)]);
    let (mut set, kept, database, since) = begun.ok_or_else(missing)??;
    if database.contents.is_opaque() {
        if let Some(first) = kept.first()
            && let Inspected::Plain(header, _) = inspect(&folder.join(first))?
        {
            set = set.told_by(&header);
        }
        let sources = kept.iter().map(|name: &PathBuf| Source::kept(folder.join(name))).collect::<Result<_, _>>()?;
        return Ok(Plan { set, sources, compress: false });
    }
    let reader = Arc::new(database.contents.open(&folder)?);
    let extents = database.contents.extents(since);
    set.bytes = extents.len() as u64 * super::super::backup::EXTENT as u64;
    let of = u16::try_from(order.files)?;
    let file = |number: u16| {
        let member = Member { number, of };
        let own = extents.iter().skip(usize::from(number) - 1).step_by(usize::from(of)).copied().collect();
        Source::Made(Image::new(&set.header(&database, member, set.bytes), own), Arc::clone(&reader))
    };
    Ok(Plan { sources: (1..=of).map(file).collect(), compress: compression, set })
}

impl Source {
    fn kept(path: PathBuf) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self::Kept(file, length))
    }

    fn length(&self) -> u64 {
        match self {
            Self::Made(image, _) => image.length(),
            Self::Kept(_, length) => *length,
        }
    }

    fn read(&self, offset: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Made(image, reader) => image.read(&**reader, offset, PART),
            Self::Kept(file, length) => {
                let mut bytes = vec![0; usize::try_from(length - offset).unwrap_or(PART).min(PART)];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
        }
    }
}

/// The way of all files to S3.
struct Upload<'a> {
    run: &'a Run,
    bucket: Bucket,
    compress: bool,
    all: u64,
    done: AtomicU64,
}

impl Upload<'_> {
    async fn file(&self, source: Source, key: String, data_key: Option<DataKey>) -> Result<(), Failure> {
        let id = self.bucket.begin(&key, data_key.as_ref()).await?;
        let upload = (self.bucket.clone(), key.clone(), id.clone());
        locked(&self.run.uploads).push(upload);
        let mut packer = Packer::new(self.compress, data_key.as_ref().map(|key| &key.open))?;
        let (length, mut offset, mut told) = (source.length(), 0, 0);
        let source = Arc::new(source);
        let (mut ready, mut tags) = (Vec::new(), Vec::new());
        while offset < length {
            let reader = Arc::clone(&source);
            let (packed, read, kept) = tokio::task::spawn_blocking(move || {
                let bytes = reader.read(offset)?;
                let read = bytes.len() as u64;
                let packed = packer.push(bytes, offset + read == length)?;
                Ok::<_, io::Error>((packed, read, packer))
            })
            .await??;
            packer = kept;
            offset += read;
            ready.extend_from_slice(&packed);
            // Only the last part may be shorter.
            if ready.len() >= PART || offset == length {
                let part = Bytes::from(std::mem::take(&mut ready));
                tags.push(self.bucket.part(&key, &id, tags.len() + 1, part).await?);
            }
            let percent = offset * 100 / length / 5 * 5;
            if percent > told {
                told = percent;
                self.run.note(&format!("{}: Completed processing {percent}% of S3 chunks.", name_of(&key)));
            }
            let done = self.done.fetch_add(read, Ordering::Relaxed) + read;
            self.run.progress(done, self.all)?;
        }
        self.bucket.complete(&key, &id, &tags).await?;
        locked(&self.run.uploads).retain(|(_, _, upload)| *upload != id);
        self.run.note(&format!("{}: S3 processing completed successfully", name_of(&key)));
        Ok(())
    }
}

pub(super) fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}
