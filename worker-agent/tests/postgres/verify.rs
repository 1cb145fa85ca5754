//! A restore test: a whole point goes into a scratch server and is compared; what differs is named, and nothing of the
//! server stays.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use haulier_domain::postgres::content::Tally;
use haulier_domain::postgres::manifest::Manifest;
use haulier_domain::proof::DatabaseProof;
use haulier_worker_agent::postgres::{BackupOutcome, Stopped, VerifyJob, VerifyOutcome, verify};
use tempfile::TempDir;

use crate::bench::{Bench, failure};
use crate::equality::{EVERYTHING, ROLES};
use crate::server::Server;
use crate::store::MemoryStore;

const SHOP: &str = "CREATE TABLE items (id int PRIMARY KEY, name text, at timestamptz, raw bytea, weight float8);
    INSERT INTO items SELECT n, 'item ' || n, '2026-03-29 01:30+00'::timestamptz + n * interval '1 hour',
        decode(lpad(to_hex(n), 4, '0'), 'hex'), n / 3.0 FROM generate_series(1, 20) n;
    CREATE TABLE big AS SELECT * FROM items, generate_series(1, 200) g;
    CREATE TABLE empty (x int);
    SELECT lo_from_bytea(4711, decode(repeat('00ff', 5000), 'hex')), lo_from_bytea(4712, '');
    SELECT lo_put(4712, 9000, 'after a gap');";

/// A folder for scratch servers, which run under another account than these tests.
fn scratch_dir() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

/// Verifies the point as this manifest describes it.
async fn verified(bench: &Bench, server: &Server, manifest: &Manifest) -> Result<VerifyOutcome, Stopped> {
    let scratch = scratch_dir();
    let json = serde_json::to_vec(manifest).unwrap();
    let job = VerifyJob {
        key: "ses-test".into(),
        manifest: bench.store.put("a manifest to verify", json),
        scratch_dir: scratch.path().to_owned(),
        parallel_streams: 2,
    };
    let outcome = verify::run(job, &bench.context(server)).await;
    assert!(is_empty(scratch.path()), "the scratch server left something behind");
    outcome
}

async fn shop(server: &Server) -> (Bench, BackupOutcome) {
    server.create("shop", SHOP);
    // What a value looks like must not depend on any of this.
    server.sql(
        "postgres",
        "ALTER DATABASE shop SET timezone = 'Asia/Tokyo'; ALTER DATABASE shop SET bytea_output = 'escape';
         ALTER ROLE master SET timezone = 'America/New_York'; ALTER ROLE master SET datestyle = 'German';
         ALTER ROLE master SET extra_float_digits = 0",
    );
    let bench = Bench::new(&MemoryStore::new());
    let backup = bench.back_up(server, &["shop"]).await.unwrap();
    (bench, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_be_backed_up_is_proven_to_come_back() {
    let server = Server::start(&[]);
    server.sql_as("master", "postgres", ROLES);
    server.create("every thing", EVERYTHING);
    server.create("empty", "");
    let bench = Bench::new(&MemoryStore::new());
    let backup = bench.back_up(&server, &[]).await.unwrap();
    let outcome = verified(&bench, &server, &backup.manifest).await.unwrap();
    assert!(outcome.exceptions.is_empty(), "{:?}", outcome.exceptions);
    assert!(outcome.server_version.starts_with("15."), "{}", outcome.server_version);
    let names: Vec<_> = outcome.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["empty", "every thing", "postgres"]);
    let DatabaseProof {
        tables,
        tables_counted,
        tables_unrecorded,
        tables_skipped,
        rows,
        large_objects,
        mismatches,
        ..
    } = outcome.databases[1];
    assert_eq!((tables_counted, tables_unrecorded, tables_skipped, mismatches), (0, 0, 0, 0));
    assert_eq!(tables, backup.summary.databases[1].tables);
    assert!(rows > 1000 && large_objects == 2, "{rows} rows, {large_objects} large objects");
    assert_eq!(server.databases(), ["empty", "every thing"], "the source is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_the_same_text_whatever_the_source_is_set_to() {
    let server = Server::start(&[]);
    let (bench, backup) = shop(&server).await;
    let database = &backup.manifest.databases[0];
    assert_eq!((database.tables.len(), database.archive_contents.len()), (1, 2), "one large table, two in the archive");
    assert!(database.server_bytes.is_some_and(|bytes| bytes > 1 << 20));
    let outcome = verified(&bench, &server, &backup.manifest).await.unwrap();
    let proof = &outcome.databases[0];
    assert_eq!((proof.tables, proof.tables_counted, proof.rows, proof.large_objects), (3, 0, 4020, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_recorded_is_named_and_proves_nothing() {
    let server = Server::start(&[]);
    let (bench, backup) = shop(&server).await;
    let other = {
        let mut tally = Tally::default();
        tally.push(b"another row\n");
        tally.finish().unwrap().hash
    };
    type Change = fn(&mut Manifest, Option<haulier_domain::postgres::content::RowsHash>);
    let cases: [(&str, Change); 5] = [
        ("table \"public\".\"items\": its rows are not those", |manifest, other| {
            let contents = &mut manifest.databases[0].archive_contents;
            contents.iter_mut().find(|table| table.name == "items").unwrap().content.hash = other;
        }),
        ("table \"public\".\"empty\": 0 rows where 1 were backed up", |manifest, _| {
            let contents = &mut manifest.databases[0].archive_contents;
            contents.iter_mut().find(|table| table.name == "empty").unwrap().content.rows = 1;
        }),
        ("table \"public\".\"big\": its rows are not those", |manifest, other| {
            manifest.databases[0].tables[0].streams[0].hash = other;
        }),
        ("table \"public\".\"lost\": it was not restored", |manifest, _| {
            let contents = &mut manifest.databases[0].archive_contents;
            let lost = haulier_domain::postgres::manifest::TableContent { name: "lost".into(), ..contents[0].clone() };
            contents.push(lost);
        }),
        ("large objects: 2 with", |manifest, _| {
            manifest.databases[0].large_objects.as_mut().unwrap().bytes += 1;
        }),
    ];
    for (words, change) in cases {
        let mut manifest = backup.manifest.clone();
        change(&mut manifest, other);
        let failure = failure(verified(&bench, &server, &manifest).await);
        assert_eq!(failure.code, "verify-mismatch", "{failure}");
        assert!(failure.cause.contains(words) && failure.cause.contains("database \"shop\""), "{failure}");
        assert!(!failure.cause.contains(';'), "nothing else differs: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_of_an_earlier_version_is_compared_as_far_as_it_goes_and_says_so() {
    let server = Server::start(&[]);
    let (bench, backup) = shop(&server).await;
    let mut manifest = backup.manifest.clone();
    let database = &mut manifest.databases[0];
    (database.large_objects, database.server_bytes) = (None, None);
    database.archive_contents.clear();
    database.tables[0].streams.iter_mut().for_each(|stream| stream.hash = None);
    // What this machine cannot hold as it was is an exception, too.
    database.properties.collate = "xx_XX.UTF-8".into();
    let outcome = verified(&bench, &server, &manifest).await.unwrap();
    let proof = &outcome.databases[0];
    assert_eq!((proof.tables, proof.tables_counted, proof.tables_unrecorded, proof.rows), (0, 1, 2, 4000));
    let what: Vec<_> = outcome.exceptions.iter().map(|exception| exception.what.as_str()).collect();
    assert_eq!(what, ["LC_COLLATE \"xx_XX.UTF-8\" of the database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_cannot_be_restored_fails_and_leaves_nothing() {
    let server = Server::start(&[]);
    let (bench, backup) = shop(&server).await;
    for (stream, after) in [("archive", 0), ("big", 0)] {
        bench.store.damage(stream, after);
        let failure = failure(verified(&bench, &server, &backup.manifest).await);
        assert_eq!(failure.code, "repository-damaged", "{stream}: {failure}");
        bench.store.repair();
    }
    let mut huge = backup.manifest.clone();
    huge.databases[0].server_bytes = Some(1 << 60);
    let failed = failure(verified(&bench, &server, &huge).await);
    assert_eq!(failed.code, "verify-disk-too-small", "{failed}");
    let mut future = backup.manifest.clone();
    future.server_version_num = 990_000;
    let failed = failure(verified(&bench, &server, &future).await);
    assert_eq!(failed.code, "pg-server-missing", "{failed}");
    bench.cancel.cancel();
    assert!(matches!(verified(&bench, &server, &backup.manifest).await, Err(Stopped::Cancelled)));
}
