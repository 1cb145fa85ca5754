//! Names that are taken, things a target forbids, restores that are stopped.

use std::time::{Duration, Instant};

use haulier_worker_agent::postgres::{DatabaseRestore, OnClash, Stopped, StreamKind};

use crate::bench::{Bench, as_name, failure};
use crate::server::{Server, wait_until};
use crate::store::{At, MemoryStore};

fn clashing(on_clash: OnClash) -> Vec<DatabaseRestore> {
    vec![DatabaseRestore { on_clash, ..as_name("shop", "") }]
}

const SHOP: &str =
    "CREATE TABLE t AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 3000) n; CREATE INDEX ON t (n)";

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_database_is_replaced_only_when_asked_and_only_at_the_end() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    server.sql_as("master", "shop", "CREATE TABLE younger ()");

    let refused = bench.restore(&server, &backup.manifest_stream, clashing(OnClash::Refuse)).await;
    assert_eq!(failure(refused).code, "restore-name-taken");
    let suffixed = bench.restore(&server, &backup.manifest_stream, clashing(OnClash::Suffix)).await.unwrap();
    assert_eq!(suffixed.databases[0].restored_as, "shop_restored_1");

    // A restore that fails leaves the old one alone, and nothing of itself.
    store.damage("\"public\".\"t\"", 1);
    let failed = failure(bench.restore(&server, &backup.manifest_stream, clashing(OnClash::Replace)).await);
    assert_eq!(failed.code, "repository-damaged", "{failed}");
    assert_eq!(server.databases(), ["shop", "shop_restored_1"]);
    assert_eq!(server.sql("shop", "SELECT to_regclass('younger') IS NOT NULL"), "t");
    store.repair();

    // Somebody is connected to the old one: he is thrown out at the end.
    let mut guest = server.program("psql", "master", "shop").args(["-c", "SELECT pg_sleep(600)"]).spawn().unwrap();
    wait_until("the guest is there", || {
        server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'") == "1"
    });
    bench.restore(&server, &backup.manifest_stream, clashing(OnClash::Replace)).await.unwrap();
    assert!(!guest.wait().unwrap().success());
    assert_eq!(server.databases(), ["shop", "shop_restored_1"]);
    assert_eq!(server.sql("shop", "SELECT count(*), to_regclass('younger') IS NULL FROM t"), "3000|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_forbids_is_left_out_and_said() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.create("shop", SHOP);
    source.sql(
        "postgres",
        "CREATE ROLE boss NOLOGIN REPLICATION BYPASSRLS; CREATE ROLE far_away NOLOGIN; GRANT rds_superuser TO far_away",
    );
    source.sql(
        "shop",
        "CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER audit ON ddl_command_start EXECUTE FUNCTION audit();
        CREATE EXTENSION hstore; COMMENT ON EXTENSION hstore IS 'ours';
        CREATE TABLE boss_things (v int); ALTER TABLE boss_things OWNER TO boss;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO master",
    );
    // On this target `boss` is a superuser, of which the login cannot become a member.
    target.sql("postgres", "CREATE ROLE boss SUPERUSER");
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&source, &["shop"]).await.unwrap();
    let restored = bench.restore(&target, &backup.manifest_stream, vec![as_name("shop", "")]).await.unwrap();
    let said = |text: &str| restored.skipped.iter().any(|skipped| skipped.what.contains(text));
    for what in [
        "EVENT TRIGGER audit",
        "COMMENT EXTENSION hstore",
        "ownership of role \"boss\"",
        "ownership of role \"rdsadmin\"",
    ] {
        assert!(said(what), "{what} in {:#?}", restored.skipped);
    }
    assert_eq!(target.sql("shop", "SELECT tableowner FROM pg_tables WHERE tablename = 'boss_things'"), "master");
    assert_eq!(target.sql("shop", "SELECT 'a=>1'::hstore"), "\"a\"=>\"1\"");
    let memberships = "SELECT count(*) FROM pg_auth_members WHERE member = 'master'::regrole";
    assert_eq!(target.sql("postgres", memberships), "1", "rds_superuser alone");
}

/// The worker dies while its login is a member of the objects' owner. The next attempt gives back that membership, and
/// not the one that the login had before.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_had_taken_is_given_back_by_the_next() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.sql_as("master", "postgres", "CREATE ROLE app; CREATE ROLE own; GRANT app, own TO master");
    source.create("shop", SHOP);
    source.sql_as(
        "master",
        "shop",
        "GRANT CREATE ON SCHEMA public TO app, own; ALTER TABLE t OWNER TO app;
         CREATE TABLE mine AS SELECT 1 AS n; ALTER TABLE mine OWNER TO own",
    );
    target.sql_as("master", "postgres", "CREATE ROLE app; CREATE ROLE own; GRANT own TO master");
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    let backup = bench.back_up(&source, &["shop"]).await.unwrap();
    bench.roles = false;
    let memberships =
        "SELECT string_agg(roleid::regrole::text, ',' ORDER BY roleid::regrole::text) FROM pg_auth_members
        WHERE member = 'master'::regrole AND roleid::regrole::text IN ('app', 'own')";
    let taken = || target.sql("postgres", memberships) == "app,own";
    {
        let killed = bench.restore(&target, &backup.manifest_stream, vec![as_name("shop", "")]);
        let mut killed = std::pin::pin!(killed);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ended = tokio::time::timeout(Duration::from_millis(5), &mut killed).await;
            assert!(ended.is_err() && Instant::now() < deadline, "it took nothing: {ended:?}");
            if tokio::task::block_in_place(taken) {
                break;
            }
        }
    }
    assert!(taken(), "nothing was left by the attempt that was killed");
    // The server goes on with the statement that nobody waits for any more, which the next worker, once it has booted, finds done.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'master' AND state <> 'idle'";
    let deadline = Instant::now() + Duration::from_secs(60);
    while tokio::task::block_in_place(|| target.sql("postgres", busy)) != "0" {
        assert!(Instant::now() < deadline, "the server is still busy for the attempt that was killed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let restored = bench.restore(&target, &backup.manifest_stream, vec![as_name("shop", "")]).await.unwrap();
    assert_eq!(restored.databases.len(), 1);
    assert_eq!(target.sql("postgres", memberships), "own");
    assert_eq!(
        target.sql(
            "shop",
            "SELECT string_agg(tableowner, ',' ORDER BY tableowner) FROM pg_tables WHERE tablename IN ('t', 'mine')"
        ),
        "app,own"
    );
    assert_eq!(target.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'haulier%'"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_roles_a_database_is_restored_all_the_same() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.sql_as("master", "postgres", "CREATE ROLE app; CREATE ROLE readers; GRANT app TO master");
    source.create("shop", SHOP);
    source.sql_as(
        "master",
        "shop",
        "GRANT CREATE ON SCHEMA public TO app; ALTER TABLE t OWNER TO app; GRANT SELECT ON t TO readers",
    );
    source.sql_as("master", "postgres", "ALTER DATABASE shop OWNER TO app");
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    let backup = bench.back_up(&source, &["shop"]).await.unwrap();
    bench.roles = false;
    let restored = bench.restore(&target, &backup.manifest_stream, vec![as_name("shop", "")]).await.unwrap();
    assert_eq!(
        target.sql("shop", "SELECT count(*), tableowner FROM t, pg_tables WHERE tablename = 't' GROUP BY 2"),
        "3000|master"
    );
    let said = |text: &str| restored.skipped.iter().any(|skipped| skipped.what.contains(text));
    for what in
        ["ownership of role \"app\"", "GRANT SELECT ON TABLE public.t TO readers", "give the database to \"app\""]
    {
        assert!(said(what), "{what} in {:#?}", restored.skipped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_of_a_newer_major_is_refused() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let mut newer = backup.manifest.clone();
    newer.server_version_num = 160_002;
    let newer = store.put("manifest", serde_json::to_vec(&newer).unwrap());
    let refused = failure(bench.restore(&server, &newer, vec![as_name("shop", "copy")]).await);
    assert_eq!(refused.code, "restore-into-older-major");
    let mut unknown = serde_json::to_value(&backup.manifest).unwrap();
    unknown["version"] = 2.into();
    let unknown = store.put("manifest", serde_json::to_vec(&unknown).unwrap());
    let refused = failure(bench.restore(&server, &unknown, vec![as_name("shop", "copy")]).await);
    assert_eq!(refused.code, "manifest-unreadable");
    assert_eq!(server.databases(), ["shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_leaves_nothing_behind() {
    let server = Server::start(&[]);
    server.create("shop", "CREATE TABLE small AS SELECT n, md5(n::text) FROM generate_series(1, 60000) n");
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    bench.large = u64::MAX;
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    assert!(backup.manifest.databases[0].tables.is_empty());
    store.damage("archive", 3);
    let failed = failure(bench.restore(&server, &backup.manifest_stream, vec![as_name("shop", "copy")]).await);
    assert_eq!(failed.code, "repository-damaged", "{failed}");
    assert_eq!(server.databases(), ["shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_attempt_left_is_cleared_away_by_the_next() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let left = haulier_domain::postgres::clash::working_name("ses-test", "shop", "copy");
    server.create(&left, "CREATE TABLE half ()");
    bench.restore(&server, &backup.manifest_stream, vec![as_name("shop", "copy")]).await.unwrap();
    assert_eq!(server.databases(), ["copy", "shop"]);
    assert_eq!(server.sql("copy", "SELECT count(*), to_regclass('half') IS NULL FROM t"), "3000|t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_stops_within_two_seconds() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let gate = store.gate(StreamKind::Archive, At::FirstPiece);
    let cancelling = async {
        gate.reached().await;
        bench.cancel.cancel();
        Instant::now()
    };
    let (stopped, cancelled) = tokio::join!(bench.back_up(&server, &["shop"]), cancelling);
    assert_eq!(stopped.unwrap_err(), Stopped::Cancelled);
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    wait_until("nobody reads any more", || {
        server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'") == "0"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_restore_stops_within_two_seconds_and_leaves_nothing() {
    let server = Server::start(&[]);
    // An index that takes its time.
    server.create("shop", "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.05); RETURN $1; END';
        CREATE TABLE t AS SELECT n FROM generate_series(1, 3) n; CREATE INDEX ON t (slow(n));
        INSERT INTO t SELECT n FROM generate_series(1, 100) n");
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let indexing =
        || server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CREATE INDEX'") == "1";
    let cancelling = async {
        while !tokio::task::block_in_place(indexing) {
            tokio::task::yield_now().await;
        }
        bench.cancel.cancel();
        Instant::now()
    };
    let (stopped, cancelled) =
        tokio::join!(bench.restore(&server, &backup.manifest_stream, vec![as_name("shop", "copy")]), cancelling);
    assert_eq!(stopped.unwrap_err(), Stopped::Cancelled);
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    assert_eq!(server.databases(), ["shop"]);
    wait_until("nobody works any more", || {
        server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CREATE INDEX'") == "0"
    });
}
