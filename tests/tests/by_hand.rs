//! Without Haulier: what its coordinator and workers have stored comes back with the Python reader and stock programs alone, as
//! `docs/repository-format.md` says.

mod bucket;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bucket::Bucket;
use e2e::psql::Database;
use e2e::stage::{PASSPHRASE, Stage};
use e2e::{process, reader};
use serde_json::Value;

/// Everything under the repository's prefix, as files.
fn download(stage: &Stage, folder: &Path) -> Result<()> {
    let bucket = Bucket::open(stage.cloud.facts(), "backups")?;
    for key in bucket.keys("rds/")? {
        let path = folder.join(key.strip_prefix("rds/").unwrap_or(&key));
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, bucket.get(&key)?)?;
    }
    Ok(())
}

/// A restored point: the lines of its catalogue stand for its files, in order.
struct Restored {
    folder: PathBuf,
    catalogue: Vec<Value>,
    files: Vec<PathBuf>,
}

impl Restored {
    fn open(folder: PathBuf) -> Result<Self> {
        let catalogue = fs::read_to_string(folder.join("catalogue"))?;
        let catalogue = catalogue.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.join("streams"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        Ok(Self { folder, catalogue, files })
    }

    /// The file of a stream that the manifest names by its root.
    fn file(&self, root: &Value) -> Result<&Path> {
        let number = self.catalogue.iter().position(|line| line == root).context("a stream is in the catalogue")?;
        Ok(&self.files[number])
    }

    /// Loads a database as section 19 of the document says.
    fn load(&self, name: &str, into: &Database) -> Result<()> {
        let manifest: Value = serde_json::from_slice(&fs::read(self.folder.join("manifest"))?)?;
        let databases = manifest["databases"].as_array().context("databases")?;
        let database = databases.iter().find(|one| one["name"] == name).context("the database")?;
        let archive = self.file(&database["archive"])?;
        let section = |section: &str| {
            let mut command = into.program("pg_restore");
            command.args(["--exit-on-error", "--no-owner", section, "--dbname"]).arg(into.dsn()).arg(archive);
            process::output(&mut command)
        };
        section("--section=pre-data")?;
        section("--section=data")?;
        let tables = database["tables"].as_array().context("tables")?;
        ensure!(!tables.is_empty(), "no table has streams of its own");
        for table in tables {
            let columns: Vec<&str> =
                table["columns"].as_array().context("columns")?.iter().filter_map(Value::as_str).collect();
            for stream in table["streams"].as_array().context("streams")? {
                let file = self.file(&stream["stream"])?;
                into.execute(&format!(
                    "\\copy {}.{} ({}) FROM '{}'",
                    table["schema"].as_str().context("schema")?,
                    table["name"].as_str().context("name")?,
                    columns.join(", "),
                    file.display()
                ))?;
            }
        }
        section("--section=post-data").map(drop)
    }
}

#[test]
fn a_database_comes_back_with_python_and_pg_restore_alone() -> Result<()> {
    let stage = Stage::set()?;
    stage.apply_policy("transfer: { large_table_bytes: 1048576 }")?;
    stage.source.execute("CREATE DATABASE shop")?;
    let shop = stage.source.sibling("shop");
    shop.execute(
        "CREATE TABLE customers (id bigint PRIMARY KEY, name text);
         INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 500) i;
         CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customers, note text);
         INSERT INTO orders SELECT i, 1 + i % 500, md5(i::text) || E'\\t\\n\\\\' FROM generate_series(1, 60000) i",
    )?;
    stage.back_up()?;
    shop.execute("UPDATE orders SET note = 'another' WHERE id % 100 = 7")?;
    let point = stage.back_up()?;

    let folder = stage.folder().join("by-hand");
    download(&stage, &folder.join("repository"))?;
    fs::write(folder.join("passphrase"), PASSPHRASE)?;
    let read = |arguments: &[&str]| {
        let mut command = reader::command()?;
        command.current_dir(&folder).args(["--passphrase-file", "passphrase"]);
        process::output(command.args(arguments))
    };
    let points = read(&["points", "repository"])?;
    ensure!(points.lines().count() == 2 && points.contains(&point), "{points}");
    read(&["restore", "repository", &point, "restored"])?;
    let checked = read(&["check", "repository"])?;
    ensure!(checked.contains("\t2 points\t"), "{checked}");

    stage.target.execute("CREATE DATABASE back")?;
    let back = Database { author: None, ..stage.target.sibling("back") };
    Restored::open(folder.join("restored"))?.load("shop", &back)?;
    for table in ["customers", "orders"] {
        let all = format!("SELECT count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY id)) FROM {table} t");
        let (was, is) = (shop.value(&all)?, back.value(&all)?);
        ensure!(was == is, "{table}: {was}, and back came {is}");
    }
    Ok(())
}
