//! A worker is lost in the middle of a restore, and the next one of the same session goes on: what is complete stays as it is
//! and stands in the report, what is not is done anew, and nothing is there twice.
//!
//! A worker that is killed is a future that is dropped: nothing of it runs any more, as after a `kill -9`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use haulier_domain::postgres::clash::{replaced_name, working_name};
use haulier_domain::postgres::manifest::StreamReference;
use haulier_worker_agent::postgres::{DatabaseRestore, OnClash, RestoreOutcome, RestoredPart, Stopped};

use crate::bench::{Bench, as_name, failure};
use crate::oracle;
use crate::server::Server;
use crate::store::MemoryStore;

const MODES: [OnClash; 3] = [OnClash::Refuse, OnClash::Suffix, OnClash::Replace];

fn table(name: &str) -> String {
    format!("CREATE TABLE {name} AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 3000) n")
}

/// A source of two databases, the first with a comment of its own, and of a role that a restore creates.
fn source() -> Server {
    let source = Server::start(&[]);
    source.sql_as("master", "postgres", "CREATE ROLE app LOGIN CREATEDB; COMMENT ON ROLE app IS 'who writes'");
    for (database, of) in [("first", "one"), ("second", "two")] {
        source.create(database, &table(of));
    }
    source.sql_as("master", "postgres", "GRANT app TO master; COMMENT ON DATABASE first IS 'the first of two'");
    source.sql_as("master", "first", "GRANT CREATE ON SCHEMA public TO app; ALTER TABLE one OWNER TO app");
    source.sql_as("app", "first", "GRANT SELECT ON one TO master");
    source.sql_as("master", "postgres", "ALTER DATABASE first OWNER TO app; REVOKE app FROM master");
    source
}

fn both(on_clash: OnClash) -> Vec<DatabaseRestore> {
    ["first", "second"].map(|name| DatabaseRestore { on_clash, ..as_name(name, "") }).into()
}

/// The oid of a database: another one under the same name has another.
fn oid(server: &Server, database: &str) -> String {
    tokio::task::block_in_place(|| {
        server.sql("postgres", &format!("SELECT oid FROM pg_database WHERE datname = '{database}'"))
    })
}

fn comment(server: &Server, database: &str) -> String {
    let sql = format!("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{database}'");
    tokio::task::block_in_place(|| server.sql("postgres", &sql))
}

fn names(outcome: &RestoreOutcome) -> Vec<&str> {
    outcome.databases.iter().map(|one| one.restored_as.as_str()).collect()
}

/// Runs a restore until something happens, and drops it there.
async fn killed_at(
    bench: &Bench,
    server: &Server,
    manifest: &StreamReference,
    databases: Vec<DatabaseRestore>,
    happens: impl Future<Output = ()>,
) {
    tokio::select! {
        ended = bench.restore(server, manifest, databases) => panic!("it ended before it was killed: {ended:?}"),
        () = happens => {}
    }
}

/// The next attempt, as the coordinator would have it: told of what was reported, if that was heard in time.
async fn next_attempt(
    bench: &mut Bench,
    server: &Server,
    manifest: &StreamReference,
    databases: Vec<DatabaseRestore>,
    told: bool,
) -> Result<RestoreOutcome, Stopped> {
    let heard = std::mem::take(&mut *bench.parts.heard.lock().unwrap());
    if told {
        bench.parts.told.lock().unwrap().extend(heard);
    }
    bench.repeated = true;
    bench.parts.deaf.store(false, Ordering::SeqCst);
    bench.restore(server, manifest, databases).await
}

/// Nothing of the restore's own is on the server.
fn assert_tidy(server: &Server) {
    let ours = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'haulier%')
        + (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'haulier%')
        + (SELECT count(*) FROM pg_auth_members WHERE member = 'master'::regrole AND roleid <> 'rds_superuser'::regrole)
        + (SELECT count(*) FROM pg_shdescription WHERE description LIKE 'haulier%')";
    assert_eq!(server.sql("postgres", ours), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_complete_is_left_alone_by_the_next_worker() {
    let source = source();
    let store = MemoryStore::new();
    let manifest = Bench::new(&store).back_up(&source, &["first", "second"]).await.unwrap().manifest_stream;
    for (on_clash, told) in MODES.into_iter().flat_map(|mode| [(mode, true), (mode, false)]) {
        let case = format!("{on_clash:?}, told: {told}");
        let target = Server::start(&[]);
        if on_clash != OnClash::Refuse {
            target.create("first", "CREATE TABLE older ()");
        }
        let older = oid(&target, "first");
        let name = if on_clash == OnClash::Suffix { "first_restored_1" } else { "first" };
        let mut bench = Bench::new(&store);
        let gate = store.reading_gate("\"two\"");
        killed_at(&bench, &target, &manifest, both(on_clash), gate.reached()).await;
        gate.open();
        let half = working_name("ses-test", "second", "second");
        let there = target.databases();
        assert!(there.contains(&name.to_owned()) && there.contains(&half), "{case}: it did not strike: {there:?}");
        let complete = oid(&target, name);
        assert_ne!(complete, older, "{case}");

        let outcome = next_attempt(&mut bench, &target, &manifest, both(on_clash), told).await.unwrap();
        assert_eq!(names(&outcome), [name, "second"], "{case}");
        assert_eq!((outcome.roles_created, outcome.roles_without_password), (vec!["app".into()], vec!["app".into()]));
        assert_eq!(oid(&target, name), complete, "{case}: it was made again");
        let expected: &[&str] =
            if on_clash == OnClash::Suffix { &["first", "first_restored_1", "second"] } else { &["first", "second"] };
        assert_eq!(target.databases(), expected, "{case}");
        if on_clash == OnClash::Suffix {
            assert_eq!(oid(&target, "first"), older, "{case}");
        }
        oracle::assert_same((&source, "first"), (&target, name));
        oracle::assert_same((&source, "second"), (&target, "second"));
        assert_eq!(comment(&target, name), "the first of two", "{case}");
        assert_tidy(&target);
        let reported = bench.parts.heard.lock().unwrap().len();
        assert_eq!(reported, if told { 1 } else { 3 }, "{case}: what the coordinator knows is not reported again");
    }
}

/// The last statement is done, and the worker dies before anybody has heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_the_name_and_its_report_has_not_worked_in_vain() {
    let source = source();
    let store = MemoryStore::new();
    let manifest = Bench::new(&store).back_up(&source, &["first"]).await.unwrap().manifest_stream;
    for (on_clash, told) in MODES.into_iter().flat_map(|mode| [(mode, true), (mode, false)]) {
        let case = format!("{on_clash:?}, told: {told}");
        let target = Server::start(&[]);
        if on_clash != OnClash::Refuse {
            target.create("first", "CREATE TABLE older ()");
        }
        let name = if on_clash == OnClash::Suffix { "first_restored_1" } else { "first" };
        let wanted = || vec![DatabaseRestore { on_clash, ..as_name("first", "") }];
        let mut bench = Bench::new(&store);
        bench.parts.deaf.store(true, Ordering::SeqCst);
        let parts = bench.parts.clone();
        killed_at(&bench, &target, &manifest, wanted(), parts.waited.notified()).await;
        assert!(comment(&target, name).starts_with("haulier restore ses-test: "), "{case}: it did not strike");
        assert_eq!(parts.heard.lock().unwrap().len(), 2, "{case}: roles and a database");
        let complete = oid(&target, name);
        if on_clash == OnClash::Replace {
            // As if it had died before it dropped what was there before.
            target.create(&replaced_name(&working_name("ses-test", "first", "first")), "CREATE TABLE older ()");
        }
        let before = target.databases().len();

        let outcome = next_attempt(&mut bench, &target, &manifest, wanted(), told).await.unwrap();
        assert_eq!(
            (names(&outcome), outcome.roles_created.as_slice()),
            (vec![name], &["app".to_owned()][..]),
            "{case}"
        );
        assert_eq!(outcome.databases[0].counted_rows, 3000, "{case}");
        assert_eq!(oid(&target, name), complete, "{case}: it was made again");
        assert_eq!(target.databases().len(), before - usize::from(on_clash == OnClash::Replace), "{case}");
        oracle::assert_same((&source, "first"), (&target, name));
        assert_eq!(comment(&target, name), "the first of two", "{case}");
        assert_tidy(&target);
    }
}

/// The worker dies while it creates roles: a role that somebody else is about to create holds it up.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_there_all_at_once_or_not_at_all() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.sql_as(
        "master",
        "postgres",
        "CREATE ROLE aa LOGIN CREATEDB; COMMENT ON ROLE aa IS 'the first'; ALTER ROLE aa SET work_mem = '8MB';
         CREATE ROLE zz; GRANT zz TO aa",
    );
    source.create("first", &table("one"));
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    let manifest = bench.back_up(&source, &["first"]).await.unwrap().manifest_stream;
    let hold = "BEGIN; CREATE ROLE zz; SELECT pg_sleep(600)";
    let mut holder = target.program("psql", "rdsadmin", "postgres").args(["-q", "-c", hold]).spawn().unwrap();
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    until(&target, "the other one holds the role", sleeping, "1").await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'haulier ses-test' AND wait_event_type = 'Lock' AND query ~ 'CREATE ROLE \"zz\"'";
    let stuck = until(&target, "the restore waits for the role", waiting, "1");
    killed_at(&bench, &target, &manifest, vec![as_name("first", "")], stuck).await;
    holder.kill().unwrap();
    holder.wait().unwrap();
    let sleeper = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    target.sql("postgres", sleeper);

    let outcome = next_attempt(&mut bench, &target, &manifest, vec![as_name("first", "")], true).await.unwrap();
    assert_eq!(
        (outcome.roles_created, outcome.roles_without_password),
        (vec!["aa".into(), "zz".into()], vec!["aa".into()])
    );
    let role = "SELECT rolcreatedb, shobj_description(oid, 'pg_authid'), pg_has_role('aa', 'zz', 'MEMBER'),
        (SELECT setconfig FROM pg_db_role_setting WHERE setrole = r.oid) FROM pg_roles r WHERE rolname = 'aa'";
    assert_eq!(target.sql("postgres", role), "t|the first|t|{work_mem=8MB}");
    assert_tidy(&target);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_cannot_look_says_what_an_earlier_one_may_have_left() {
    let source = source();
    let store = MemoryStore::new();
    let mut bench = Bench::new(&store);
    let manifest = bench.back_up(&source, &["first", "second"]).await.unwrap().manifest_stream;
    let target = Server::start(&[]);
    let gate = store.reading_gate("\"two\"");
    killed_at(&bench, &target, &manifest, both(OnClash::Refuse), gate.reached()).await;
    gate.open();
    target.sql("postgres", "ALTER ROLE master PASSWORD 'another'");
    let failed = failure(next_attempt(&mut bench, &target, &manifest, both(OnClash::Refuse), true).await);
    assert_eq!(failed.code, "db-auth-failed", "{failed}");
    let half = working_name("ses-test", "second", "second");
    assert!(failed.cause.contains(&half) && failed.remedy.contains("drop"), "{failed}");
    assert!(!failed.cause.contains(&working_name("ses-test", "first", "first")), "the first is complete: {failed}");
    assert!(target.databases().contains(&half), "nothing was left, and something was said");

    bench.cancel.cancel();
    let left = failure(bench.restore(&target, &manifest, both(OnClash::Refuse)).await);
    assert_eq!(left.code, "restore-left-behind", "{left}");
    bench.cancel = tokio_util::sync::CancellationToken::new();
    bench.repeated = false;
    bench.parts.told.lock().unwrap().clear();
    let first = failure(bench.restore(&target, &manifest, both(OnClash::Refuse)).await);
    assert!(!first.cause.contains("haulier_"), "a first attempt has left nothing: {first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_complete_is_told_with_the_names_by_which_it_is_known() {
    let source = source();
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let manifest = bench.back_up(&source, &["first"]).await.unwrap().manifest_stream;
    let wanted = vec![DatabaseRestore { on_clash: OnClash::Suffix, ..as_name("first", "") }];
    bench.restore(&source, &manifest, wanted).await.unwrap();
    let heard = bench.parts.heard.lock().unwrap().clone();
    let [RestoredPart::Roles(roles), RestoredPart::Database(share)] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(roles.created.is_empty(), "{roles:?}");
    assert_eq!((share.target_name.as_str(), share.restored.restored_as.as_str()), ("first", "first_restored_1"));
    for part in &heard {
        let written = serde_json::to_vec(part).unwrap();
        assert_eq!(serde_json::from_slice::<RestoredPart>(&written).unwrap(), *part);
    }
}

/// Waits until a query has an answer.
async fn until(server: &Server, what: &str, sql: &str, answer: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while tokio::task::block_in_place(|| server.sql("postgres", sql)) != answer {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
