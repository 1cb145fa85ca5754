//! The folder as a process has it that may be killed at any of its calls, in a time that passes faster.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::folder::Folder;

/// A second is an hour: what a prune waits for comes about within a run.
const FASTER: i64 = 3600;

/// The time, which begins with the run and is an hour later each second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Timestamp,
}

impl Clock {
    pub(crate) fn new(began: Timestamp) -> Self {
        Self { began }
    }

    pub(crate) fn began(self) -> Timestamp {
        self.began
    }

    pub(crate) fn now(self) -> Timestamp {
        self.at(Timestamp::now())
    }

    fn at(self, real: Timestamp) -> Timestamp {
        let passed = real.duration_since(self.began);
        let passed = SignedDuration::from_micros((passed.as_micros() as i64).saturating_mul(FASTER));
        self.began.saturating_add(passed).unwrap_or(self.began)
    }
}

/// The folder, until it kills its process.
#[derive(Debug)]
pub(crate) struct Mortal {
    pub(crate) folder: Folder,
    pub(crate) clock: Clock,
    /// Calls until the process is killed; none: it lives.
    dies: Option<u64>,
    /// Whether the last call is carried out.
    carried_out: bool,
    calls: AtomicU64,
}

impl Mortal {
    pub(crate) fn new(folder: Folder, clock: Clock, dies: Option<u64>) -> Self {
        let carried_out = dies.is_some_and(|calls| calls % 2 == 1);
        Self { folder, clock, dies, carried_out, calls: AtomicU64::new(0) }
    }

    async fn call<T>(&self, call: impl Future<Output = haulier_cloud::Result<T>> + Send) -> haulier_cloud::Result<T> {
        let last = self.dies == Some(self.calls.fetch_add(1, Ordering::SeqCst));
        if last && !self.carried_out {
            die();
        }
        let done = call.await;
        if last {
            die();
        }
        done
    }

    fn meta(&self, meta: ObjectMeta) -> ObjectMeta {
        ObjectMeta { modified: self.clock.at(meta.modified), ..meta }
    }
}

/// As the machine's end would have it: no thread of the process does anything after.
fn die() {
    let _ = kill(Pid::this(), Signal::SIGKILL);
}

#[async_trait]
impl ObjectStore for Mortal {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        self.call(self.folder.put_new(key, body)).await
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        self.call(self.folder.get(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> haulier_cloud::Result<Bytes> {
        self.call(self.folder.get_range(key, range)).await
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        Ok(self.call(self.folder.head(key)).await?.map(|meta| self.meta(meta)))
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        let ListPage { objects, next } = self.call(self.folder.list(prefix, start_after)).await?;
        Ok(ListPage { objects: objects.into_iter().map(|meta| self.meta(meta)).collect(), next })
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        self.call(self.folder.delete(key)).await
    }
}
