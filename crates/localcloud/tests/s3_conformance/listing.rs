//! Listings.

use aws_sdk_s3::Client;

use crate::target::{Target, put};

async fn keys(target: &Target, keys: &[&str]) -> (Client, String) {
    let (client, bucket) = target.bucket().await;
    for key in keys {
        put(&client, &bucket, key, *key).await;
    }
    (client, bucket)
}

pub(crate) async fn pages_give_every_key_in_order(target: Target) {
    let names: Vec<String> = (0..23).map(|number| format!("k{number:02}")).collect();
    let (client, bucket) = keys(&target, &names.iter().rev().map(String::as_str).collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let list = client.list_objects_v2().bucket(&bucket).max_keys(5).set_continuation_token(token);
        let page = list.send().await.unwrap();
        assert!(page.contents().len() <= 5);
        assert_eq!(page.key_count(), Some(page.contents().len() as i32));
        seen.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        assert_eq!(page.is_truncated(), Some(token.is_some()));
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, names);
    let one = client.list_objects_v2().bucket(&bucket).prefix("k07").send().await.unwrap();
    assert_eq!(one.contents()[0].size(), Some(3));
    assert!(one.contents()[0].e_tag().is_some());
}

pub(crate) async fn prefix_and_delimiter_roll_up(target: Target) {
    let (client, bucket) = keys(&target, &["a/1", "a/b/2", "a/b/3", "a/c/4", "d", "a"]).await;
    let list = async |prefix: &str| {
        let page = client.list_objects_v2().bucket(&bucket).prefix(prefix).delimiter("/").send().await.unwrap();
        let keys: Vec<_> = page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect();
        let prefixes: Vec<_> =
            page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()).collect();
        (keys.join(" "), prefixes.join(" "))
    };
    assert_eq!(list("").await, ("a d".to_owned(), "a/".to_owned()));
    assert_eq!(list("a/").await, ("a/1".to_owned(), "a/b/ a/c/".to_owned()));
    assert_eq!(list("a/b/").await, ("a/b/2 a/b/3".to_owned(), String::new()));
    assert_eq!(list("x").await, (String::new(), String::new()));
}

pub(crate) async fn a_listing_starts_after_a_key(target: Target) {
    let (client, bucket) = keys(&target, &["a", "b", "c", "d"]).await;
    let page = client.list_objects_v2().bucket(&bucket).start_after("b").send().await.unwrap();
    assert_eq!(page.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["c", "d"]);
    let between = client.list_objects_v2().bucket(&bucket).start_after("bb").max_keys(1).send().await.unwrap();
    assert_eq!(between.contents()[0].key(), Some("c"));
    assert_eq!(between.is_truncated(), Some(true));
}

pub(crate) async fn the_older_listing_agrees(target: Target) {
    let (client, bucket) = keys(&target, &["a/1", "a/2", "b", "c"]).await;
    let first = client.list_objects().bucket(&bucket).delimiter("/").max_keys(2).send().await.unwrap();
    assert_eq!(first.common_prefixes()[0].prefix(), Some("a/"));
    assert_eq!(first.contents()[0].key(), Some("b"));
    assert_eq!(first.is_truncated(), Some(true));
    let marker = first.next_marker().unwrap();
    let second = client.list_objects().bucket(&bucket).delimiter("/").marker(marker).send().await.unwrap();
    assert_eq!(second.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["c"]);
    assert!(second.common_prefixes().is_empty());
}
