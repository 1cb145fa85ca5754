//! RESTORE_DB and RESTORE_DB_DIFFERENTIAL in all their forms, and FINISH_RESTORE.

use std::io::Write as _;
use std::path::PathBuf;

use futures::StreamExt as _;
use futures::TryStreamExt as _;
use tempfile::NamedTempFile;

use super::super::backup::{Inspected, Kind, inspect};
use super::super::bucket::Bucket;
use super::super::contents::Contents;
use super::super::database::{Database, Mode, Recovery};
use super::super::frames::Unpacker;
use super::super::instance::now;
use super::super::location::{Location, MOST_FILES};
use super::super::restore::{Arrived, Outcome, check};
use super::super::state::State;
use super::{Failure, Run};

/// Bytes of one ranged read.
pub(super) const RANGE: u64 = 8 << 20;
/// Bytes of an image within which its header is.
const HEAD: u64 = 1 << 20;
/// Files that are read at once.
const AT_ONCE: usize = 4;

/// A file on its way from S3.
pub(super) struct Incoming {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) unpacker: Unpacker,
    pub(super) draft: NamedTempFile,
}

pub(super) async fn run(run: &Run, kind: Kind, norecovery: bool) -> Result<(), Failure> {
    let order = &run.task.order;
    let (bucket, location) = run.bucket().await?;
    if kind == Kind::Full && run.instance.read(|state| state.is_taken(&order.database)) {
        let text = format!(
            "Database '{}' already exists. Two databases that differ only by case or accent are not allowed. Choose a different database name.",
            order.database
        );
        return Err(Failure(vec![text]));
    }
    let mut files = incoming(run, &bucket, objects(&bucket, &location).await?).await?;
    for file in &mut files {
        file.read(&bucket, HEAD).await?;
    }
    let outcome = decide(run, &files, kind)?;
    // From here on a failure leaves the database restoring, as SQL Server does.
    change(run, |state| {
        if kind == Kind::Full {
            let recovery = Recovery::Full;
            let nothing = Contents::nothing();
            let database = Database::new(state.next_id(), &order.database, now(), recovery, nothing);
            // The files are there from now on.
            state.insert(Database { mode: Mode::Restoring, placing: order.placing, ..database });
        }
        Ok(())
    })?;
    let all: u64 = files.iter().map(|file| file.size).sum();
    let done = std::sync::atomic::AtomicU64::new(files.iter().map(|file| file.offset).sum());
    let (bucket, done) = (&bucket, &done);
    let files: Vec<Incoming> = futures::stream::iter(files.into_iter().map(|mut file| async move {
        while file.offset < file.size {
            let read = file.read(bucket, RANGE).await?;
            let done = done.fetch_add(read, std::sync::atomic::Ordering::Relaxed) + read;
            run.progress(done, all)?;
        }
        if !file.unpacker.is_whole() {
            return Err(Failure(vec![format!("The volume on device '{}' is incomplete.", file.key)]));
        }
        Ok(file)
    }))
    .buffered(AT_ONCE)
    .try_collect()
    .await?;
    run.progress(1, 1)?;
    let retention = run.instance.surroundings.retention_days(&run.instance.id);
    let recovery = if retention > 0 { Recovery::Full } else { Recovery::Simple };
    change(run, |state| {
        let images = run.instance.images();
        for file in files {
            let name = name_of(&file.draft);
            file.draft.persist(images.join(name)).map_err(|error| error.error)?;
        }
        let missing =
            || Failure(vec![format!("Database '{}' was dropped while it was being restored.", order.database)]);
        let database = state.get_mut(&order.database).ok_or_else(missing)?;
        outcome.apply(database, kind);
        database.placing.keep_cdc = order.placing.keep_cdc;
        database.recovery = recovery;
        if !norecovery {
            database.come_online();
        }
        Ok(())
    })
}

pub(super) fn finish(run: &Run) -> Result<(), Failure> {
    let name = &run.task.order.database;
    change(run, |state| {
        let missing = || Failure(vec![format!("Database {name} does not exist.")]);
        let database = state.get_mut(name).ok_or_else(missing)?;
        if database.mode != Mode::Restoring {
            return Err(Failure(vec![format!("Database {name} is not in RESTORING state.")]));
        }
        if database.restored.is_none() && !database.contents.is_opaque() {
            return Err(Failure(vec![format!(
                "The restore of database '{name}' was interrupted: it cannot be brought online."
            )]));
        }
        database.come_online();
        Ok(())
    })
}

fn change(run: &Run, act: impl FnOnce(&mut State) -> Result<(), Failure>) -> Result<(), Failure> {
    run.instance.change(act).map_err(|error| Failure(vec![format!("{error:#}")]))?
}

/// Objects to restore from, and their sizes.
pub(super) async fn objects(bucket: &Bucket, location: &Location) -> Result<Vec<(String, u64)>, Failure> {
    let prefix = location.prefix()?;
    let mut found = bucket.list(prefix.unwrap_or(&location.key)).await?;
    if prefix.is_none() {
        found.retain(|(key, _)| *key == location.key);
    }
    if found.len() > MOST_FILES {
        let text = "The Restore task is unable to restore from more than 10 backup file(s). Please reduce the number of files matched and try again.";
        return Err(Failure(vec![text.to_owned()]));
    }
    if found.is_empty() {
        return Err(super::super::bucket::S3Error::NoKey.into());
    }
    Ok(found)
}

/// The files of these objects, of which nothing is read yet.
pub(super) async fn incoming(
    run: &Run,
    bucket: &Bucket,
    objects: Vec<(String, u64)>,
) -> Result<Vec<Incoming>, Failure> {
    let surroundings = &run.instance.surroundings;
    let mut files = Vec::new();
    for (key, size) in objects {
        let open = match (bucket.sealed_key(&key).await?, run.key()) {
            (Some(sealed), Some(key)) => Some(surroundings.open_key(bucket.role(), key, &sealed).await?),
            _ => None,
        };
        let draft = tempfile::Builder::new().prefix("image-").suffix(".draft").tempfile_in(run.instance.images())?;
        files.push(Incoming { key, size, offset: 0, unpacker: Unpacker::new(open.as_ref())?, draft });
    }
    Ok(files)
}

impl Incoming {
    /// Reads on, at most so many bytes; returns how many came.
    pub(super) async fn read(&mut self, bucket: &Bucket, most: u64) -> Result<u64, Failure> {
        let length = most.min(self.size - self.offset);
        if length == 0 {
            return Ok(0);
        }
        let bytes = bucket.read(&self.key, self.offset, length).await?;
        let plain = self.unpacker.push(&bytes)?;
        // A file's cache takes what a disk would: this does not wait.
        self.draft.write_all(&plain)?;
        self.offset += length;
        Ok(length)
    }
}

fn decide(run: &Run, files: &[Incoming], kind: Kind) -> Result<Outcome, Failure> {
    let mut arrived = Vec::new();
    for file in files {
        let inspected = inspect(file.draft.path())?;
        // A draft's name is its image's, but for the ending.
        arrived.push(Arrived { name: file.key.clone(), path: name_of(&file.draft), inspected });
    }
    if let [Arrived { inspected: Inspected::Compressed, .. }] = arrived.as_slice() {
        run.note("The backup is compressed by another server: its header is not read.");
    }
    let name = &run.task.order.database;
    Ok(run.instance.read(|state| check(&arrived, kind, state.get(name)))?)
}

fn name_of(draft: &NamedTempFile) -> PathBuf {
    let name = draft.path().with_extension("bak");
    name.file_name().map(PathBuf::from).unwrap_or_default()
}
