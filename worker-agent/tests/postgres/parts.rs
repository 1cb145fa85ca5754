//! A schema or a table alone.

use haulier_worker_agent::postgres::DatabaseRestore;

use crate::bench::{Bench, as_name, failure};
use crate::server::Server;
use crate::store::MemoryStore;

const SHOP: &str = r#"
CREATE SCHEMA shop; CREATE SCHEMA "Other; --";
CREATE TYPE shop.mood AS ENUM ('good', 'bad');
CREATE TABLE shop.customers (id serial PRIMARY KEY, name text);
CREATE TABLE shop.orders (id serial PRIMARY KEY, customer int REFERENCES shop.customers, mood shop.mood, v text);
CREATE INDEX orders_v ON shop.orders (v);
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();
INSERT INTO shop.customers (name) SELECT 'c' || n FROM generate_series(1, 10) n;
INSERT INTO shop.orders (customer, mood, v) SELECT 1 + n % 10, 'good', repeat('o', 60) FROM generate_series(1, 4000) n;
CREATE TABLE "Other; --"."Ta""ble" AS SELECT n FROM generate_series(1, 7) n;
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
CREATE TABLE shop.log (at date, v text) PARTITION BY RANGE (at);
CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO shop.log SELECT '2026-05-05', 'x' FROM generate_series(1, 50);
GRANT SELECT ON shop.orders TO PUBLIC;
"#;

fn part(target_name: &str, schemas: &[&str], tables: &[&str]) -> DatabaseRestore {
    let owned = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
    DatabaseRestore { schemas: owned(schemas), tables: owned(tables), ..as_name("shop", target_name) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_database_is_restored_with_what_belongs_to_it() {
    let server = Server::start(&[]);
    server.create("shop", SHOP);
    let store = MemoryStore::new();
    let bench = Bench::new(&store);
    let backup = bench.back_up(&server, &["shop"]).await.unwrap();
    assert!(backup.manifest.databases[0].tables.iter().any(|table| table.name == "orders"));
    let relations = |database: &str| {
        let sql = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
            WHERE relkind IN ('r', 'p', 'v', 'S', 'i') AND relnamespace::regnamespace::text !~ '^(pg_|information)'";
        server.sql(database, sql)
    };

    let wanted = vec![part("alone", &[], &["shop.orders", "\"Other; --\".\"Ta\"\"ble\""])];
    let restored = bench.restore(&server, &backup.manifest_stream, wanted).await.unwrap();
    assert_eq!(relations("alone"), "Ta\"ble orders orders_id_seq orders_pkey orders_v");
    assert_eq!(server.sql("alone", "SELECT count(*), nextval('shop.orders_id_seq') FROM shop.orders"), "4000|4001");
    assert_eq!(server.sql("alone", "SELECT count(*) FROM \"Other; --\".\"Ta\"\"ble\""), "7");
    assert_eq!(server.sql("alone", "SELECT count(*) FROM pg_trigger WHERE tgname = 'touch'"), "1");
    assert_eq!(server.sql("alone", "SELECT has_table_privilege('public', 'shop.orders', 'SELECT')"), "t");
    let skipped: Vec<_> = restored.skipped.iter().map(|skipped| skipped.what.as_str()).collect();
    assert_eq!(skipped, ["FK CONSTRAINT shop.orders orders_customer_fkey"], "{:?}", restored.skipped);

    bench.restore(&server, &backup.manifest_stream, vec![part("parted", &[], &["shop.log"])]).await.unwrap();
    assert_eq!(relations("parted"), "log log_1");
    assert_eq!(server.sql("parted", "SELECT count(*) FROM shop.log"), "50");

    bench.restore(&server, &backup.manifest_stream, vec![part("schema", &["shop"], &[])]).await.unwrap();
    assert_eq!(server.sql("schema", "SELECT count(*) FROM shop.all_orders"), "4000");
    assert_eq!(server.sql("schema", "SELECT to_regclass('\"Other; --\".\"Ta\"\"ble\"') IS NULL"), "t");

    let refused = bench.restore(&server, &backup.manifest_stream, vec![part("x", &[], &["shop.nothing"])]).await;
    assert_eq!(failure(refused).code, "restore-part-unknown");
    assert_eq!(server.databases(), ["alone", "parted", "schema", "shop"]);
}
