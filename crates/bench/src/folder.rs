//! An object store in a folder: one file per object, durable when a write returns, as the peers' local back ends are. An
//! object is there whole or not at all, whenever the process that writes it is killed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};
use haulier_cloud::{CloudError, ErrorKind, Outcome};

/// Where files lie while they are written, beside all prefixes.
const UNFINISHED: &str = ".unfinished";

/// The store.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// Runs file work where it may block.
    async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> haulier_cloud::Result<T> {
        let path = self.0.join(key);
        let done = tokio::task::spawn_blocking(move || work(&path)).await.map_err(io::Error::other).flatten();
        done.map_err(|cause| failed(operation, key, cause))
    }
}

fn failed(operation: &'static str, key: &str, cause: io::Error) -> CloudError {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::UnexpectedEof => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    CloudError {
        operation,
        target: key.to_owned(),
        kind,
        outcome: Outcome::Determinate,
        code: None,
        message: "the folder refused".to_owned(),
        source: Some(Box::new(cause)),
    }
}

fn meta(key: &str, found: &fs::Metadata) -> ObjectMeta {
    let modified = found.modified().ok().and_then(|modified| jiff::Timestamp::try_from(modified).ok());
    let modified = modified.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    ObjectMeta { key: key.to_owned(), size: found.len(), modified, etag: String::new() }
}

/// Writes a file that is not there yet, and gives it its name once it is whole.
fn put(path: &Path, unfinished: &Path, body: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    for folder in [path.parent(), Some(unfinished)].into_iter().flatten() {
        fs::create_dir_all(folder)?;
    }
    let mut file = tempfile::NamedTempFile::new_in(unfinished)?;
    file.write_all(body)?;
    file.as_file().sync_data()?;
    file.persist_noclobber(path).map(|_| ()).map_err(|error| error.error)
}

/// Finds files whose key starts with `prefix`, without looking into folders that cannot hold one.
fn walk(folder: &Path, key: &str, prefix: &str, found: &mut BTreeMap<String, ObjectMeta>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let key = format!("{key}{}", entry.file_name().to_string_lossy());
        let about = match entry.metadata() {
            // Deleted since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            about => about?,
        };
        if about.is_dir() {
            let below = format!("{key}/");
            if below.starts_with(prefix) || prefix.starts_with(&below) {
                walk(&entry.path(), &below, prefix, found)?;
            }
        } else if key.starts_with(prefix) {
            let meta = meta(&key, &about);
            found.insert(key, meta);
        }
    }
    Ok(())
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        let unfinished = self.0.join(UNFINISHED);
        self.work("PutObject", key, move |path| put(path, &unfinished, &body)).await
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        self.work("GetObject", key, |path| fs::read(path).map(Bytes::from)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> haulier_cloud::Result<Bytes> {
        self.work("GetObject", key, move |path| {
            let file = File::open(path)?;
            let end = range.end.min(file.metadata()?.len());
            let length = end.checked_sub(range.start).filter(|length| *length > 0);
            let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let mut bytes = vec![0; length as usize];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        let found = self.work("HeadObject", key, |path| fs::metadata(path)).await;
        match found {
            Ok(found) => Ok(Some(meta(key, &found))),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        let (root, wanted) = (self.0.clone(), prefix.to_owned());
        let walked = move |_: &Path| {
            let mut found = BTreeMap::new();
            walk(&root, "", &wanted, &mut found)?;
            Ok(found)
        };
        let found = self.work("ListObjectsV2", prefix, walked).await?;
        let after = |key: &str| start_after.is_none_or(|after| key > after);
        let objects = found.into_iter().filter(|(key, _)| after(key)).map(|(_, meta)| meta).collect();
        Ok(ListPage { objects, next: None })
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        match self.work("DeleteObject", key, |path| fs::remove_file(path)).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_behaves_like_a_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder(folder.path().to_owned());
        for key in ["a/one", "a/two", "ab/three"] {
            store.put_new(key, Bytes::from_static(b"content")).await.unwrap();
        }
        let again = store.put_new("a/one", Bytes::new()).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(folder.path().join(UNFINISHED)).unwrap().count(), 0);
        let age = jiff::Timestamp::now().duration_since(store.head("a/one").await.unwrap().unwrap().modified);
        assert!(age.as_secs().abs() < 3_600, "{age}");
        let listed = |page: ListPage| page.objects.into_iter().map(|object| object.key).collect::<Vec<_>>();
        assert_eq!(listed(store.list("a/", None).await.unwrap()), ["a/one", "a/two"]);
        assert_eq!(listed(store.list("a", Some("a/one")).await.unwrap()), ["a/two", "ab/three"]);
        assert_eq!(store.get_range("a/one", 3..99).await.unwrap(), "tent");
        assert_eq!(store.get_range("a/one", 7..9).await.unwrap_err().kind, ErrorKind::Invalid);
        assert_eq!(store.head("a/one").await.unwrap().unwrap().size, 7);
        store.delete("a/one").await.unwrap();
        store.delete("a/one").await.unwrap();
        assert!(store.head("a/one").await.unwrap().is_none());
        assert_eq!(store.get("a/one").await.unwrap_err().kind, ErrorKind::NotFound);
    }
}
