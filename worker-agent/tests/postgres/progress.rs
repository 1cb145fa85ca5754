//! What operators are shown while a mover works.

use haulier_worker_agent::postgres::ProgressEvent;

use crate::bench::{Bench, as_name, failure};
use crate::server::Server;
use crate::store::MemoryStore;

const SHOP: &str = "CREATE TABLE large AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 6000) n;
    CREATE TABLE larger AS SELECT n, repeat('y', 100) AS v FROM generate_series(1, 9000) n;
    CREATE TABLE small AS SELECT 1 AS n";

/// Everything that was named, after making sure that what began has ended.
fn named(bench: &Bench) -> Vec<String> {
    let events = std::mem::take(&mut *bench.ears.events.lock().unwrap());
    let (mut moving, mut named) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            ProgressEvent::Begun(what) => {
                named.push(what.clone());
                moving.push(what);
            }
            ProgressEvent::Ended(what) => {
                let place = moving.iter().position(|moving| *moving == what);
                moving.remove(place.unwrap_or_else(|| panic!("{what} ended and had not begun")));
            }
            ProgressEvent::Current(what) => named.push(what),
            ProgressEvent::Phase(_) | ProgressEvent::Expected(_) | ProgressEvent::Moved(_) => {}
        }
    }
    assert!(moving.is_empty(), "still on the move: {moving:?}");
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_moved_is_named_as_operators_know_it_and_no_longer_than_it_moves() {
    let server = Server::start(&[]);
    for name in ["shop", "crm"] {
        server.create(name, SHOP);
    }
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop", "crm"]).await.unwrap();
    let expected: Vec<u64> = {
        let events = bench.ears.events.lock().unwrap();
        let expected = |event: &ProgressEvent| match event {
            ProgressEvent::Expected(bytes) => Some(*bytes),
            _ => None,
        };
        events.iter().filter_map(expected).collect()
    };
    assert!(matches!(expected[..], [bytes] if bytes > 3_000_000), "told once, for both databases: {expected:?}");
    let shown = named(&bench);
    assert!(shown.iter().any(|what| what == "crm: schema and small tables"), "{shown:?}");
    assert!(shown.iter().any(|what| what.starts_with("shop: \"public\".\"larger\"")), "{shown:?}");

    bench.restore(&server, &backup.manifest_stream, vec![as_name("shop", "shop again")]).await.unwrap();
    let shown = named(&bench);
    assert!(shown.iter().any(|what| what == "shop again"), "{shown:?}");
    assert!(shown.iter().any(|what| what == "shop again: small tables"), "{shown:?}");
    assert!(shown.iter().any(|what| what == "shop again: \"public\".\"large\""), "{shown:?}");
    assert!(shown.iter().all(|what| !what.contains("haulier_")), "an internal name is shown: {shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_names_no_database_is_refused() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let refused = failure(bench.restore(&server, &backup.manifest_stream, Vec::new()).await);
    assert_eq!((refused.code.as_str(), refused.retryable), ("restore-database-unknown", false), "{refused}");
    assert_eq!(server.databases(), ["shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_that_connections_go_to_is_not_replaced() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let mut wanted = as_name("shop", "postgres");
    wanted.on_clash = haulier_worker_agent::postgres::OnClash::Replace;
    let refused = failure(bench.restore(&server, &backup.manifest_stream, vec![wanted]).await);
    assert_eq!(refused.code, "restore-name-reserved", "{refused}");
    assert_eq!(server.databases(), ["shop"]);
}
