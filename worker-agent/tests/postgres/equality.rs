//! What goes in comes out equal.

use std::path::{Path, PathBuf};

use haulier_worker_agent::postgres::DatabaseRestore;

use crate::bench::{Bench, as_name};
use crate::oracle;
use crate::server::Server;
use crate::store::MemoryStore;

/// Roles of the source, made by its master.
pub(crate) const ROLES: &str = r#"
CREATE ROLE app LOGIN PASSWORD 'secret' CONNECTION LIMIT 5;
CREATE ROLE "Quo""te; DROP TABLE x; --" NOLOGIN;
CREATE ROLE readers NOLOGIN VALID UNTIL '2031-01-01 00:00:00+00';
CREATE ROLE maker NOLOGIN CREATEDB CREATEROLE;
ALTER ROLE app SET search_path TO "$user", 'odd, name', public;
ALTER ROLE app SET work_mem = '8MB';
COMMENT ON ROLE readers IS 'it''s \ for reading';
GRANT readers TO app WITH ADMIN OPTION;
GRANT readers TO "Quo""te; DROP TABLE x; --";
GRANT app, maker, "Quo""te; DROP TABLE x; --" TO master;
"#;

/// A database with everything that is hard to carry.
pub(crate) const EVERYTHING: &str = r#"
CREATE SCHEMA "Sch""ema; --";
CREATE SCHEMA app AUTHORIZATION app;
CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok', 'happy "one"');
CREATE DOMAIN app.percent AS numeric CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE app.pair AS (a int, b text);

CREATE TABLE "Sch""ema; --"."ta ble ""x"" 名前'); DROP TABLE y; --" (
    "Id; --" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "co""l" text, "名前" text, "new
line" text, payload bytea, at timestamptz, f float8, m app.mood, p app.pair, pct app.percent,
    doubled float8 GENERATED ALWAYS AS (f * 2) STORED);
INSERT INTO "Sch""ema; --"."ta ble ""x"" 名前'); DROP TABLE y; --" ("co""l", "名前", "new
line", payload, at, f, m, p, pct)
    SELECT E'tab\t nl\n bs\\ ' || n, 'ü' || n, NULLIF(n % 3, 0)::text, decode(md5(n::text), 'hex'), now() + n * interval '1 s',
        1.0 / (n + 0.1), 'it''s ok', ROW(n, 'x"y')::app.pair, n % 100
    FROM generate_series(1, 4000) n;

CREATE TABLE app.parted (id int, at date, v text) PARTITION BY RANGE (at);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE app.parted_2 PARTITION OF app.parted FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (id);
CREATE TABLE app.parted_2a PARTITION OF app.parted_2 DEFAULT;
CREATE INDEX ON app.parted (id);
INSERT INTO app.parted SELECT n, date '2026-01-01' + n % 59, repeat('v', 50) FROM generate_series(1, 9000) n;

CREATE TABLE app.hashed (m app.mood, v text) PARTITION BY HASH (m);
CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app.hashed SELECT (enum_range(NULL::app.mood))[1 + n % 3], repeat('h', 60) FROM generate_series(1, 6000) n;

CREATE TABLE app.parent (id int PRIMARY KEY, note text DEFAULT 'no');
CREATE TABLE app.child (extra text) INHERITS (app.parent);
INSERT INTO app.parent SELECT n, repeat('p', 40) FROM generate_series(1, 3000) n;
INSERT INTO app.child SELECT n, repeat('c', 40), 'e' FROM generate_series(5000, 8000) n;

CREATE TABLE app.customers (id serial PRIMARY KEY, name text UNIQUE NOT NULL, mood app.mood DEFAULT 'happy "one"');
CREATE TABLE app.orders (id bigserial PRIMARY KEY, customer int REFERENCES app.customers DEFERRABLE, total numeric(12,2), doc jsonb,
    CHECK (total >= 0), EXCLUDE USING gist (int8range(id, id, '[]') WITH &&));
INSERT INTO app.customers (name) SELECT 'c' || n FROM generate_series(1, 500) n;
INSERT INTO app.orders (customer, total, doc) SELECT 1 + n % 500, n, jsonb_build_object('n', n, 'ü', '\') FROM generate_series(1, 3000) n;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.total := coalesce(NEW.total, 0); RETURN NEW; END $f$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER "al;ways" AFTER UPDATE ON app.orders FOR EACH ROW WHEN (OLD.total IS DISTINCT FROM NEW.total) EXECUTE FUNCTION app.touch();
ALTER TABLE app.orders ENABLE ALWAYS TRIGGER "al;ways";
CREATE VIEW app.totals AS SELECT customer, sum(total) FROM app.orders GROUP BY 1;
CREATE MATERIALIZED VIEW app.best AS SELECT * FROM app.totals WHERE customer < 10;
CREATE MATERIALIZED VIEW app.best_of_best AS SELECT * FROM app.best WHERE customer < 3;
CREATE UNIQUE INDEX ON app.best (customer);
CREATE RULE no_delete AS ON DELETE TO app.customers DO INSTEAD NOTHING;
CREATE STATISTICS app.stats ON customer, total FROM app.orders;
CREATE SEQUENCE app.odd START 7 INCREMENT 3 CYCLE MAXVALUE 1000;
SELECT nextval('app.odd'), nextval('app.odd');
CREATE AGGREGATE app.total_of(numeric) (SFUNC = numeric_add, STYPE = numeric, INITCOND = '0');
CREATE FUNCTION app."f(); --"(a int DEFAULT 1, VARIADIC b text[] DEFAULT '{}') RETURNS int LANGUAGE sql AS 'SELECT a';
CREATE PROCEDURE app.proc() LANGUAGE plpgsql AS $p$ BEGIN PERFORM 1; END $p$;
CREATE COLLATION app.posix (locale = 'C');
CREATE TABLE app.secrets (owner text, v text);
ALTER TABLE app.secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON app.secrets FOR SELECT TO readers USING (owner = current_user);
INSERT INTO app.secrets VALUES ('app', 'x');
CREATE UNLOGGED TABLE app.cache AS SELECT 1 AS x;
CREATE TABLE app.nothing ();

SELECT lo_from_bytea(4711, decode(repeat('00ff', 100000), 'hex')), lo_from_bytea(4712, '');
GRANT SELECT ON LARGE OBJECT 4711 TO readers;
COMMENT ON LARGE OBJECT 4711 IS 'a "large" object';

GRANT CREATE ON SCHEMA app TO maker, "Quo""te; DROP TABLE x; --";
ALTER TABLE app.orders OWNER TO app;
ALTER TABLE app.parted OWNER TO maker;
ALTER FUNCTION app.touch() OWNER TO "Quo""te; DROP TABLE x; --";
ALTER LARGE OBJECT 4712 OWNER TO app;
REVOKE CREATE ON SCHEMA app FROM maker, "Quo""te; DROP TABLE x; --";
GRANT SELECT ON ALL TABLES IN SCHEMA app TO readers;
GRANT UPDATE (name, mood), REFERENCES (id) ON app.customers TO "Quo""te; DROP TABLE x; --" WITH GRANT OPTION;
GRANT USAGE ON SCHEMA app TO "Quo""te; DROP TABLE x; --";
SET ROLE "Quo""te; DROP TABLE x; --";
GRANT UPDATE (name) ON app.customers TO readers;
RESET ROLE;
REVOKE ALL ON app.parent FROM master;
GRANT SELECT ON app.parent TO master;
REVOKE EXECUTE ON FUNCTION app."f(); --" FROM PUBLIC;
GRANT USAGE ON SCHEMA app, "Sch""ema; --" TO readers;
GRANT CREATE ON SCHEMA public TO app;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT INSERT ON TABLES TO readers;
ALTER DEFAULT PRIVILEGES FOR ROLE app REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
COMMENT ON TABLE app.orders IS E'multi\nline ''comment'' -- \\';
COMMENT ON COLUMN app.orders.doc IS 'ü';
ALTER TABLE app.orders ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN total SET STATISTICS 500;
ALTER TABLE app.orders SET (fillfactor = 70);
"#;

/// A name that has to be quoted everywhere, and differently.
pub(crate) const NAME: &str = "Da\"ta' base\\ =; --";

/// Roles, and a database [`NAME`] with everything that is hard to carry in it and of its own.
pub(crate) fn source_with_everything() -> Server {
    let source = Server::start(&[]);
    source.sql_as("master", "postgres", ROLES);
    source.create(NAME, EVERYTHING);
    let quoted = NAME.replace('"', "\"\"");
    source.sql_as(
        "master",
        "postgres",
        &format!(
            "ALTER DATABASE \"{quoted}\" SET search_path TO app, 'odd, name';
             ALTER DATABASE \"{quoted}\" SET datestyle TO 'German, DMY';
             ALTER ROLE app IN DATABASE \"{quoted}\" SET statement_timeout = '7s';
             COMMENT ON DATABASE \"{quoted}\" IS 'the \"one\"';
             GRANT CREATE ON DATABASE \"{quoted}\" TO readers WITH GRANT OPTION;
             REVOKE TEMPORARY ON DATABASE \"{quoted}\" FROM PUBLIC;
             ALTER DATABASE \"{quoted}\" CONNECTION LIMIT 40;
             ALTER DATABASE \"{quoted}\" OWNER TO app"
        ),
    );
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_everything_comes_back_equal_on_another_server() {
    let (source, target) = (source_with_everything(), Server::start(&[]));
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&source, &[NAME]).await.unwrap();

    let database = &backup.manifest.databases[0];
    let split = database.tables.iter().filter(|table| table.streams.len() > 1).count();
    assert!(database.tables.len() >= 6 && split >= 1, "{:?}", database.tables);
    assert!(database.tables.iter().any(|table| table.load_into.is_some()), "partitions by hash of an enum");
    let restored = bench.restore(&target, &backup.manifest_stream, vec![as_name(NAME, "")]).await.unwrap();

    assert!(restored.skipped.is_empty(), "{:?}", restored.skipped);
    assert_eq!(restored.roles_without_password, ["app"]);
    assert_eq!(restored.databases[0].counted_tables, database.tables.len() as u64);
    oracle::assert_same((&source, NAME), (&target, NAME));
    assert_eq!(oracle::roles(&source), oracle::roles(&target));
    assert_eq!(oracle::create_statements(&source, NAME), oracle::create_statements(&target, NAME));

    controls(&target).await;
}

/// The oracle sees a changed row, a lost grant, a missing index, a lost setting.
async fn controls(target: &Server) {
    let before = oracle::portrait(target, NAME);
    for (spoil, mend) in [
        ("UPDATE app.customers SET name = 'other' WHERE id = 7", "UPDATE app.customers SET name = 'c7' WHERE id = 7"),
        ("REVOKE SELECT ON app.orders FROM readers", "GRANT SELECT ON app.orders TO readers"),
        ("ALTER INDEX app.best_customer_idx RENAME TO x", "ALTER INDEX app.x RENAME TO best_customer_idx"),
        ("SELECT setval('app.odd', 22)", "SELECT setval('app.odd', 10)"),
        ("SELECT lo_put(4711, 5, 'x')", "SELECT lo_put(4711, 5, '\\xff')"),
    ] {
        target.sql(NAME, spoil);
        assert!(!oracle::differences(&before, &oracle::portrait(target, NAME)).is_empty(), "{spoil}");
        target.sql(NAME, mend);
    }
    assert_eq!(oracle::differences(&before, &oracle::portrait(target, NAME)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_databases_of_an_instance_come_back_and_an_empty_one_too() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.create("empty", "DROP SCHEMA public");
    source.create("one", "CREATE TABLE t AS SELECT n FROM generate_series(1, 100) n");
    source.sql("postgres", "CREATE DATABASE rdsadmin; CREATE DATABASE closed ALLOW_CONNECTIONS false");
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&source, &[]).await.unwrap();
    let names: Vec<_> = backup.summary.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["empty", "one", "postgres"]);
    assert!(backup.summary.remarks.iter().any(|remark| remark.contains("no common moment")));
    let wanted = vec![as_name("empty", ""), as_name("one", "two")];
    bench.restore(&target, &backup.manifest_stream, wanted).await.unwrap();
    oracle::assert_same((&source, "empty"), (&target, "empty"));
    assert_eq!(target.sql("empty", "SELECT count(*) FROM pg_namespace WHERE nspname = 'public'"), "0");
    oracle::assert_same((&source, "one"), (&target, "two"));
    assert_eq!(target.databases(), ["empty", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_values_mean_in_a_database_is_known_before_they_arrive() {
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    source.create(
        "tokyo",
        "SET timezone = 'Asia/Tokyo';
         CREATE TABLE taken (at timestamptz, day date, CHECK (day = at::date));
         INSERT INTO taken SELECT at, at::date FROM generate_series('2026-03-01', '2026-03-03', interval '1 h') at;
         CREATE MATERIALIZED VIEW days AS SELECT at::date AS day, count(*) FROM taken GROUP BY 1",
    );
    source
        .sql("postgres", "ALTER DATABASE tokyo SET timezone = 'Asia/Tokyo'; ALTER DATABASE tokyo SET work_mem = '9MB'");
    let store = MemoryStore::new();
    for (name, large) in [("streamed", 1), ("archived", 1 << 30)] {
        let mut bench = Bench::new(&store);
        bench.large = large;
        let backup = bench.back_up(&source, &["tokyo"]).await.unwrap();
        bench.restore(&target, &backup.manifest_stream, vec![as_name("tokyo", name)]).await.unwrap();
        oracle::assert_same((&source, "tokyo"), (&target, name));
        let days = "SELECT string_agg(days::text, ' ' ORDER BY day) FROM days";
        assert_eq!(source.sql("tokyo", days), target.sql(name, days));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_tables_come_back_equal() {
    let server = Server::start(&["max_locks_per_transaction=256"]);
    server.create(
        "many",
        "DO $$ BEGIN FOR n IN 1..2000 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, v text)', n);
        EXECUTE format('INSERT INTO t%s VALUES (%s, %L)', n, n, n);
    END LOOP; END $$",
    );
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["many"]).await.unwrap();
    assert_eq!(backup.summary.databases[0].tables, 2000);
    bench.restore(&server, &backup.manifest_stream, vec![as_name("many", "again")]).await.unwrap();
    let sum = "SELECT count(*), sum((xpath('/row/c/text()', query_to_xml('SELECT id + v::int AS c FROM ' || relname, false, true, '')))[1]::text::int)
        FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    assert_eq!(server.sql("again", sum), server.sql("many", sum));
    assert_eq!(server.sql("again", sum), "2000|4002000");
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_other_than_utf8_keep_every_byte_and_name() {
    let server = Server::start(&[]);
    for (name, encoding) in [("latin", "LATIN1"), ("bytes", "SQL_ASCII")] {
        server.sql_as(
            "master",
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"),
        );
    }
    server.sql_as(
        "master",
        "latin",
        "SET client_encoding = UTF8; CREATE TABLE \"té\" (\"ü\" text);
        INSERT INTO \"té\" SELECT repeat('é', 50) || n FROM generate_series(1, 8000) n",
    );
    server.sql_as(
        "master",
        "bytes",
        "SET client_encoding = SQL_ASCII; CREATE TABLE t (v text);
        INSERT INTO t SELECT repeat(E'\\xff\\xe9', 50) || n FROM generate_series(1, 8000) n",
    );
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["latin", "bytes"]).await.unwrap();
    assert!(backup.manifest.databases.iter().all(|database| database.tables.len() == 1), "by `COPY` of our own");
    let wanted = vec![as_name("latin", "latin2"), as_name("bytes", "bytes2")];
    bench.restore(&server, &backup.manifest_stream, wanted).await.unwrap();
    let hash = |database: &str, table: &str, column: &str| {
        let sql = format!(
            "SET client_encoding = UTF8; SELECT count(*), md5(string_agg(md5({column}::bytea), '' ORDER BY {column})) FROM {table}"
        );
        server.sql(database, &sql)
    };
    assert_eq!(hash("latin", "\"té\"", "\"ü\""), hash("latin2", "\"té\"", "\"ü\""));
    let bytes = |database: &str| {
        server.sql(database, "SELECT count(*), md5(string_agg(v, '' ORDER BY v COLLATE \"C\")) FROM t")
    };
    assert_eq!(bytes("bytes"), bytes("bytes2"));
    assert_eq!(
        server.sql("postgres", "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'bytes2'"),
        "SQL_ASCII"
    );
}

/// Names that are not ASCII, of tables large and small and of what belongs to them: each is found, left out, granted
/// and verified by its name, whatever the encoding.
#[tokio::test(flavor = "multi_thread")]
async fn names_in_another_encoding_are_understood() {
    let server = Server::start(&[]);
    server.sql("postgres", "CREATE ROLE zoe; CREATE ROLE rene; GRANT zoe, rene TO master");
    for (name, encoding) in [("latin", "LATIN1"), ("japanese", "EUC_JP")] {
        let sql =
            format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        server.sql_as("master", "postgres", &sql);
    }
    server.sql_as(
        "master",
        "latin",
        "SET client_encoding = UTF8; CREATE SCHEMA \"dépôt\";
        CREATE TABLE \"dépôt\".\"grandé\" (\"ü\" text);
        INSERT INTO \"dépôt\".\"grandé\" SELECT repeat('é', 50) || n FROM generate_series(1, 8000) n;
        CREATE TABLE \"dépôt\".\"petité\" (id int PRIMARY KEY, \"ü\" text);
        INSERT INTO \"dépôt\".\"petité\" VALUES (1, 'ça');
        CREATE INDEX \"clé\" ON \"dépôt\".\"petité\" (\"ü\");
        GRANT USAGE ON SCHEMA \"dépôt\" TO zoe;
        GRANT SELECT ON \"dépôt\".\"petité\" TO zoe WITH GRANT OPTION;
        SET ROLE zoe; GRANT SELECT ON \"dépôt\".\"petité\" TO rene; RESET ROLE",
    );
    server.sql_as(
        "master",
        "japanese",
        "SET client_encoding = UTF8; CREATE TABLE \"大\" (\"列\" text);
        INSERT INTO \"大\" SELECT repeat('日本', 50) || n FROM generate_series(1, 8000) n;
        CREATE TABLE \"小\" (\"列\" text); INSERT INTO \"小\" VALUES ('語')",
    );
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["latin", "japanese"]).await.unwrap();
    let apart: Vec<_> = backup
        .manifest
        .databases
        .iter()
        .flat_map(|database| &database.tables)
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(apart, ["grandé", "大"], "by `COPY` of our own, and not in the archive too");
    let recorded = backup.manifest.databases.iter().flat_map(|database| &database.archive_contents);
    assert_eq!(recorded.map(|table| table.name.as_str()).collect::<Vec<_>>(), ["petité", "小"]);
    let wanted = vec![as_name("latin", "latin2"), as_name("japanese", "japanese2")];
    bench.restore(&server, &backup.manifest_stream, wanted).await.unwrap();
    for (before, after) in [("latin", "latin2"), ("japanese", "japanese2")] {
        oracle::assert_same((&server, before), (&server, after));
    }
    let part = DatabaseRestore { tables: vec!["\"dépôt\".\"petité\"".into()], ..as_name("latin", "latin3") };
    bench.restore(&server, &backup.manifest_stream, vec![part]).await.unwrap();
    assert_eq!(server.sql("latin3", "SET client_encoding = UTF8; SELECT \"ü\" FROM \"dépôt\".\"petité\""), "ça");
}

/// Sample databases that some machines have beside the tree; where they are, they come back equal too.
#[tokio::test(flavor = "multi_thread")]
async fn sample_databases_come_back_equal_where_they_are_at_hand() {
    let beside = || Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../shared/data/pg");
    let samples = std::env::var_os("HAULIER_SAMPLE_DUMPS").map_or_else(beside, PathBuf::from);
    let Ok(folder) = std::fs::read_dir(&samples) else {
        eprintln!(
            "skipped: there are no sample dumps at {}: name their folder in HAULIER_SAMPLE_DUMPS",
            samples.display()
        );
        return;
    };
    let (source, target) = (Server::start(&[]), Server::start(&[]));
    let dumps: Vec<PathBuf> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "dump"))
        .collect();
    let mut names = Vec::new();
    for dump in &dumps {
        let name = dump.file_stem().unwrap().to_str().unwrap().to_owned();
        source.create(&name, "");
        let mut command = source.program("pg_restore", "master", &name);
        let output = command.args(["--no-owner", "--no-privileges"]).arg(dump).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        names.push(name);
    }
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let chosen: Vec<_> = names.iter().map(String::as_str).collect();
    let backup = bench.back_up(&source, &chosen).await.unwrap();
    let wanted = chosen.iter().map(|name| as_name(name, "")).collect();
    bench.restore(&target, &backup.manifest_stream, wanted).await.unwrap();
    for name in &names {
        oracle::assert_same((&source, name), (&target, name));
    }
}
