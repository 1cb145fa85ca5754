//! An object store that is cut off after a number of calls, as a process is that is killed: the last call may have been
//! carried out, and nothing is after it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::ErrorKind;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};

use super::Bucket;

#[derive(Debug)]
pub(crate) struct Killing {
    inner: Arc<Bucket>,
    /// Calls that change something and are still let through.
    left: AtomicI64,
    /// Whether the call at which it dies is carried out.
    carried_out: bool,
}

impl Killing {
    pub(crate) fn new(inner: &Arc<Bucket>, calls: i64, carried_out: bool) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), left: AtomicI64::new(calls), carried_out })
    }

    pub(crate) fn died(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    fn alive(&self, key: &str) -> haulier_cloud::Result<()> {
        if self.died() { Err(super::error("Killed", key, ErrorKind::Unavailable)) } else { Ok(()) }
    }

    async fn change<T>(
        &self,
        key: &str,
        call: impl Future<Output = haulier_cloud::Result<T>> + Send,
    ) -> haulier_cloud::Result<T> {
        self.alive(key)?;
        let last = self.left.fetch_sub(1, Ordering::SeqCst) <= 0;
        if !last || self.carried_out {
            let done = call.await;
            self.alive(key)?;
            return done;
        }
        self.alive(key).and_then(|()| Err(super::error("Killed", key, ErrorKind::Unavailable)))
    }
}

#[async_trait]
impl ObjectStore for Killing {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        self.change(key, self.inner.put_new(key, body)).await
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        self.alive(key)?;
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> haulier_cloud::Result<Bytes> {
        self.alive(key)?;
        self.inner.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        self.alive(key)?;
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        self.alive(prefix)?;
        self.inner.list(prefix, start_after).await
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        self.change(key, self.inner.delete(key)).await
    }
}
