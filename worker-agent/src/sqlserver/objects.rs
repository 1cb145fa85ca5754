//! What lies in the temporary bucket.

use haulier_cloud::object_store::ObjectMeta;

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

/// Removes every object whose key begins so.
pub(super) async fn remove(context: &Context, prefix: &str) -> Result<(), Stopped> {
    for object in list(context, prefix).await? {
        let what = format!("removing {:?} from the temporary bucket", object.key);
        context.bucket(&what, || context.bucket.delete(&object.key)).await?;
    }
    Ok(())
}
