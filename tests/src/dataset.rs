//! Databases to protect: made here, from a scale, with what real ones have and demos leave out.

use anyhow::Result;

use crate::psql::Database;

/// Roles with memberships, settings and a comment. The master of the server makes them; none is special to RDS.
const ROLES: &str = r#"
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_reader NOLOGIN;
CREATE ROLE "Odd ""Role"" ü" LOGIN CONNECTION LIMIT 7 VALID UNTIL '2033-01-01';
GRANT shop_reader TO "Odd ""Role"" ü";
ALTER ROLE shop_reader SET statement_timeout = '5min';
COMMENT ON ROLE shop_reader IS 'reads the shop; owns nothing';
"#;

/// Their names.
pub const ROLE_NAMES: [&str; 3] = ["shop_owner", "shop_reader", "Odd \"Role\" ü"];

/// Schema with partitions, inheritance, triggers, functions, types, views, generated and identity columns, default
/// privileges, column grants, full-text search, odd names.
const SCHEMA: &str = r#"
CREATE SCHEMA shop;
CREATE SCHEMA "odd schema; --";
CREATE TYPE shop.state AS ENUM ('new', 'paid', 'sent', 'it''s "back"');
CREATE DOMAIN shop.cents AS bigint CHECK (VALUE >= 0);
CREATE TYPE shop.address AS (street text, town text);
CREATE SEQUENCE shop.invoice_number START 1000 INCREMENT 7;

CREATE TABLE shop.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    address shop.address,
    notes jsonb NOT NULL DEFAULT '{}',
    search tsvector GENERATED ALWAYS AS (to_tsvector('simple', name)) STORED,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX customers_search ON shop.customers USING gin (search);

CREATE TABLE shop.orders (
    id bigserial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES shop.customers,
    state shop.state NOT NULL DEFAULT 'new',
    total shop.cents NOT NULL,
    placed timestamptz NOT NULL,
    comment text NOT NULL
);
CREATE INDEX orders_by_customer ON shop.orders (customer);

CREATE TABLE shop.events (
    at timestamptz NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE shop.events_2025 PARTITION OF shop.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.events_2026 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY HASH (kind);
CREATE TABLE shop.events_2026_0 PARTITION OF shop.events_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.events_2026_1 PARTITION OF shop.events_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE shop.events_other PARTITION OF shop.events DEFAULT;
CREATE INDEX events_at ON shop.events (at);

CREATE TABLE shop.things (id int PRIMARY KEY, label text);
CREATE TABLE shop.red_things (shade text) INHERITS (shop.things);
CREATE TABLE shop.files (id int PRIMARY KEY, content bytea, body oid);

CREATE TABLE "odd schema; --"."table ""quoted"" 'and' more" (
    "column one" int,
    "select" text,
    "naïve 数" text DEFAULT E'tab\there',
    PRIMARY KEY ("column one")
);

CREATE FUNCTION shop.audit() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.comment := NEW.comment || ' [seen]';
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit BEFORE UPDATE OF state ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.audit();
CREATE FUNCTION shop.total_of(customer bigint) RETURNS numeric LANGUAGE sql STABLE
    RETURN (SELECT sum(o.total) FROM shop.orders o WHERE o.customer = total_of.customer);
CREATE PROCEDURE shop.tidy() LANGUAGE sql AS 'DELETE FROM shop.events WHERE at < ''2000-01-01''';
CREATE VIEW shop.open_orders AS SELECT * FROM shop.orders WHERE state IN ('new', 'paid');
CREATE MATERIALIZED VIEW shop.totals AS SELECT customer, sum(total) AS total FROM shop.orders GROUP BY customer WITH NO DATA;
CREATE UNIQUE INDEX totals_customer ON shop.totals (customer);
CREATE RULE no_delete AS ON DELETE TO shop.things DO INSTEAD NOTHING;
COMMENT ON TABLE shop.orders IS E'orders\nof ''the'' shop';

ALTER SCHEMA shop OWNER TO shop_owner;
ALTER TABLE shop.orders OWNER TO shop_owner;
GRANT USAGE ON SCHEMA shop TO shop_reader;
GRANT SELECT ON shop.orders, shop.customers TO shop_reader;
GRANT SELECT (id, label) ON shop.things TO "Odd ""Role"" ü";
GRANT UPDATE (label) ON shop.things TO shop_reader WITH GRANT OPTION;
REVOKE EXECUTE ON FUNCTION shop.total_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.total_of TO shop_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO shop_reader;
"#;

/// Rows; one `:scale` is about 6 MB of dump.
const ROWS: &str = r#"
SELECT setseed(0.4);
INSERT INTO shop.customers (name, address, notes, created)
    SELECT 'customer ' || md5(n::text), ROW('street ' || n % 977, 'town ' || n % 101)::shop.address,
           jsonb_build_object('vip', n % 17 = 0, 'tags', jsonb_build_array(md5((n * 3)::text), n % 11)),
           timestamptz '2026-01-01' + n * interval '1 second'
    FROM generate_series(1, :scale * 1500) AS n;
INSERT INTO shop.orders (customer, state, total, placed, comment)
    SELECT 1 + n % (:scale * 1500), (ARRAY['new', 'paid', 'sent', 'it''s "back"']::shop.state[])[1 + n % 4], (random() * 100000)::bigint,
           timestamptz '2025-06-01' + n * interval '7 second', md5(n::text) || ' ' || repeat(chr(97 + n % 26), n % 40) || md5((n * 7)::text)
    FROM generate_series(1, :scale * 32000) AS n;
INSERT INTO shop.events
    SELECT timestamptz '2024-12-25' + n * (interval '740 days' / (:scale * 12000)), 'kind ' || n % 23, jsonb_build_object('n', n, 'text', md5(n::text) || md5((n + 1)::text))
    FROM generate_series(1, :scale * 12000) AS n;
INSERT INTO shop.things SELECT n, 'thing ' || n FROM generate_series(1, 500) AS n;
INSERT INTO shop.red_things SELECT 1000 + n, 'red ' || n, 'shade ' || n % 7 FROM generate_series(1, 300) AS n;
INSERT INTO shop.files SELECT n, decode(repeat(md5(n::text), 400), 'hex'), lo_from_bytea(0, decode(repeat(md5((-n)::text), 3000), 'hex')) FROM generate_series(1, 20) AS n;
INSERT INTO "odd schema; --"."table ""quoted"" 'and' more" VALUES
    (1, E'back\\slash \t tab \n line \r return', NULL), (2, '', '\N'), (3, '\.', E'\\.'), (4, '😀 "quoted" ''single''', 'ü');
SELECT count(nextval('shop.invoice_number')) FROM generate_series(1, 40);
REFRESH MATERIALIZED VIEW shop.totals;
ANALYZE;
"#;

/// Day 2: one row in a hundred updated at random places, some rows added, some gone.
const DAY_TWO: &str = r#"
SELECT setseed(0.7);
UPDATE shop.orders SET total = total + 1 WHERE random() < 0.01;
UPDATE shop.customers SET notes = notes || '{"changed": true}' WHERE random() < 0.01;
INSERT INTO shop.orders (customer, total, placed, comment) SELECT 1 + n % 1000, n, now(), 'late ' || md5(n::text) FROM generate_series(1, 2000) AS n;
DELETE FROM shop.events WHERE random() < 0.005;
-- A dump holds a materialized view's definition, not its rows: it is refreshed on restore.
REFRESH MATERIALIZED VIEW shop.totals;
"#;

/// Changes that an oracle must notice in this database.
pub const CONTROLS: [(&str, &str); 3] = [
    ("a changed row", "UPDATE shop.things SET label = 'changed' WHERE id = 7"),
    ("a lost grant", "REVOKE SELECT ON shop.orders FROM shop_reader"),
    ("a missing index", "DROP INDEX shop.orders_by_customer"),
];

/// Fills an empty database with about `megabytes` of rows. Roles are made where the server lacks them.
///
/// # Errors
/// What the server says.
pub fn fill(database: &Database, megabytes: u32) -> Result<()> {
    let roles = database.value("SELECT count(*)::text FROM pg_roles WHERE rolname = 'shop_owner'")?;
    if roles == "0" {
        database.execute(ROLES)?;
    }
    let quoted = crate::oracle::quote(&database.name);
    // CREATEROLE alone does not make a member: RDS's master grants itself what it wants to give away.
    database.execute("GRANT shop_owner TO CURRENT_USER")?;
    database.execute(SCHEMA)?;
    database.execute(&ROWS.replace(":scale", &megabytes.div_ceil(6).to_string()))?;
    database.execute(&format!(
        "ALTER DATABASE {quoted} SET work_mem = '8MB'; GRANT CONNECT ON DATABASE {quoted} TO shop_reader; COMMENT ON DATABASE {quoted} IS 'a shop';"
    ))
}

/// Changes about one row in a hundred.
///
/// # Errors
/// What the server says.
pub fn change(database: &Database) -> Result<()> {
    database.execute(DAY_TWO)
}
