//! The last step of a restore, the name: what came of it is found out and said, whatever became of the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use haulier_domain::postgres::clash::{replaced_name, working_name};
use haulier_domain::postgres::manifest::StreamReference;
use haulier_worker_agent::postgres::{DatabaseRestore, OnClash};

use crate::bench::{Bench, as_name, failure};
use crate::server::{Server, wait_until};
use crate::store::MemoryStore;
use crate::wire::Wire;

const SHOP: &str = "CREATE TABLE t AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 3000) n";

fn shop(on_clash: OnClash) -> Vec<DatabaseRestore> {
    vec![DatabaseRestore { on_clash, ..as_name("shop", "") }]
}

/// A target with an older database of the same name.
fn target() -> Server {
    let target = Server::start(&[]);
    target.create("shop", "CREATE TABLE older ()");
    target
}

fn is_new(server: &Server) -> bool {
    server.sql("shop", "SELECT to_regclass('older') IS NULL AND to_regclass('t') IS NOT NULL") == "t"
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !tokio::task::block_in_place(&mut condition) {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `shop`, backed up into a store: what it is restored from.
async fn backed_up() -> (Arc<MemoryStore>, StreamReference) {
    let source = Server::start(&[]);
    source.create("shop", SHOP);
    let store = MemoryStore::new();
    let manifest = Bench::new(&store).back_up(&source, &["shop"]).await.unwrap().manifest_stream;
    (store, manifest)
}

/// Whether anybody may connect to `shop`.
fn is_open(server: &Server) -> bool {
    server.sql("postgres", "SELECT datallowconn FROM pg_database WHERE datname = 'shop'") == "t"
}

/// The older database is there, and nothing else.
fn assert_as_it_was(target: &Server) {
    assert_eq!((target.databases(), is_new(target)), (vec!["shop".to_owned()], false));
}

/// Keeps the database from being renamed for as long as the process lives.
fn hold(server: &Server, database: &str) -> std::process::Child {
    let sql = format!("BEGIN; COMMENT ON DATABASE {database} IS 'held'; SELECT pg_sleep(600)");
    let holder = server.program("psql", "rdsadmin", "postgres").args(["-q", "-c", &sql]).spawn().unwrap();
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    wait_until("the database is held", || server.sql("postgres", sleeping) == "1");
    holder
}

fn let_go(server: &Server, mut holder: std::process::Child) {
    server
        .sql("postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    holder.wait().unwrap();
}

const RENAMING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'haulier ses-test' AND wait_event_type = 'Lock' AND query ~ 'RENAME TO'";

/// The answer to the commit is lost, with the name given: the restore has succeeded, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_answer_was_lost_is_looked_for() {
    let (store, manifest) = backed_up().await;
    let working = working_name("ses-test", "shop", "shop");
    for on_clash in [OnClash::Replace, OnClash::Refuse] {
        let target = if on_clash == OnClash::Replace { target() } else { Server::start(&[]) };
        let wire = Wire::to(target.port).await;
        let mut bench = Bench::new(&store);
        bench.port = Some(wire.port);
        let gate = store.reading_gate("\"t\"");
        let losing = async {
            gate.reached().await;
            let held = if on_clash == OnClash::Replace { "shop" } else { working.as_str() };
            let holder = tokio::task::block_in_place(|| hold(&target, held));
            gate.open();
            until("the name is about to be given", || target.sql("postgres", RENAMING) == "1").await;
            wire.mute();
            tokio::task::block_in_place(|| let_go(&target, holder));
            let named = "SELECT count(*) FROM pg_database
                WHERE datname = 'shop' AND shobj_description(oid, 'pg_database') LIKE 'haulier restore%'";
            until("the name is given", || target.sql("postgres", named) == "1").await;
            wire.cut();
        };
        let (restored, ()) = tokio::join!(bench.restore(&target, &manifest, shop(on_clash)), losing);
        let restored = restored.unwrap_or_else(|stopped| panic!("{on_clash:?}: {stopped}"));
        assert_eq!(restored.databases[0].restored_as, "shop");
        assert_eq!((target.databases(), is_new(&target)), (vec!["shop".to_owned()], true), "{on_clash:?}");
        assert!(restored.warnings.is_empty(), "{:?}", restored.warnings);
    }
}

/// The connection breaks before the swap: the old database is as it was, and open.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_did_not_happen_leaves_the_old_database_open() {
    let (store, manifest) = backed_up().await;
    let bench = Bench::new(&store);
    let target = target();
    let holder = tokio::task::block_in_place(|| hold(&target, "shop"));
    let breaking = async {
        until("the swap is about to happen", || target.sql("postgres", RENAMING) == "1").await;
        assert!(!tokio::task::block_in_place(|| is_open(&target)), "nobody is let in meanwhile");
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        tokio::task::block_in_place(|| target.sql("postgres", cut));
    };
    let (failed, ()) = tokio::join!(bench.restore(&target, &manifest, shop(OnClash::Replace)), breaking);
    let failed = failure(failed);
    let_go(&target, holder);
    assert!(failed.cause.contains("is as it was"), "{failed}");
    assert_as_it_was(&target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_lost_just_before_the_swap_leaves_a_database_that_the_next_one_opens() {
    let (store, manifest) = backed_up().await;
    let mut bench = Bench::new(&store);
    let target = target();
    let holder = tokio::task::block_in_place(|| hold(&target, "shop"));
    tokio::select! {
        ended = bench.restore(&target, &manifest, shop(OnClash::Replace)) => panic!("too late: {ended:?}"),
        () = until("the swap is about to happen", || target.sql("postgres", RENAMING) == "1") => {}
    }
    assert!(!is_open(&target), "it did not strike");
    // The next one is asked to stop at once: nothing is replaced any more.
    bench.repeated = true;
    bench.cancel.cancel();
    let stopped = bench.restore(&target, &manifest, shop(OnClash::Replace)).await.unwrap_err();
    let_go(&target, holder);
    assert_eq!(stopped, haulier_worker_agent::postgres::Stopped::Cancelled);
    assert!(is_open(&target));
    assert_as_it_was(&target);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stay_are_said_and_the_old_database_with_them() {
    let (store, manifest) = backed_up().await;
    let bench = Bench::new(&store);
    let target = target();
    // A superuser cannot be thrown out.
    let mut guest = target.program("psql", "rdsadmin", "shop").args(["-c", "SELECT pg_sleep(600)"]).spawn().unwrap();
    wait_until("the guest is there", || {
        target.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'") == "1"
    });
    let failed = failure(bench.restore(&target, &manifest, shop(OnClash::Replace)).await);
    assert_eq!(failed.code, "restore-target-in-use", "{failed}");
    assert!(failed.cause.contains("is as it was"), "{failed}");
    assert!(is_open(&target));
    guest.kill().unwrap();
    guest.wait().unwrap();
    assert_as_it_was(&target);
}

/// What was replaced cannot be dropped: the restored database is complete all the same, and the operator is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_database_that_stays_is_a_warning_with_its_name() {
    let (store, manifest) = backed_up().await;
    let bench = Bench::new(&store);
    let target = target();
    target.sql("postgres", "ALTER DATABASE shop IS_TEMPLATE true");
    let restored = bench.restore(&target, &manifest, shop(OnClash::Replace)).await.unwrap();
    let old = replaced_name(&working_name("ses-test", "shop", "shop"));
    assert!(
        restored.warnings.iter().any(|text| text.contains(&old) && text.contains("drop")),
        "{:?}",
        restored.warnings
    );
    assert_eq!((target.databases(), is_new(&target)), (vec![old, "shop".to_owned()], true));
}
