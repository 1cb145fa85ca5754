//! The suite of [`ObjectStore`] over a bucket with Object Lock.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::error::ErrorKind;
use crate::object_lock::{BucketLock, Destruction, Retention, RetentionMode};
use crate::object_store::ObjectStore;

/// Runs a store over a bucket with Object Lock and no retention of its own through its suite, under a prefix where nothing
/// lies yet. `set_ahead` moves the store's clock so far ahead of the host's: the suite keeps things for days.
pub async fn object_lock<S: ObjectStore + ?Sized>(
    store: &S,
    prefix: &str,
    mut set_ahead: impl AsyncFnMut(SignedDuration),
) {
    assert_eq!(store.object_lock().await.unwrap(), Some(BucketLock { default: None }));
    a_delete_hides_and_a_destruction_removes(store, &format!("{prefix}/plain")).await;
    what_is_hidden_is_found_and_comes_back(store, &format!("{prefix}/hidden")).await;
    let mut kept = Vec::new();
    for mode in [RetentionMode::Governance, RetentionMode::Compliance] {
        let key = format!("{prefix}/kept-{mode:?}");
        what_is_retained_stays(store, &key, mode).await;
        kept.push(key);
    }
    let late = format!("{prefix}/late");
    what_is_there_can_be_retained(store, &late).await;
    kept.push(late);

    set_ahead(days(4)).await;
    for key in &kept {
        assert_eq!(store.destroy(key).await.unwrap(), Destruction::Protected, "{key}");
    }
    set_ahead(days(6)).await;
    for key in &kept {
        assert_eq!(store.destroy(key).await.unwrap(), Destruction::Done, "{key}");
        assert_eq!(store.head(key).await.unwrap(), None);
    }
    set_ahead(SignedDuration::ZERO).await;
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// In whole seconds, which is what S3 keeps.
fn in_days(mode: RetentionMode, count: i64) -> Retention {
    let until = (Timestamp::now() + days(count)).as_second();
    Retention { mode, until: Timestamp::from_second(until).unwrap() }
}

async fn a_delete_hides_and_a_destruction_removes<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    assert_eq!(store.destroy(key).await.unwrap(), Destruction::Done);
    for text in ["one", "two"] {
        // What is hidden counts as absent, and several versions may lie there.
        store.put_new(key, Bytes::from(text)).await.unwrap();
        assert_eq!(store.retention(key).await.unwrap(), None);
        assert_eq!(store.get(key).await.unwrap(), text);
        store.delete(key).await.unwrap();
        assert_eq!(store.head(key).await.unwrap(), None);
        assert_eq!(store.get(key).await.unwrap_err().kind, ErrorKind::NotFound);
    }
    let longer = format!("{key}er");
    store.put_new(&longer, Bytes::from("neighbour")).await.unwrap();
    assert_eq!(store.destroy(key).await.unwrap(), Destruction::Done);
    assert_eq!(store.get(&longer).await.unwrap(), "neighbour");
    assert_eq!(store.destroy(&longer).await.unwrap(), Destruction::Done);
    assert_eq!(store.head(&longer).await.unwrap(), None);
}

async fn what_is_hidden_is_found_and_comes_back<S: ObjectStore + ?Sized>(store: &S, prefix: &str) {
    let keys: Vec<String> = (0..3).map(|number| format!("{prefix}/{number}")).collect();
    for (key, text) in keys.iter().zip(["none", "first", "other"]) {
        store.put_new(key, Bytes::from(text)).await.unwrap();
    }
    assert_eq!(store.hidden(prefix, 10).await.unwrap(), []);
    store.delete(&keys[1]).await.unwrap();
    // Of several versions the newest is what is hidden.
    store.put_new(&keys[1], Bytes::from("second")).await.unwrap();
    assert_eq!(store.hidden(prefix, 10).await.unwrap(), [], "what was there before is not hidden but replaced");
    for key in &keys[1..] {
        store.delete(key).await.unwrap();
    }
    let hidden = store.hidden(prefix, 10).await.unwrap();
    let told: Vec<_> = hidden.iter().map(|hidden| (hidden.key.as_str(), hidden.size)).collect();
    assert_eq!(told, [(keys[1].as_str(), 6), (keys[2].as_str(), 5)]);
    assert_eq!(store.hidden(prefix, 1).await.unwrap().len(), 1);

    assert!(store.reveal(&keys[1]).await.unwrap());
    assert!(!store.reveal(&keys[1]).await.unwrap() && !store.reveal(&keys[0]).await.unwrap());
    assert_eq!(store.get(&keys[1]).await.unwrap(), "second");
    assert_eq!(store.hidden(prefix, 10).await.unwrap().len(), 1);
    assert!(!store.reveal(&format!("{prefix}/never")).await.unwrap());
    for key in &keys {
        assert_eq!(store.destroy(key).await.unwrap(), Destruction::Done);
    }
    assert_eq!(store.hidden(prefix, 10).await.unwrap(), []);
}

async fn what_is_retained_stays<S: ObjectStore + ?Sized>(store: &S, key: &str, mode: RetentionMode) {
    let three = in_days(mode, 3);
    store.put_new_retained(key, Bytes::from("kept"), &three).await.unwrap();
    let again = store.put_new_retained(key, Bytes::from("other"), &three).await.unwrap_err();
    assert!(again.is_already_exists(), "{again:?}");
    assert_eq!(store.retention(key).await.unwrap(), Some(three));
    assert_eq!(store.destroy(key).await.unwrap(), Destruction::Protected);
    assert_eq!(store.get(key).await.unwrap(), "kept");

    let five = in_days(mode, 5);
    store.retain(key, &five).await.unwrap();
    assert_eq!(store.retention(key).await.unwrap(), Some(five));
    // Less is what it has already.
    store.retain(key, &three).await.unwrap();
    store.retain(key, &Retention { mode: RetentionMode::Governance, ..three }).await.unwrap();
    assert_eq!(store.retention(key).await.unwrap(), Some(five));

    // Out of sight it is as safe, and a destruction that fails does not bring it back.
    store.delete(key).await.unwrap();
    assert_eq!(store.destroy(key).await.unwrap(), Destruction::Protected);
    assert_eq!(store.head(key).await.unwrap(), None);
}

async fn what_is_there_can_be_retained<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    let wanted = in_days(RetentionMode::Governance, 5);
    assert_eq!(store.retain(key, &wanted).await.unwrap_err().kind, ErrorKind::NotFound);
    store.put_new(key, Bytes::from("kept")).await.unwrap();
    let past = Retention { until: Timestamp::UNIX_EPOCH, ..wanted };
    assert_eq!(store.retain(key, &past).await.unwrap_err().kind, ErrorKind::Invalid);
    store.retain(key, &wanted).await.unwrap();
    assert_eq!(store.retention(key).await.unwrap(), Some(wanted));
    assert_eq!(store.destroy(key).await.unwrap(), Destruction::Protected);
}
