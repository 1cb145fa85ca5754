//! An object store in a folder: one file per object. For what must outlive a process, or must not lie in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};
use haulier_cloud::{CloudError, ErrorKind};

#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

fn failed(operation: &'static str, key: &str, cause: &io::Error) -> CloudError {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        _ => ErrorKind::Unavailable,
    };
    super::error(operation, key, kind)
}

impl Folder {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, u64>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let key = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let meta = entry.metadata()?;
            if meta.is_dir() {
                Self::walk(&entry.path(), &format!("{key}/"), found)?;
            } else {
                found.insert(key, meta.len());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        let path = self.0.join(key);
        let write = || {
            fs::create_dir_all(path.parent().unwrap())?;
            File::create_new(&path)?.write_all(&body)
        };
        write().map_err(|cause| failed("PutObject", key, &cause))
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        fs::read(self.0.join(key)).map(Bytes::from).map_err(|cause| failed("GetObject", key, &cause))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> haulier_cloud::Result<Bytes> {
        let read = || {
            let file = File::open(self.0.join(key))?;
            let end = range.end.min(file.metadata()?.len());
            let mut bytes = vec![0; (end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        };
        read().map_err(|cause| failed("GetObject", key, &cause))
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        Ok(fs::metadata(self.0.join(key)).ok().map(|meta| super::meta(key, meta.len())))
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        let mut found = BTreeMap::new();
        Self::walk(&self.0, "", &mut found).map_err(|cause| failed("ListObjectsV2", prefix, &cause))?;
        let wanted = |key: &str| key.starts_with(prefix) && start_after.is_none_or(|after| key > after);
        let objects = found.iter().filter(|(key, _)| wanted(key)).map(|(key, size)| super::meta(key, *size)).collect();
        Ok(ListPage { objects, next: None })
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        fs::remove_file(self.0.join(key)).map_err(|cause| failed("DeleteObject", key, &cause))
    }
}
