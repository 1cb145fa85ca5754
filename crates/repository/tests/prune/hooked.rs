//! A bucket at which something happens once, at a moment of some object's life.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use haulier_cloud::object_store::{ListPage, ObjectMeta, ObjectStore};

pub(crate) type Action = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforePut,
    AfterPut,
    BeforeDelete,
}

/// A bucket that does something once, when an object of some name is written or deleted.
pub(crate) struct Hooked {
    inner: Arc<dyn ObjectStore>,
    name: &'static str,
    moment: Moment,
    action: Mutex<Option<Action>>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Hooked {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, name: &'static str, moment: Moment, action: Action) -> Arc<Self> {
        Arc::new(Self { inner, name, moment, action: Mutex::new(Some(action)) })
    }

    async fn act(&self, key: &str, moment: Moment) {
        if self.moment == moment && key.contains(self.name) {
            let action = self.action.lock().unwrap().take();
            if let Some(action) = action {
                action().await;
            }
        }
    }

    pub(crate) fn acted(&self) -> bool {
        self.action.lock().unwrap().is_none()
    }
}

#[async_trait]
impl ObjectStore for Hooked {
    async fn put_new(&self, key: &str, body: Bytes) -> haulier_cloud::Result<()> {
        self.act(key, Moment::BeforePut).await;
        self.inner.put_new(key, body).await?;
        self.act(key, Moment::AfterPut).await;
        Ok(())
    }

    async fn get(&self, key: &str) -> haulier_cloud::Result<Bytes> {
        self.inner.get(key).await
    }

    async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> haulier_cloud::Result<Bytes> {
        self.inner.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> haulier_cloud::Result<Option<ObjectMeta>> {
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>) -> haulier_cloud::Result<ListPage> {
        self.inner.list(prefix, start_after).await
    }

    async fn delete(&self, key: &str) -> haulier_cloud::Result<()> {
        self.act(key, Moment::BeforeDelete).await;
        self.inner.delete(key).await
    }
}
