//! What a restore does side by side, and what it says where one of the sides fails.

use std::time::{Duration, Instant};

use haulier_domain::postgres::clash::working_name;
use haulier_worker_agent::postgres::ProgressEvent;

use crate::bench::{Bench, as_name, failure};
use crate::server::Server;
use crate::store::MemoryStore;

/// A table with everything that hangs on one, one that is larger and has an index of its own, and what needs both.
const SHOP: &str = "
    CREATE TABLE late (id int PRIMARY KEY, v text);
    INSERT INTO late SELECT n, repeat('l', 100) FROM generate_series(1, 1000) n;
    CREATE TABLE early (id int PRIMARY KEY, late int REFERENCES late, v text);
    INSERT INTO early SELECT n, 1 + n % 1000, repeat('e', 100) FROM generate_series(1, 4000) n;
    CREATE INDEX early_v ON early (v);
    CREATE INDEX early_late ON early (late);
    CREATE STATISTICS early_both ON id, late FROM early;
    CREATE TABLE small (id int PRIMARY KEY, v text);
    INSERT INTO small VALUES (1, 'x');
    CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1500);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1500) TO (9000);
    CREATE INDEX parted_id ON parted (id);
    INSERT INTO parted SELECT n, repeat('p', 80) FROM generate_series(1, 3000) n;
    CREATE MATERIALIZED VIEW best AS SELECT * FROM early WHERE id < 10";

#[tokio::test(flavor = "multi_thread")]
async fn indexes_and_statistics_do_not_wait_for_the_rows_of_other_tables() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let streams = |name: &str| {
        let table = backup.manifest.databases[0].tables.iter().find(|table| table.name == name);
        table.map_or(0, |table| table.streams.len())
    };
    assert!(streams("early") > 1 && streams("late") == 1, "one lane waits, and two are free");

    let working = working_name("ses-test", "shop", "copy");
    let gate = store.reading_gate("\"late\"");
    let meanwhile = async {
        gate.reached().await;
        let is = |sql: &str| tokio::task::block_in_place(|| server.sql(&working, sql) == "t");
        let others = [
            "SELECT count(*) = 3 FROM pg_index WHERE indrelid = 'early'::regclass AND indisvalid",
            "SELECT count(*) = 3 FROM pg_stats WHERE tablename = 'early'",
            "SELECT count(*) = 1 FROM pg_statistic_ext_data",
            "SELECT count(*) = 1 FROM pg_index WHERE indrelid = 'small'::regclass",
            "SELECT count(*) = 2 FROM pg_stats WHERE tablename = 'parted_2'",
        ];
        for sql in others {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !is(sql) {
                assert!(Instant::now() < deadline, "waited in vain for: {sql}");
                // The restore is driven by the same task.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        assert!(is("SELECT NOT EXISTS (SELECT FROM late)"), "the gate is shut");
        assert!(is("SELECT NOT EXISTS (SELECT FROM pg_index WHERE indrelid = 'late'::regclass)"));
        assert!(is("SELECT NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f')"));
        gate.open();
    };
    let restoring = bench.restore(&server, &backup.manifest_stream, vec![as_name("shop", "copy")]);
    let restored = tokio::join!(restoring, meanwhile).0.unwrap();

    assert!(restored.skipped.is_empty(), "{:?}", restored.skipped);
    crate::oracle::assert_same((&server, "shop"), (&server, "copy"));
    let bare = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND NOT relisshared
        AND relnamespace::regnamespace::text !~ '^information' AND reltuples < 0";
    assert_eq!(server.sql("copy", bare), "0", "everything has statistics");
    assert_eq!(server.sql("copy", "SELECT count(*) FROM pg_stats WHERE tablename = 'parted' AND inherited"), "2");
    let lines = bench.ears.lines.lock().unwrap().clone();
    let told = lines.iter().find(|line| line.contains("is filled on 3 lanes")).unwrap();
    assert!(!told.contains("; 0 of its"), "{told}");
    let events = bench.ears.events.lock().unwrap().clone();
    let phases: Vec<_> = events
        .iter()
        .filter_map(|event| if let ProgressEvent::Phase(phase) = event { Some(*phase) } else { None })
        .skip_while(|phase| *phase != "schema")
        .collect();
    assert_eq!(phases, ["schema", "data", "indexes", "analyze", "finish"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_built_is_said_and_nothing_stays() {
    let server = Server::start(&[]);
    server.create(
        "shop",
        "CREATE FUNCTION mood(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
            IF pg_catalog.current_database() ~ '^haulier' THEN RAISE 'not in the mood for %', n; END IF;
            RETURN n;
        END $$;
        CREATE TABLE t AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 3000) n;
        CREATE INDEX fine ON t (n);
        CREATE INDEX moody ON t (mood(n));
        CREATE TABLE other AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 3000) n;
        CREATE INDEX other_n ON other (n)",
    );
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let failed = failure(bench.restore(&server, &backup.manifest_stream, vec![as_name("shop", "copy")]).await);
    assert_eq!(failed.code, "pg-restore-failed", "{failed}");
    assert!(failed.what.contains("indexes") && failed.cause.contains("not in the mood for"), "{failed}");
    assert_eq!(server.databases(), ["shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_restored_database_that_cannot_be_dropped_is_named() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let working = working_name("ses-test", "shop", "copy");
    // A template cannot be dropped.
    let gate = store.reading_gate("\"late\"");
    let meanwhile = async {
        gate.reached().await;
        tokio::task::block_in_place(|| {
            server.sql("postgres", &format!("ALTER DATABASE {working} IS_TEMPLATE true"));
        });
        gate.open();
    };
    let mut manifest = backup.manifest.clone();
    let late = manifest.databases[0].tables.iter_mut().find(|table| table.name == "late").unwrap();
    late.streams[0].rows += 1;
    let manifest = store.put("other", serde_json::to_vec(&manifest).unwrap());
    let restoring = bench.restore(&server, &manifest, vec![as_name("shop", "copy")]);
    let failed = failure(tokio::join!(restoring, meanwhile).0);
    assert_eq!(failed.code, "restore-left-behind", "{failed}");
    assert!(failed.to_string().contains(&working) && failed.cause.contains("rows arrived where"), "{failed}");
    assert!(server.databases().contains(&working));
}
