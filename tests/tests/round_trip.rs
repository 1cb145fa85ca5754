//! What is backed up comes back equal: schema text, rows, sequences, large objects, roles, grants.

use anyhow::{Context, Result};
use e2e::oracle::quote;
use e2e::psql::Database;
use e2e::stage::{MASTER_PASSWORD, SOURCE, Stage};
use e2e::{bin, dataset, oracle};

/// Names and contents that break whatever quotes by hand.
const HOSTILE_DATABASE: &str = "odd \"db\" ü'; DROP DATABASE postgres; --";

#[test]
fn real_databases_come_back_equal() -> Result<()> {
    let Some(folder) = bin::sample_dumps() else { return Ok(()) };
    let stage = Stage::set()?;
    let names = ["pagila_neon", "chinook_serial", "northwind", "sakila"];
    // One of them grants to it.
    stage.source.execute("CREATE ROLE postgres")?;
    for name in names {
        stage.source.execute(&format!("CREATE DATABASE {}", quote(name)))?;
        stage
            .source
            .sibling(name)
            .logged_in_as("master", MASTER_PASSWORD)
            .load(&folder.join(format!("{name}.dump")))
            .with_context(|| format!("loading {name}"))?;
    }
    let point = stage.back_up()?;
    for name in names {
        let copy = format!("{name} restored");
        stage.restore(&point, name, &copy)?;
        stage.assert_equal(name, &copy)?;
    }
    stage.assert_nothing_left()
}

#[test]
fn odd_databases_come_back_equal_and_a_table_comes_back_alone() -> Result<()> {
    let stage = Stage::set()?;
    for name in [HOSTILE_DATABASE, "empty", "many tables"] {
        stage.source.execute(&format!("CREATE DATABASE {}", quote(name)))?;
    }
    let hostile = stage.source.sibling(HOSTILE_DATABASE);
    dataset::fill(&hostile, 12)?;
    // The comparison below, on these very servers, sees what it is there to see.
    oracle::prove(&Database { author: None, ..hostile.clone() }, &dataset::CONTROLS)?;
    hostile.execute(
        "CREATE TABLE big (id int PRIMARY KEY, content text);
         INSERT INTO big SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 6250000) AS n;",
    )?;
    stage.source.sibling("many tables").execute(
        "DO $$ BEGIN FOR n IN 1..2000 LOOP EXECUTE format('CREATE TABLE t_%s (id serial PRIMARY KEY, v text); INSERT INTO t_%s (v) VALUES (''x'')', n, n);
         IF n % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$",
    )?;
    let point = stage.back_up()?;
    for (name, copy) in
        [(HOSTILE_DATABASE, "copy 'of' \"odd\" = db"), ("empty", "empty too"), ("many tables", "many more")]
    {
        stage.restore(&point, name, copy)?;
        stage.assert_equal(name, copy)?;
    }
    // A copy that was changed is not equal: the comparison above can fail.
    stage.target.sibling("empty too").execute("CREATE TABLE intruder ()")?;
    assert!(stage.assert_equal("empty", "empty too").is_err());

    let table = r#""odd schema; --"."table ""quoted"" 'and' more""#;
    let alone = stage.start_restore(&point, HOSTILE_DATABASE, "one table", &["--table", table])?;
    stage.succeeded(&alone)?;
    let copy = stage.target.sibling("one table");
    assert_eq!(
        copy.value("SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")?,
        "1"
    );
    let rows = format!("SELECT string_agg(t::text, '|' ORDER BY t::text) FROM {table} AS t");
    assert_eq!(copy.value(&rows)?, hostile.value(&rows)?);
    is_that_part(&hostile, &copy, &["table \"quoted\" 'and' more", r#""table ""quoted"" 'and' more""#])?;
    // A restored copy that lacks a row, a grant or an index is not equal.
    let restored = Database { author: None, ..stage.target.sibling("copy 'of' \"odd\" = db") };
    for database in [&hostile, &restored] {
        database.execute("DROP TABLE big")?;
    }
    for (what, change) in dataset::CONTROLS {
        let before = stage.differences(HOSTILE_DATABASE, &restored.name)?.len();
        restored.execute(change)?;
        let after = stage.differences(HOSTILE_DATABASE, &restored.name)?.len();
        assert!(after > before, "{what} in the copy goes unnoticed");
    }

    // Never over an existing database unless asked.
    let clash = stage.ended(&stage.start_restore(&point, "empty", "one table", &[])?)?;
    assert_eq!(clash["state"], "failed", "{clash:#}");
    assert_eq!(copy.value(&rows)?, hostile.value(&rows)?, "the clash left the database alone");
    let beside = stage.succeeded(&stage.start_restore(&point, "empty", "one table", &["--on-clash", "suffix"])?)?;
    let names =
        stage.target.rows("SELECT datname FROM pg_database WHERE datname LIKE 'one table%' ORDER BY 1")?.concat();
    assert_eq!(names, ["one table", "one table_restored_1"], "{beside:#}");
    stage.assert_nothing_left()
}

/// Whatever is in the copy is as it is in the source, and everything in the source that is named so is in the copy.
fn is_that_part(source: &Database, copy: &Database, names: &[&str]) -> Result<()> {
    let picture = |database: &Database| oracle::picture(&Database { author: None, ..database.clone() });
    let (mut whole, mut part) = (picture(source)?, picture(copy)?);
    let is_named = |aspect: &String| names.iter().any(|name| aspect.contains(name));
    assert!(whole.keys().filter(|aspect| is_named(aspect)).count() >= 3, "{:?}", whole.keys());
    // Of the database itself, a part brings nothing; of its schemas, those that are needed.
    for picture in [&mut whole, &mut part] {
        picture.retain(|aspect, _| !aspect.starts_with("database"));
        // What pg_dump takes for granted it says before the first table, wherever that is.
        for content in picture.values_mut() {
            let said = ["SET default_tablespace = '';\n", "SET default_table_access_method = heap;\n"];
            *content = said.iter().fold(std::mem::take(content), |content, line| content.replace(line, ""));
        }
    }
    whole.retain(|aspect, _| is_named(aspect) || part.contains_key(aspect));
    let differences = oracle::differences(&whole, &part);
    assert!(differences.is_empty(), "{differences:#?}");
    Ok(())
}

#[test]
fn a_policy_says_how_tables_are_read() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE small")?;
    let small = stage.source.sibling("small");
    // About 4 MB: by default pg_dump would read it.
    small.execute("CREATE TABLE t AS SELECT n, repeat(md5(n::text), 10) AS v FROM generate_series(1, 12000) AS n")?;
    let streams = |session: &str| -> Result<Option<u32>> {
        let story = stage.story(session);
        let line = story.lines().find(|line| line.contains("database \"small\": snapshot of"));
        let line = line.with_context(|| format!("no line of the snapshot in {story}"))?;
        Ok(line.split(" of them in ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()))
    };
    let plain = stage.run_policy()?;
    stage.succeeded(&plain)?;
    assert_eq!(streams(&plain)?, Some(0), "no table has a stream of its own");
    let sizes = "large_table_bytes: 1048576, split_table_bytes: 1048576";
    stage.apply_policy(&format!("transfer: {{ {sizes}, parallel_streams: 3, compression_level: 1 }}"))?;
    let told = stage.run_policy()?;
    let point = stage.succeeded(&told)?["point_id"].as_str().context("no point")?.to_owned();
    assert!(streams(&told)? > Some(1), "{}", stage.story(&told));
    stage.restore(&point, "small", "small too")?;
    stage.assert_equal("small", "small too")?;
    stage.assert_nothing_left()
}

#[test]
fn the_second_backup_of_unchanged_data_stores_next_to_nothing() -> Result<()> {
    let stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 60)?;
    let stored = |point: &str| -> Result<u64> {
        stage.haulier().json(&["point", "show", point])?["bytes_stored"].as_u64().context("no bytes_stored")
    };
    let (first, second) = (stage.back_up()?, stage.back_up()?);
    let (first, second) = (stored(&first)?, stored(&second)?);
    assert!(second * 20 < first, "{second} bytes stored after {first}");
    let points = stage.haulier().json(&["point", "list"])?;
    assert_eq!(points.as_array().map(Vec::len), Some(2), "{points:#}");
    assert_eq!(points[0]["resource"], SOURCE);

    let check =
        stage.haulier().json(&["point", "check", points[0]["id"].as_str().context("no id")?, "--full", "--wait"])?;
    assert!(!check.is_null());
    let oracle_sees = oracle::picture(&stage.source.sibling("shop"))?.len();
    assert!(oracle_sees > 50, "{oracle_sees}");
    stage.assert_nothing_left()
}
