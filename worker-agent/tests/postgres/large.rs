//! Large values, large tables, and tables that are written to while they are read.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::bench::{Bench, as_name};
use crate::server::Server;
use crate::store::{At, MemoryStore};
use haulier_worker_agent::postgres::StreamKind;

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_two_hundred_megabytes_comes_back_equal() {
    let server = Server::start(&[]);
    server.create(
        "wide",
        "CREATE TABLE t (id int, v text);
        ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
        INSERT INTO t SELECT n, repeat('x' || n, 100) FROM generate_series(1, 50) n;
        INSERT INTO t SELECT 1000, string_agg(md5(n::text), '') FROM generate_series(1, 6553600) n;
        INSERT INTO t SELECT 2000 + n, repeat('y' || n, 100) FROM generate_series(1, 50) n",
    );
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["wide"]).await.unwrap();
    assert_eq!(backup.manifest.databases[0].tables.len(), 1);
    bench.restore(&server, &backup.manifest_stream, vec![as_name("wide", "copy")]).await.unwrap();
    let hash = |database: &str| {
        server.sql(database, "SELECT count(*), max(length(v)), md5(string_agg(md5(v), '' ORDER BY id)) FROM t")
    };
    assert_eq!(hash("wide"), hash("copy"));
    assert!(hash("copy").starts_with("101|209715200|"), "{}", hash("copy"));
}

/// Every transaction moves an amount between two accounts, grows a journal of its own and counts itself in a small table. A copy
/// of one moment has the total it began with, and as many entries in the journal as the counter says.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_written_to_is_copied_as_of_the_snapshot() {
    let server = Server::start(&[]);
    server.create(
        "bank",
        "CREATE TABLE accounts (id int PRIMARY KEY, amount bigint, filler text) WITH (fillfactor = 80);
        INSERT INTO accounts SELECT n, 1000, repeat('f', 150) FROM generate_series(1, 20000) n;
        CREATE TABLE journal (n bigserial, note text);
        INSERT INTO journal (note) SELECT repeat('j', 100) FROM generate_series(1, 10000);
        CREATE TABLE counter AS SELECT 10000::bigint AS n;
        CREATE PROCEDURE work() LANGUAGE plpgsql AS $$ DECLARE giver int; taker int; BEGIN
            FOR i IN 1..40 LOOP
                giver := 1 + floor(random() * 20000);
                taker := 1 + giver % 20000;
                UPDATE accounts SET amount = amount - i WHERE id = giver;
                UPDATE accounts SET amount = amount + i WHERE id = taker;
                INSERT INTO journal (note) VALUES (repeat('k', 100));
                UPDATE counter SET n = n + 1;
                COMMIT;
            END LOOP;
        END $$",
    );
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let stop = AtomicBool::new(false);
    let writes = AtomicBool::new(false);
    let gate = store.gate(StreamKind::Archive, At::FirstPiece);
    let backup = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                server.sql_as("master", "bank", "CALL work()");
                writes.store(true, Ordering::SeqCst);
            }
        });
        let backup = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let backing_up = bench.back_up(&server, &["bank"]);
                let meanwhile = async {
                    // The snapshot is taken. Let the writers change much before the archive goes on.
                    gate.reached().await;
                    writes.store(false, Ordering::SeqCst);
                    tokio::task::block_in_place(|| {
                        crate::server::wait_until("rows have changed", || writes.load(Ordering::SeqCst));
                    });
                    gate.open();
                };
                tokio::join!(backing_up, meanwhile).0
            })
        });
        stop.store(true, Ordering::SeqCst);
        backup
    })
    .unwrap();

    let tables = &backup.manifest.databases[0].tables;
    let accounts = tables.iter().find(|table| table.name == "accounts").unwrap();
    assert!(
        accounts.streams.len() >= 4 && accounts.streams.iter().all(|stream| stream.pages.is_some()),
        "{accounts:?}"
    );
    assert!(tables.iter().any(|table| table.name == "journal"));
    bench.restore(&server, &backup.manifest_stream, vec![as_name("bank", "copy")]).await.unwrap();
    assert_eq!(server.sql("copy", "SELECT count(*), sum(amount) FROM accounts"), "20000|20000000");
    assert_eq!(server.sql("copy", "SELECT (SELECT count(*) FROM journal) = n FROM counter"), "t");
    let moved = |database: &str| server.sql(database, "SELECT n FROM counter").parse::<u64>().unwrap();
    assert!(moved("bank") > moved("copy"), "nothing was written while it was read");
    assert_eq!(server.sql("copy", "SELECT count(*) = count(DISTINCT id) FROM accounts"), "t");
}
