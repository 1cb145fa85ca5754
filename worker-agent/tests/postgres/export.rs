//! What the mover has backed up into a repository leaves it as archives that stock `pg_restore` reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use haulier_cli::export::{self, Exported, Watcher};
use haulier_cloud::doubles::MemoryObjectStore;
use haulier_cloud::object_store::ObjectStore;
use haulier_domain::id::{DomainId, Epoch};
use haulier_domain::postgres::manifest::{Manifest, StreamReference};
use haulier_domain::secret::SecretString;
use haulier_repository::{
    Domain, DomainConfig, Error, NewKey, PassphraseCost, PointRoot, Repository, UnlockedRepository, Writer,
};
use haulier_worker_agent::postgres::{
    BackupJob, StoreError, StreamKind, StreamReader, StreamStore, StreamWriter, backup,
};
use tempfile::TempDir;

use crate::bench::{Bench, instance};
use crate::equality::{EVERYTHING, NAME, source_with_everything};
use crate::oracle;
use crate::server::{BIN, Server};
use crate::store::MemoryStore;

/// The mover's streams, written into a repository.
struct IntoRepository(Writer);

struct Stream(haulier_repository::StreamWriter);

fn refused(error: Error) -> StoreError {
    StoreError { doing: "writing a stream".into(), damaged: false, source: Box::new(error) }
}

#[async_trait]
impl StreamStore for IntoRepository {
    async fn create(&self, kind: StreamKind, name: &str) -> Result<Box<dyn StreamWriter>, StoreError> {
        let kind = match kind {
            StreamKind::Archive => haulier_repository::StreamKind::Archive,
            StreamKind::TableRows => haulier_repository::StreamKind::TableRows,
            StreamKind::Pages => haulier_repository::StreamKind::Pages,
            StreamKind::Document => haulier_repository::StreamKind::Document,
        };
        Ok(Box::new(Stream(self.0.stream(name, kind).map_err(refused)?)))
    }

    async fn open(&self, _: &StreamReference) -> Result<Box<dyn StreamReader>, StoreError> {
        Err(refused(Error::Invalid("nothing is read here".into())))
    }
}

#[async_trait]
impl StreamWriter for Stream {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.0.write(bytes).await.map_err(refused)
    }

    async fn finish(self: Box<Self>) -> Result<StreamReference, StoreError> {
        let root = self.0.finish().await.map_err(refused)?;
        Ok(StreamReference(serde_json::to_value(root).unwrap()))
    }
}

/// Watches, and says nothing.
#[derive(Default)]
struct Seen {
    expected: u64,
    moved: u64,
    completed: Vec<String>,
}

impl Watcher for Seen {
    fn expects(&mut self, bytes: u64) {
        self.expected = bytes;
    }

    fn moved(&mut self, _: &str, bytes: u64) {
        self.moved += bytes;
    }

    fn completed(&mut self, database: &str, _: &Path) {
        self.completed.push(database.to_owned());
    }
}

/// A repository in a bucket in memory.
struct Vault {
    bucket: Arc<MemoryObjectStore>,
    repository: UnlockedRepository,
    folder: TempDir,
}

impl Vault {
    async fn new() -> Self {
        let bucket = Arc::new(MemoryObjectStore::new());
        let cost = PassphraseCost { memory_kib: 64, iterations: 1, lanes: 1 };
        let key = NewKey::Passphrase(SecretString::new("correct horse"), cost);
        let repository = Repository::create(bucket.clone(), "rds", &key, jiff::Timestamp::now()).await.unwrap();
        Self { bucket, repository, folder: tempfile::tempdir().unwrap() }
    }

    /// The domain, as another process has it.
    async fn domain(&self) -> Domain {
        let id: DomainId = "dom-one".parse().unwrap();
        self.repository.domain_key(&id, true).await.unwrap();
        let config = DomainConfig { memory: 32 << 20, ..DomainConfig::new(self.folder.path()) };
        self.repository.domain(&id, config).await.unwrap()
    }

    /// Backs databases up as a point of that name. `change` may spoil the manifest before it is stored.
    async fn back_up(&self, server: &Server, name: &str, databases: &[&str], change: fn(&mut Manifest)) -> PointRoot {
        let domain = self.domain().await;
        let streams = Arc::new(IntoRepository(domain.writer().await.unwrap()));
        let bench = Bench::new(&MemoryStore::new());
        let mut context = bench.context(server);
        context.streams = streams.clone();
        let job = BackupJob {
            instance: instance(server),
            databases: databases.iter().map(|&name| name.to_owned()).collect(),
            large_table_bytes: 64 << 10,
            split_table_bytes: 256 << 10,
            parallel_streams: 3,
        };
        let mut outcome = backup::run(job, &context).await.unwrap();
        drop(context);
        change(&mut outcome.manifest);
        let mut stream = streams.create(StreamKind::Document, "manifest").await.unwrap();
        stream.write(serde_json::to_vec(&outcome.manifest).unwrap().into()).await.unwrap();
        let manifest = stream.finish().await.unwrap();
        let Ok(IntoRepository(writer)) = Arc::try_unwrap(streams).map_err(drop) else {
            panic!("somebody still writes")
        };
        let summary = writer.finish().await.unwrap();
        let root = PointRoot {
            version: PointRoot::VERSION,
            point: format!("pnt-{name}").parse().unwrap(),
            session: "ses-test".parse().unwrap(),
            epoch: Epoch(1),
            created: jiff::Timestamp::now(),
            engine: "postgres".into(),
            manifest: serde_json::from_value(manifest.0).unwrap(),
            catalogue: summary.catalogue,
            required_features: summary.required_features,
            locked_until: summary.locked_until,
            stands_on: None,
            totals: summary.totals,
            summary: outcome.summary,
            labels: BTreeMap::new(),
        };
        domain.publish_point(&root).await.unwrap();
        root
    }

    async fn export(&self, root: &PointRoot, databases: &[&str], to: &Path) -> Result<Exported, haulier_cli::CliError> {
        let wanted: Vec<_> = databases.iter().map(|&name| name.to_owned()).collect();
        let mut seen = Seen::default();
        let exported = export::run(&self.domain().await, root, &wanted, to, &mut seen).await?;
        assert_eq!(seen.moved, seen.expected);
        assert_eq!(seen.completed.len(), exported.databases.len());
        Ok(exported)
    }
}

/// Runs one of PostgreSQL's programs as the server's superuser, with nothing left unsaid.
fn stock(server: &Server, program: &str, database: &str, arguments: &[&str], file: &Path) {
    let mut command = server.program(program, "rdsadmin", database);
    // That a role is granted to who has it already would be a notice.
    let output = command.args(arguments).arg(file).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.is_empty(), "{program} {arguments:?}: {words}");
}

/// Restores over several connections, and grants over one: `pg_restore` knows no order among grants, and one that another role makes may
/// come before the one that lets that role into the schema.
fn side_by_side(server: &Server, database: &str, file: &Path) {
    stock(server, "pg_restore", database, &["--jobs=3", "--exit-on-error", "--no-privileges"], file);
    let output = Command::new(Path::new(BIN).join("pg_restore")).arg("--list").arg(file).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let grants: Vec<&str> = listed.lines().filter(|line| line.contains(" ACL ")).collect();
    assert!(grants.len() > 1, "{listed}");
    let list = file.with_extension("grants");
    std::fs::write(&list, grants.join("\n")).unwrap();
    let list = list.to_str().unwrap();
    stock(server, "pg_restore", database, &["--exit-on-error", "--use-list", list], file);
}

/// With which `psql` runs a script, and tells of nothing but what is wrong.
const SCRIPT: [&str; 7] = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f"];

fn make(server: &Server, database: &str) {
    server.sql("postgres", &format!("CREATE DATABASE \"{database}\" TEMPLATE template0 OWNER master"));
}

/// What an archive holds, as `pg_restore --list` tells it, without the numbers of its entries.
fn listing(file: &Path) -> Vec<String> {
    let output = Command::new(Path::new(BIN).join("pg_restore")).arg("--list").arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<_> =
        text.lines().filter(|line| !line.starts_with(';')).filter_map(|line| line.split_once("; ")).collect();
    lines.sort_unstable();
    let mut lines: Vec<_> = lines.into_iter().map(|(_, entry)| entry.to_owned()).collect();
    lines.sort_unstable();
    lines
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_programs_restore_what_was_exported_in_every_way_they_know() {
    let (source, target) = (source_with_everything(), Server::start(&[]));
    source.create("plain", EVERYTHING);
    source.create("empty", "DROP SCHEMA public");
    let vault = Vault::new().await;
    let root = vault.back_up(&source, "one", &[NAME, "plain", "empty"], |manifest| {
        let tables = manifest.databases.iter().flat_map(|database| &database.tables);
        assert!(tables.clone().filter(|table| table.streams.len() > 2).count() >= 2, "tables in several streams");
        assert!(tables.clone().any(|table| table.load_into.is_some()), "rows that go in by their root");
    });
    let root = root.await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    let exported = vault.export(&root, &[], &to).await.unwrap();
    let odd = "Da%22ta%27%20base%5C%20%3D%3B%20--.dump";
    assert_eq!(files(&to), [odd, "empty.dump", "plain.dump", "roles.sql"]);

    // Roles, twice: what is there stays. Then a database with everything of its own.
    for _ in 0..2 {
        stock(&target, "psql", "postgres", &SCRIPT, &exported.roles_file);
    }
    assert_eq!(oracle::roles(&source), oracle::roles(&target));
    for file in [odd, "empty.dump"] {
        stock(&target, "pg_restore", "postgres", &["--create", "--exit-on-error"], &to.join(file));
    }
    oracle::assert_same((&source, NAME), (&target, NAME));
    oracle::assert_same((&source, "empty"), (&target, "empty"));
    assert_eq!(oracle::create_statements(&source, NAME), oracle::create_statements(&target, NAME));

    // Side by side, one after the other, and where it cannot seek.
    let plain = to.join("plain.dump");
    make(&target, "jobs");
    side_by_side(&target, "jobs", &plain);
    oracle::assert_same((&source, "plain"), (&target, "jobs"));
    make(&target, "serial");
    stock(&target, "pg_restore", "serial", &["--single-transaction"], &plain);
    oracle::assert_same((&source, "plain"), (&target, "serial"));
    make(&target, "piped");
    let mut cat = Command::new("cat").arg(&plain).stdout(Stdio::piped()).spawn().unwrap();
    let mut restore = target.program("pg_restore", "rdsadmin", "piped");
    let output = restore.arg("--exit-on-error").stdin(cat.stdout.take().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(cat.wait().unwrap().success());
    oracle::assert_same((&source, "plain"), (&target, "piped"));
    // As text, for `psql`.
    make(&target, "script");
    let script = folder.path().join("script.sql");
    let mut to_text = Command::new(Path::new(BIN).join("pg_restore"));
    assert!(to_text.arg("--file").arg(&script).arg(&plain).status().unwrap().success());
    stock(&target, "psql", "script", &SCRIPT, &script);
    oracle::assert_same((&source, "plain"), (&target, "script"));

    // A control: what differs in one row is not the same.
    let before = oracle::portrait(&target, "piped");
    target.sql("piped", "UPDATE app.parent SET note = 'another' WHERE id = 7");
    assert_eq!(oracle::differences(&before, &oracle::portrait(&target, "piped")).len(), 1);

    // `pg_dump` itself has the same entries, and one that is chosen comes alone.
    let whole = folder.path().join("stock.dump");
    stock(&source, "pg_dump", "plain", &["--format=custom", "--file"], &whole);
    assert_eq!(listing(&whole), listing(&plain));
    make(&target, "alone");
    let structure = ["--schema=app", "--table=parent", "--schema-only", "--no-owner", "--no-privileges"];
    let rows = ["--schema=app", "--table=parent", "--data-only", "--exit-on-error"];
    target.sql("alone", "CREATE SCHEMA app");
    stock(&target, "pg_restore", "alone", &structure, &plain);
    stock(&target, "pg_restore", "alone", &rows, &plain);
    assert_eq!(target.sql("alone", "SELECT count(*) FROM app.parent"), "3000");
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_other_encodings_keep_every_byte_and_name() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    for (name, encoding) in [("latin", "LATIN1"), ("bytes", "SQL_ASCII"), ("kanji", "EUC_JP")] {
        let sql =
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        source.sql_as("master", "postgres", &sql);
    }
    let fill = |table: &str, column: &str, value: &str| {
        format!(
            "CREATE TABLE {table} ({column} text);
             INSERT INTO {table} SELECT repeat({value}, 50) || n FROM generate_series(1, 8000) n;"
        )
    };
    let utf8 = "SET client_encoding = UTF8;";
    let latin = [("té", "é"), ("tè", "è"), ("plain", "ß")];
    let latin: Vec<_> = latin.iter().map(|(t, v)| fill(&format!("\"{t}\""), r#""ü""#, &format!("'{v}'"))).collect();
    let latin = utf8.to_owned() + &latin.concat();
    source.sql_as("master", "latin", &latin);
    source.sql_as("master", "kanji", &[utf8, &fill("plain", r#""名前""#, "'名'")].concat());
    let ascii = "SET client_encoding = SQL_ASCII;";
    source.sql_as("master", "bytes", &[ascii, &fill(r#""té""#, r#""ü""#, r"E'\xff\xe9'")].concat());
    let vault = Vault::new().await;
    let root = vault.back_up(&source, "one", &["latin", "bytes", "kanji"], |manifest| {
        assert_eq!(manifest.databases.iter().map(|database| database.tables.len()).sum::<usize>(), 5);
    });
    let root = root.await;
    let folder = tempfile::tempdir().unwrap();
    let exported = vault.export(&root, &[], folder.path()).await.unwrap();
    for database in &exported.databases {
        stock(&target, "pg_restore", "postgres", &["--create", "--exit-on-error", "--no-owner"], &database.file);
        let name = database.name.as_str();
        let encoding = if name == "bytes" { ascii } else { utf8 };
        let tables = "SELECT string_agg(quote_ident(relname), ' ' ORDER BY relname) FROM pg_class
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
        let picture = |server: &Server| {
            let tables = server.sql(name, &format!("{encoding} {tables}"));
            let hash = |table: &str| {
                let sql = r#"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text COLLATE "C")) FROM"#;
                server.sql(name, &format!("{encoding} {sql} {table} t"))
            };
            let hashes: Vec<_> = tables.split(' ').map(hash).collect();
            (tables, hashes)
        };
        let (ours, theirs) = (picture(&source), picture(&target));
        assert_eq!(ours, theirs, "{name}");
        assert!(ours.1.iter().all(|hash| hash.starts_with("8000|")), "{ours:?}");
        assert_eq!(database.rows, 8000 * ours.1.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_recorded_gets_no_file() {
    let server = Server::start(&[]);
    server.create(
        "shop",
        "CREATE TABLE big AS SELECT n, repeat('x', 90) AS v FROM generate_series(1, 4000) n;
         CREATE TABLE small AS SELECT n FROM generate_series(1, 20) n",
    );
    let vault = Vault::new().await;
    type Change = fn(&mut Manifest);
    let cases: [(&str, Change, &str); 5] = [
        ("rows", |manifest| manifest.databases[0].tables[0].streams[0].rows += 1, r#"table "public"."big": "#),
        (
            "swapped",
            |manifest| {
                let streams = &mut manifest.databases[0].tables[0].streams;
                streams[0].stream = streams[1].stream.clone();
                streams[0].rows = streams[1].rows;
            },
            r#"table "public"."big": its rows are not those"#,
        ),
        (
            "small",
            |manifest| manifest.databases[0].archive_contents[0].content.rows = 21,
            r#""small": 20 rows where 21"#,
        ),
        (
            "lost",
            |manifest| manifest.databases[0].tables[0].name = "lost".into(),
            r#"0 tables that may be "public"."lost""#,
        ),
        ("encoding", |manifest| manifest.databases[0].tables[0].encoding = "LATIN1".into(), "are in LATIN1"),
    ];
    for (name, change, words) in cases {
        let root = vault.back_up(&server, name, &["shop"], change).await;
        let folder = tempfile::tempdir().unwrap();
        let failed = vault.export(&root, &[], folder.path()).await.unwrap_err();
        assert_eq!(failed.failure.code, "export-mismatch", "{name}: {failed}");
        assert!(failed.failure.cause.contains(words), "{name}: {failed}");
        assert_eq!(files(folder.path()), ["roles.sql"], "{name}");
    }
    let root = vault.back_up(&server, "whole", &["shop"], |_| {}).await;
    let folder = tempfile::tempdir().unwrap();
    let unknown = vault.export(&root, &["shop", "shoe"], folder.path()).await.unwrap_err();
    assert_eq!(unknown.failure.code, "restore-database-unknown");
    assert!(unknown.failure.cause.contains(r#"["shoe"]; it has ["shop"]"#), "{unknown}");
    assert_eq!(files(folder.path()), Vec::<String>::new());
    vault.export(&root, &["shop"], folder.path()).await.unwrap();
    let whole = std::fs::read(folder.path().join("shop.dump")).unwrap();
    let again = vault.export(&root, &["shop"], folder.path()).await.unwrap_err();
    assert_eq!(again.failure.code, "export-exists");
    assert_eq!(std::fs::read(folder.path().join("shop.dump")).unwrap(), whole);
    assert_eq!(files(folder.path()), ["roles.sql", "shop.dump"]);

    // Data that has gone.
    let packs = vault.bucket.list("rds/domains/dom-one/packs/", None).await.unwrap();
    for pack in packs.objects {
        vault.bucket.delete(&pack.key).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let failed = vault.export(&root, &[], folder.path()).await.unwrap_err();
    assert_eq!(failed.failure.code, "repository-damaged", "{failed}");
    assert_eq!(files(folder.path()), Vec::<String>::new());
}
