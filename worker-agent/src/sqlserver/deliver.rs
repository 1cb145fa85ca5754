//! One file out of the repository into the temporary bucket, byte for byte: parts are filled in order and uploaded side by
//! side. The object is there when all of it is, and only where its hash is the one that was taken at backup. It has the metadata
//! that it had then: without that, RDS cannot decrypt what it has encrypted.

use bytes::{Bytes, BytesMut};
use haulier_cloud::object_store::{MOST_PARTS, Upload, UploadedPart};
use haulier_domain::failure::Failure;
use haulier_domain::sqlserver::manifest::File;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::context::Context;
use super::hashing::Hashing;
use super::{failures, objects};
use crate::mover::sinks::{ProgressEvent, Stopped};
use crate::mover::streams::{self, StreamReader};

const MIB: u64 = 1 << 20;
/// Bytes of a part, unless the file would have too many of them.
const PART: u64 = 16 * MIB;
/// Bytes of parts that are on their way, as long as two of them are no more than that.
const ON_THE_WAY: u64 = 96 * MIB;

/// Bytes of a part of a file of that size.
fn part_bytes(size: u64) -> u64 {
    size.div_ceil(MOST_PARTS).next_multiple_of(MIB).max(PART)
}

/// Makes the object of that key, unless it is there. `name` is what operators read.
///
/// # Errors
/// The bucket or the repository fails for longer than it may pass by itself, the bytes are not those that were backed up,
/// or the order to stop came. There is no object of that key then.
pub async fn deliver(context: &Context, file: &File, key: &str, name: &str) -> Result<(), Stopped> {
    let what = format!("putting {name} into the temporary bucket");
    match objects::size_of(context, key).await? {
        Some(size) if size == file.bytes => {
            context.info(&format!("{name} lies in the temporary bucket already"));
            context.progress.report(ProgressEvent::Moved(file.bytes));
            return Ok(());
        }
        Some(_) => context.bucket(&what, || context.bucket.delete(key)).await?,
        None => {}
    }
    let _shown = context.moving(name.to_owned());
    let opened = context.obey(context.streams.open(&file.stream)).await?;
    let mut pieces = Pieces { reader: opened.map_err(|error| streams::failure(&error))?, rest: Bytes::new() };
    if file.bytes <= PART {
        return whole(context, &what, file, key, &mut pieces).await;
    }
    let upload = context.bucket(&what, || context.bucket.begin_upload_with(key, &file.metadata)).await?;
    let delivered = in_parts(context, &what, file, &upload, &mut pieces).await;
    if delivered.is_err() {
        // Even after the order to stop: what is not given up is paid for. The bucket's end takes what stays.
        let given_up = timeout(context.pace.retry * 10, context.bucket.abort_upload(&upload)).await;
        if !matches!(given_up, Ok(Ok(()))) {
            tracing::warn!(key, "an upload could not be given up");
        }
    }
    delivered
}

async fn whole(context: &Context, what: &str, file: &File, key: &str, pieces: &mut Pieces) -> Result<(), Stopped> {
    // One byte more than there should be, so that too many are seen.
    let body = context.obey(pieces.take(file.bytes + 1, BytesMut::new())).await??;
    let hashing = Hashing::default().update(vec![body.clone()]).await?;
    check(what, file, body.len() as u64, hashing)?;
    match context.bucket_or(|| context.bucket.put_new_with(key, body.clone(), &file.metadata)).await? {
        // An answer was lost: of this session nobody else writes here.
        Err(error) if error.is_already_exists() => {}
        put => put.map_err(|error| failures::bucket(what, &error))?,
    }
    context.progress.report(ProgressEvent::Moved(file.bytes));
    Ok(())
}

async fn in_parts(
    context: &Context,
    what: &str,
    file: &File,
    upload: &Upload,
    pieces: &mut Pieces,
) -> Result<(), Stopped> {
    let length = part_bytes(file.bytes);
    let at_once = usize::try_from(ON_THE_WAY / length).unwrap_or(1).max(1);
    // Tasks of their own, which go on while the next part is read.
    let mut under_way = JoinSet::new();
    let mut parts: Vec<UploadedPart> = Vec::new();
    // What parts that are uploaded lay in: a new buffer would come from the kernel page by page, each time.
    let mut spare: Vec<BytesMut> = Vec::new();
    let (mut hashing, mut bytes, mut number) = (Hashing::default(), 0, 0);
    loop {
        // Of the last part one byte more than there should be, so that too many are seen.
        let buffer = spare.pop().unwrap_or_default();
        let body = context.obey(pieces.take(length.min(file.bytes - bytes + 1), buffer)).await??;
        bytes += body.len() as u64;
        number += 1;
        // A part too many would be refused by S3, and is wrong anyway.
        if body.is_empty() || bytes > file.bytes {
            break;
        }
        under_way.spawn(put(context.clone(), what.to_owned(), upload.clone(), number, body.clone()));
        hashing = hashing.update(vec![body]).await?;
        while under_way.len() >= at_once {
            let Some((part, body)) = next(&mut under_way).await? else { break };
            parts.push(part);
            spare.extend(emptied(body));
        }
    }
    drop(spare);
    while let Some((part, _)) = next(&mut under_way).await? {
        parts.push(part);
    }
    check(what, file, bytes, hashing)?;
    parts.sort_by_key(|part| part.number);
    let completed = context.bucket_or(|| context.bucket.complete_upload(upload, &parts)).await?;
    let Err(error) = completed else { return Ok(()) };
    // A lost answer may have been a yes.
    match objects::size_of(context, &upload.key).await? {
        Some(size) if size == file.bytes => Ok(()),
        _ => Err(failures::bucket(what, &error).into()),
    }
}

async fn put(
    context: Context,
    what: String,
    upload: Upload,
    number: u32,
    body: Bytes,
) -> Result<(UploadedPart, Bytes), Stopped> {
    let part = context.bucket(&what, || context.bucket.put_part(&upload, number, body.clone())).await?;
    context.progress.report(ProgressEvent::Moved(body.len() as u64));
    Ok((part, body))
}

/// The buffer that a part lay in, unless somebody still holds it.
fn emptied(body: Bytes) -> Option<BytesMut> {
    let mut buffer = body.try_into_mut().ok()?;
    buffer.clear();
    Some(buffer)
}

type PutPart = Result<(UploadedPart, Bytes), Stopped>;

async fn next(under_way: &mut JoinSet<PutPart>) -> Result<Option<(UploadedPart, Bytes)>, Stopped> {
    under_way.join_next().await.map(|ended| ended.map_err(failures::task)?).transpose()
}

fn check(what: &str, file: &File, bytes: u64, hashing: Hashing) -> Result<(), Failure> {
    let sha256 = hashing.finish();
    if bytes == file.bytes && sha256 == file.sha256 {
        return Ok(());
    }
    let cause = format!(
        "{} of the point has {bytes} bytes with SHA-256 {sha256}, and {} with {} were backed up",
        file.name, file.bytes, file.sha256
    );
    let remedy = "run a check of the restore point; restore from another point; report this";
    Err(Failure::new("repository-damaged", what, cause, remedy))
}

/// A stream in pieces of a length of one's own.
struct Pieces {
    reader: Box<dyn StreamReader>,
    rest: Bytes,
}

impl Pieces {
    /// The next so many bytes, or what there is, in that buffer.
    async fn take(&mut self, length: u64, mut body: BytesMut) -> Result<Bytes, Failure> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        body.reserve(length);
        while body.len() < length {
            if self.rest.is_empty() {
                match self.reader.next().await.map_err(|error| streams::failure(&error))? {
                    Some(piece) => self.rest = piece,
                    None => break,
                }
            }
            body.extend_from_slice(&self.rest.split_to(self.rest.len().min(length - body.len())));
        }
        Ok(body.freeze())
    }
}

#[cfg(test)]
mod tests {
    use haulier_domain::sqlserver::keys::{FILE_BYTES, LARGEST_FILE};

    use super::*;

    #[test]
    fn a_file_has_no_more_parts_than_s3_takes() {
        for size in [1, PART, PART * MOST_PARTS, PART * MOST_PARTS + 1, FILE_BYTES, LARGEST_FILE] {
            let part = part_bytes(size);
            assert!(size.div_ceil(part) <= MOST_PARTS && part >= PART, "{size} in parts of {part}");
        }
        // What a database is backed up into by itself needs no more memory than this.
        assert!(part_bytes(FILE_BYTES) <= 54 * MIB);
    }
}
