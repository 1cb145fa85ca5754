//! What goes wrong is said, with its code, and nothing comes of it that a point could name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use haulier_domain::failure::Failure;
use haulier_worker_agent::postgres::StreamKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, TestLogin, as_name, failure};
use crate::server::{BIN, PASSWORD, Server};
use crate::store::{At, Gate, MemoryStore};

const SHOP: &str = "CREATE TABLE large AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 3000) n;
    CREATE TABLE small AS SELECT 1 AS n";

fn login(user: &str, password: &str, stale: bool) -> TestLogin {
    TestLogin { user: user.into(), password: password.into(), stale, refusals: AtomicUsize::new(0) }
}

/// Backs up while something happens at the gate.
async fn meanwhile(bench: &Bench, server: &Server, gate: &Arc<Gate>, happens: impl FnOnce()) -> Failure {
    let happening = async {
        gate.reached().await;
        tokio::task::block_in_place(happens);
        gate.open();
    };
    let (outcome, ()) = tokio::join!(bench.back_up(server, &["shop"]), happening);
    let failure = failure(outcome);
    assert!(bench.store.content("manifest").is_empty(), "a manifest was written");
    failure
}

/// Children of this process by name: pid, command line, environment.
fn children(name: &str) -> Vec<(i32, String, String)> {
    let own = std::process::id().to_string();
    let text =
        |path: PathBuf| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let of_process = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = text(entry.path().join("stat"));
        let (head, tail) = stat.rsplit_once(')')?;
        let parent = tail.split_whitespace().nth(1)?;
        let found = parent == own && head.ends_with(&format!("({name}"));
        found.then(|| (pid, text(entry.path().join("cmdline")), text(entry.path().join("environ"))))
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| of_process(entry.ok()?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_after_the_secret_was_read_anew_once() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let wrong = Bench::with_login(&store, login("master", "wrong", false));
    let failed = failure(wrong.back_up(&server, &["shop"]).await);
    assert_eq!(failed.code, "db-auth-failed", "{failed}");
    assert_eq!(wrong.login.refusals.load(Ordering::SeqCst), 1);
    assert!(!failed.to_string().contains("wrong\""));

    let rotated = Bench::with_login(&store, login("master", PASSWORD, true));
    rotated.back_up(&server, &["shop"]).await.unwrap();
    assert_eq!(rotated.login.refusals.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_login_cannot_read_whole_is_named_before_a_byte_is_read() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let attempt = async |spoil: &str, mend: &str| {
        server.sql("shop", spoil);
        let failed = failure(bench.back_up(&server, &["shop"]).await);
        server.sql("shop", mend);
        (failed.code, failed.cause)
    };
    server.sql("postgres", "CREATE ROLE stranger");
    let (code, cause) =
        attempt("CREATE TABLE \"hid;den\" (); ALTER TABLE \"hid;den\" OWNER TO stranger", "DROP TABLE \"hid;den\"")
            .await;
    assert_eq!((code.as_str(), cause.contains("public.\"hid;den\"")), ("db-privileges-missing", true), "{cause}");
    let (code, cause) = attempt(
        "CREATE TABLE rows (); ALTER TABLE rows ENABLE ROW LEVEL SECURITY; ALTER TABLE rows OWNER TO stranger; GRANT SELECT ON rows TO master",
        "DROP TABLE rows",
    ).await;
    assert_eq!((code.as_str(), cause.contains("public.rows")), ("db-row-security", true), "{cause}");
    let (code, cause) = attempt("SELECT lo_create(77)", "SELECT lo_unlink(77)").await;
    assert_eq!((code.as_str(), cause.contains("77")), ("db-large-objects-unreadable", true), "{cause}");
    let failed = failure(bench.back_up(&server, &["shop", "gone"]).await);
    assert_eq!(failed.code, "db-missing");
    bench.back_up(&server, &["shop"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_database_that_fails_stops_the_others_and_is_what_is_said() {
    let server = Server::start(&[]);
    for name in ["a", "b", "c", "d", "e"] {
        server.create(name, SHOP);
    }
    server.sql("d", "CREATE TABLE hidden ()");
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let failed = failure(bench.back_up(&server, &["a", "b", "c", "d", "e"]).await);
    assert_eq!(failed.code, "db-privileges-missing", "{failed}");
    assert!(store.content("manifest").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_pg_dump_makes_no_point_and_never_had_the_password_in_sight() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    server.sql_as("master", "shop", "CREATE TABLE much AS SELECT md5(n::text) FROM generate_series(1, 60000) n");
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    bench.large = u64::MAX;
    let gate = store.gate(StreamKind::Archive, At::FirstPiece);
    let failed = meanwhile(&bench, &server, &gate, || {
        let found = children("pg_dump");
        assert_eq!(found.len(), 1);
        for (pid, arguments, environment) in found {
            assert!(environment.contains("PGPASSFILE=") && environment.contains("PGSSLMODE=verify-full"));
            for text in [arguments, environment] {
                assert!(!text.contains(PASSWORD) && !text.contains("PGPASSWORD"), "{text}");
            }
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    })
    .await;
    assert_eq!((failed.code.as_str(), failed.retryable), ("pg-dump-failed", true), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_during_the_dump_is_said() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    // The snapshot is taken, and `pg_dump` has not begun.
    let gate = store.gate(StreamKind::Archive, At::Create);
    let failed = meanwhile(&bench, &server, &gate, || {
        server.sql_as("master", "shop", "DROP TABLE small");
        // A table with a stream of its own is locked.
        let (dropped, _, said) = server.try_sql_as("master", "shop", "SET lock_timeout = '100ms'; DROP TABLE large");
        assert!(!dropped && said.contains("lock timeout"), "{said}");
    })
    .await;
    assert_eq!((failed.code.as_str(), failed.retryable), ("db-object-dropped", true), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_the_middle_is_said() {
    let server = Server::start(&[]);
    server.create("shop", "CREATE TABLE large AS SELECT n, repeat('x', 1000) AS v FROM generate_series(1, 30000) n");
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    bench.split = u64::MAX;
    let gate = store.gate(StreamKind::TableRows, At::FirstPiece);
    let failed = meanwhile(&bench, &server, &gate, || {
        let cut =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ~ '^COPY' AND datname = 'shop'";
        assert_ne!(server.sql("postgres", cut), "0");
    })
    .await;
    assert_eq!((failed.code.as_str(), failed.retryable), ("db-connection-lost", true), "{failed}");
}

/// Client tools with a `pg_dump` of one's own making.
fn clients(script: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("15/bin");
    fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(format!("{BIN}/pg_restore"), bin.join("pg_restore")).unwrap();
    let pg_dump = bin.join("pg_dump");
    fs::write(&pg_dump, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
    fs::set_permissions(&pg_dump, fs::Permissions::from_mode(0o755)).unwrap();
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_refused_where_it_is_cut_short_or_says_something_unheard_of() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    for (script, code) in [
        (format!("{BIN}/pg_dump \"$@\" | head -c 700"), "dump-incomplete"),
        (format!("{BIN}/pg_dump \"$@\" | head -c -8"), "dump-incomplete"),
        (format!("{BIN}/pg_dump --exclude-table-data=small \"$@\""), "dump-incomplete"),
        (format!("{BIN}/pg_dump \"$@\"; echo 'pg_dump: warning: never seen before' >&2"), "pg-dump-failed"),
        (format!("{BIN}/pg_dump \"$@\"; exit 3"), "pg-dump-failed"),
    ] {
        let root = clients(&script);
        let mut bench = Bench::new(&store);
        bench.client_roots = vec![root.path().to_owned()];
        let failed = failure(bench.back_up(&server, &["shop"]).await);
        assert_eq!(failed.code, code, "{script}: {failed}");
        assert!(store.content("manifest").is_empty());
    }
    let mut bench = Bench::new(&store);
    bench.client_roots = vec![];
    assert_eq!(failure(bench.back_up(&server, &["shop"]).await).code, "pg-client-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_certificate_is_not_talked_to() {
    let (server, other) = (Server::start(&[]), Server::start(&[]));
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let mut context = bench.context(&server);
    context.settings.ca_file = other.ca_file();
    let job = haulier_worker_agent::postgres::BackupJob {
        instance: crate::bench::instance(&server),
        databases: vec![],
        large_table_bytes: 0,
        split_table_bytes: 0,
        parallel_streams: 1,
    };
    let failed = failure(haulier_worker_agent::postgres::backup::run(job, &context).await);
    assert_eq!(failed.code, "db-certificate", "{failed}");
}

/// A server that finds its disk full says so with a state of its own; here a constraint says it in its place, for each of
/// the two ways in which rows arrive.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_on_the_target_is_said_and_nothing_stays() {
    let server = Server::start(&[]);
    let store = MemoryStore::new();
    for (name, large) in [("copied", 1), ("archived", u64::MAX)] {
        server.create(
            name,
            "CREATE FUNCTION room() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
                IF current_database() ~ '^haulier' THEN
                    RAISE 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100';
                END IF;
                RETURN true;
            END $$;
            CREATE TABLE t (n int CHECK (public.room()));
            INSERT INTO t SELECT n FROM generate_series(1, 100) n",
        );
        let mut bench = Bench::new(&store);
        bench.large = large;
        let backup = bench.back_up(&server, &[name]).await.unwrap();
        assert_eq!(backup.manifest.databases[0].tables.len(), usize::from(large == 1));
        let failed = failure(bench.restore(&server, &backup.manifest_stream, vec![as_name(name, "copy")]).await);
        assert_eq!(failed.code, "db-disk-full", "{failed}");
    }
    assert_eq!(server.databases(), ["archived", "copied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_arrive_stop_the_restore() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    let mut manifest = backup.manifest.clone();
    manifest.databases[0].tables[0].streams[0].rows += 1;
    let manifest = store.put("other", serde_json::to_vec(&manifest).unwrap());
    let failed = failure(bench.restore(&server, &manifest, vec![as_name("shop", "copy")]).await);
    assert_eq!(failed.code, "restore-count-mismatch", "{failed}");
    assert_eq!(server.databases(), ["shop"]);
}
