//! What lies in the temporary bucket.

use haulier_cloud::object_store::{ObjectMeta, UserMetadata};
use haulier_domain::failure::Failure;

use super::context::Context;
use crate::mover::sinks::Stopped;

/// Every object whose key begins so.
pub(super) async fn list(context: &Context, prefix: &str) -> Result<Vec<ObjectMeta>, Stopped> {
    let what = format!("listing {prefix:?} in the temporary bucket");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = context.bucket(&what, || context.bucket.list(prefix, after.as_deref())).await?;
        all.extend(page.objects);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

/// The size of the object of that key, if it is there. Listed, not asked for: a session may list its own prefix alone, and S3
/// tells such a caller nothing of a key that is not there but that access is denied.
pub(super) async fn size_of(context: &Context, key: &str) -> Result<Option<u64>, Stopped> {
    let there = list(context, key).await?;
    Ok(there.into_iter().find(|object| object.key == key).map(|object| object.size))
}

/// The metadata of an object that is there.
pub(super) async fn metadata(context: &Context, key: &str) -> Result<UserMetadata, Stopped> {
    let what = format!("reading the metadata of {key:?} in the temporary bucket");
    let found = context.bucket(&what, || context.bucket.metadata(key)).await?;
    found.ok_or_else(|| {
        let remedy = "find out who removes objects from the temporary bucket, then run again";
        Failure::new("temporary-object-missing", what, "it is not there any more", remedy).retryable().into()
    })
}

/// Removes every object whose key begins so.
pub(super) async fn remove(context: &Context, prefix: &str) -> Result<(), Stopped> {
    for object in list(context, prefix).await? {
        let what = format!("removing {:?} from the temporary bucket", object.key);
        context.bucket(&what, || context.bucket.delete(&object.key)).await?;
    }
    Ok(())
}
