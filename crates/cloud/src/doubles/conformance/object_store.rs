//! The suite of [`ObjectStore`].

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use jiff::{SignedDuration, Timestamp};

use crate::error::ErrorKind;
use crate::object_lock::{Destruction, Retention, RetentionMode};
use crate::object_store::{ObjectMeta, ObjectStore, SHORTEST_PART, Upload, UserMetadata};

/// Runs an object store through its suite, under a prefix (without a slash at the end) where nothing lies yet.
pub async fn object_store<S: ObjectStore + ?Sized>(store: &S, prefix: &str) {
    let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    writes_once(store, &key("one")).await;
    one_writer_wins(store, &key("race")).await;
    reads_ranges(store, &key("range")).await;
    takes_odd_keys(store, &key("odd")).await;
    lists_in_pages(store, &key("list/")).await;
    uploads_in_parts(store, &key("parts")).await;
    gives_an_upload_up(store, &key("given-up")).await;
    keeps_metadata(store, &key("metadata")).await;
    retains_nothing(store, &key("retained")).await;
    let left = list_all(store, &key("")).await;
    assert!(left.is_empty(), "the suite left {left:?}");
}

async fn writes_once<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    assert_eq!(store.head(key).await.unwrap(), None);
    assert_eq!(store.get(key).await.unwrap_err().kind, ErrorKind::NotFound);
    store.put_new(key, Bytes::from_static(b"first")).await.unwrap();
    let refusal = store.put_new(key, Bytes::from_static(b"second")).await.unwrap_err();
    assert!(refusal.is_already_exists(), "{refusal:?}");
    assert!(!refusal.is_indeterminate(), "{refusal:?}");
    assert_eq!(store.get(key).await.unwrap(), "first");
    let meta = store.head(key).await.unwrap().unwrap();
    assert_eq!((meta.key.as_str(), meta.size), (key, 5));
    assert!(!meta.etag.is_empty() && !meta.etag.contains('"'), "{meta:?}");
    store.delete(key).await.unwrap();
    store.delete(key).await.unwrap();
    assert_eq!(store.head(key).await.unwrap(), None);
    store.put_new(key, Bytes::new()).await.unwrap();
    assert_eq!(store.get(key).await.unwrap(), "");
    store.delete(key).await.unwrap();
}

async fn one_writer_wins<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    let writers = (0..16_u8).map(|number| async move { (number, store.put_new(key, Bytes::from(vec![number])).await) });
    let mut winners = Vec::new();
    for (number, outcome) in futures::future::join_all(writers).await {
        match outcome {
            Ok(()) => winners.push(number),
            Err(error) => assert!(error.is_already_exists(), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(store.get(key).await.unwrap(), winners);
    store.delete(key).await.unwrap();
}

/// What clients that encrypt leave beside an object comes back as it was, whichever way the object was made.
async fn keeps_metadata<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let own = [
        ("x-amz-key-v2", "AQIDAHi+/w=="),
        ("x-amz-matdesc", r#"{"kms_cmk_id":"arn:aws:kms:eu-central-1:111122223333:key/1"}"#),
        ("x-amz-cek-alg", "AES/CBC/PKCS5Padding"),
    ];
    let own: UserMetadata = own.map(pair).into();
    assert_eq!(store.metadata(key).await.unwrap(), None);
    store.put_new_with(key, Bytes::from_static(b"x"), &own).await.unwrap();
    assert_eq!(store.metadata(key).await.unwrap(), Some(own.clone()));
    let refusal = store.put_new_with(key, Bytes::new(), &UserMetadata::new()).await.unwrap_err();
    assert!(refusal.is_already_exists(), "{refusal:?}");
    assert_eq!(store.metadata(key).await.unwrap(), Some(own.clone()), "what is there stays as it is");
    store.delete(key).await.unwrap();

    for metadata in [UserMetadata::new(), own] {
        let upload = store.begin_upload_with(key, &metadata).await.unwrap();
        let part = store.put_part(&upload, 1, Bytes::from_static(b"part")).await.unwrap();
        store.complete_upload(&upload, &[part]).await.unwrap();
        assert_eq!(store.metadata(key).await.unwrap(), Some(metadata));
        store.delete(key).await.unwrap();
    }
    store.put_new(key, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.metadata(key).await.unwrap(), Some(UserMetadata::new()));
    store.delete(key).await.unwrap();
}

/// A bucket without Object Lock says so, and destroys what it deletes.
async fn retains_nothing<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    assert_eq!(store.object_lock().await.unwrap(), None);
    let until = Timestamp::now() + SignedDuration::from_hours(24);
    let retention = Retention { mode: RetentionMode::Governance, until };
    let refusal = store.put_new_retained(key, Bytes::new(), &retention).await.unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::Invalid, "{refusal:?}");
    assert_eq!(store.head(key).await.unwrap(), None);
    store.put_new(key, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.retain(key, &retention).await.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(store.retention(key).await.unwrap(), None);
    for _ in 0..2 {
        assert_eq!(store.destroy(key).await.unwrap(), Destruction::Done);
        assert_eq!(store.head(key).await.unwrap(), None);
    }
}

async fn reads_ranges<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    store.put_new(key, Bytes::from_static(b"0123456789")).await.unwrap();
    for (range, expected) in [(0..10, "0123456789"), (0..1, "0"), (3..7, "3456"), (9..10, "9"), (8..99, "89")] {
        assert_eq!(store.get_range(key, range.clone()).await.unwrap(), expected, "{range:?}");
    }
    for range in [10..11, 99..100] {
        let refusal = store.get_range(key, range.clone()).await.unwrap_err();
        assert_eq!(refusal.kind, ErrorKind::Invalid, "{range:?} {refusal:?}");
    }
    store.delete(key).await.unwrap();
    assert_eq!(store.get_range(key, 0..1).await.unwrap_err().kind, ErrorKind::NotFound);
}

async fn takes_odd_keys<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    for odd in [" space ", "plus+and%20percent", "ümläut-日本", "a=b&c?d#e", "dots/../kept"] {
        let key = format!("{key}/{odd}");
        store.put_new(&key, Bytes::from(odd)).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), odd);
        let listed = store.list(&key, None).await.unwrap().objects;
        assert!(listed.len() == 1 && listed[0].key == key, "{listed:?}");
        store.delete(&key).await.unwrap();
    }
}

async fn lists_in_pages<S: ObjectStore + ?Sized>(store: &S, prefix: &str) {
    assert!(store.list(prefix, None).await.unwrap().objects.is_empty());
    let keys: Vec<String> = (0..1_003).map(|number| format!("{prefix}{number:04}")).collect();
    let writes = stream::iter(&keys).map(|key| store.put_new(key, Bytes::from_static(b"x")));
    writes.buffer_unordered(32).for_each(|outcome| async move { outcome.unwrap() }).await;

    let first = store.list(prefix, None).await.unwrap();
    assert!(first.objects.len() <= 1_000 && first.next.is_some(), "{} objects", first.objects.len());
    let all: Vec<String> = list_all(store, prefix).await.into_iter().map(|object| object.key).collect();
    assert_eq!(all, keys);
    let after = store.list(prefix, Some(&keys[1_000])).await.unwrap();
    assert_eq!(after.objects.into_iter().map(|object| object.key).collect::<Vec<_>>(), keys[1_001..]);
    assert_eq!(after.next, None);
    let one = store.list(&keys[7], None).await.unwrap();
    assert_eq!(one.objects.iter().map(|object| object.size).collect::<Vec<_>>(), [1]);

    let deletes = stream::iter(&keys).map(|key| store.delete(key));
    deletes.buffer_unordered(32).for_each(|outcome| async move { outcome.unwrap() }).await;
}

async fn list_all<S: ObjectStore + ?Sized>(store: &S, prefix: &str) -> Vec<ObjectMeta> {
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let page = store.list(prefix, next.as_deref()).await.unwrap();
        all.extend(page.objects);
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
}

/// A part of the shortest length, unlike another one.
fn part(number: u8) -> Bytes {
    (0..SHORTEST_PART).map(|at| (at / 1_000) as u8 ^ number).collect::<Vec<_>>().into()
}

async fn uploads_in_parts<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    let upload = store.begin_upload(key).await.unwrap();
    // The last one first, and one of them twice: the second body counts.
    let last = store.put_part(&upload, 3, Bytes::from_static(b"end")).await.unwrap();
    let _replaced = store.put_part(&upload, 1, part(9)).await.unwrap();
    let first = store.put_part(&upload, 1, part(1)).await.unwrap();
    let second = store.put_part(&upload, 2, part(2)).await.unwrap();
    assert_eq!(store.head(key).await.unwrap(), None, "there is nothing before the end");
    let parts = [first, second, last];
    store.complete_upload(&upload, &parts).await.unwrap();
    let whole = [&part(1)[..], &part(2)[..], b"end"].concat();
    assert!(store.get(key).await.unwrap() == whole, "the parts in their order");
    assert_eq!(store.head(key).await.unwrap().map(|meta| meta.size), Some(whole.len() as u64));

    // What is there is never replaced, and an upload for it is still to be given up.
    let late = store.begin_upload(key).await.unwrap();
    let only = store.put_part(&late, 1, Bytes::from_static(b"other")).await.unwrap();
    let refusal = store.complete_upload(&late, &[only]).await.unwrap_err();
    assert!(refusal.is_already_exists() && !refusal.is_indeterminate(), "{refusal:?}");
    store.abort_upload(&late).await.unwrap();
    assert!(store.get(key).await.unwrap() == whole);
    store.delete(key).await.unwrap();
}

async fn gives_an_upload_up<S: ObjectStore + ?Sized>(store: &S, key: &str) {
    let upload = store.begin_upload(key).await.unwrap();
    let small = store.put_part(&upload, 1, Bytes::from_static(b"small")).await.unwrap();
    let last = store.put_part(&upload, 2, Bytes::from_static(b"last")).await.unwrap();
    let refusal = store.complete_upload(&upload, &[small, last]).await.unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::Invalid, "{refusal:?}");
    store.abort_upload(&upload).await.unwrap();
    store.abort_upload(&upload).await.unwrap();
    let gone = store.put_part(&upload, 1, Bytes::from_static(b"late")).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound, "{gone:?}");
    let unknown = Upload { key: key.to_owned(), id: "unknown".to_owned() };
    store.abort_upload(&unknown).await.unwrap();
    assert_eq!(store.head(key).await.unwrap(), None);
}
