//! Backup files of real servers go through the whole product and come back byte for byte: out of a database into the temporary
//! bucket, the repository, the temporary bucket again, and a database. Where nobody names a folder of them, files that the local
//! cloud has made go the same way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::{bin, process};
use serde_json::Value;

use crate::scene::{SOURCE, Scene, TARGET, text};

/// A full backup, and the differential one on it.
type Chain = (PathBuf, PathBuf);

/// Backup files.
struct Samples {
    /// Full backups in a file each.
    alone: Vec<PathBuf>,
    /// Files that go as one set.
    set: Vec<PathBuf>,
    /// Of one database, one after the other.
    chains: [Chain; 2],
}

impl Samples {
    fn of(scene: &Scene) -> Result<Self> {
        match bin::sample_backups() {
            Some(folder) => Self::real(&folder),
            None => Self::made(scene),
        }
    }

    /// Real ones. SQL Server itself would not restore the two of `stripe` as one set: each is the first of another backup in two
    /// files. The way of their bytes is that of a set.
    fn real(folder: &Path) -> Result<Self> {
        let chain = backups(&folder.join("chain"))?;
        let of_kind = |kind: &str| {
            let is_of_kind = |path: &&PathBuf| path.display().to_string().contains(kind);
            chain.iter().filter(is_of_kind).cloned().collect::<Vec<_>>()
        };
        let pairs: Vec<Chain> = of_kind("_FULL_").into_iter().zip(of_kind("_DIFF_")).collect();
        let chains = pairs.try_into().map_err(|pairs| anyhow::anyhow!("not two chains: {pairs:?}"))?;
        Ok(Self { alone: backups(folder)?, set: backups(&folder.join("stripe"))?, chains })
    }

    /// What another server would have written.
    fn made(scene: &Scene) -> Result<Self> {
        let cloud = &scene.stage.cloud;
        let path = |name: &str| scene.stage.folder().join(name);
        let samples = Self {
            alone: vec![path("alone.bak")],
            set: vec![path("set1.bak"), path("set2.bak")],
            chains: [(path("full1.bak"), path("differential1.bak")), (path("full2.bak"), path("differential2.bak"))],
        };
        cloud.make_pages(SOURCE, "model of them", 3, 400)?;
        let write = |differential: bool, files: &[&Path]| {
            cloud.change_pages(SOURCE, "model of them", 9, 1)?;
            cloud.write_backup(SOURCE, "model of them", differential, files)
        };
        write(false, &[&samples.alone[0]])?;
        write(false, &[&samples.set[0], &samples.set[1]])?;
        for (full, differential) in &samples.chains {
            write(false, &[full])?;
            write(true, &[differential])?;
        }
        cloud.drop_database(SOURCE, "model of them")?;
        Ok(samples)
    }
}

/// The backup files of a folder, by name.
fn backups(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = folder.read_dir().with_context(|| format!("listing {}", folder.display()))?;
    let paths: Vec<PathBuf> = listed.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let mut files: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "bak")).collect();
    files.sort();
    ensure!(!files.is_empty(), "{} has no backup files", folder.display());
    Ok(files)
}

/// SHA-256 of each file.
fn hashes<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<String>> {
    let hash = |path: &PathBuf| {
        let printed = process::output(Command::new("sha256sum").arg("--binary").arg(path))?;
        printed.split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
    };
    paths.into_iter().map(hash).collect()
}

/// What a point should hold: a database, and the files of its backup.
type Expected<'a> = (&'a str, Vec<&'a PathBuf>);

/// Exports a point without a coordinator, and compares the files with those that the databases were made of.
fn assert_exported(scene: &Scene, point: &Value, expected: &[Expected<'_>]) -> Result<()> {
    let id = text(point, "id")?;
    let to = scene.stage.folder().join(format!("export-{id}")).display().to_string();
    let (place, passphrase) = (scene.stage.bucket(), scene.stage.passphrase_file()?);
    let place = place.iter().map(String::as_str).chain(["--passphrase-file", &passphrase]);
    let arguments: Vec<&str> = ["point", "export", id, "--to", &to].into_iter().chain(place).collect();
    let exported = scene.stage.offline().json(&arguments)?;
    let databases = exported["databases"].as_array().context("no databases")?;
    ensure!(databases.len() == expected.len(), "{exported:#}");
    for (name, files) in expected {
        let database = databases.iter().find(|database| database["name"] == *name);
        let database = database.with_context(|| format!("{name} was not exported: {exported:#}"))?;
        let written: Vec<PathBuf> = serde_json::from_value(database["files"].clone()).context("no files")?;
        assert_eq!(hashes(&written)?, hashes(files.iter().copied())?, "{name}: {exported:#}");
    }
    Ok(())
}

/// Wants a restored database to stand on these files.
fn assert_restored(scene: &Scene, name: &str, files: &[&PathBuf]) -> Result<()> {
    assert_eq!(scene.stage.cloud.files_under(TARGET, name)?, hashes(files.iter().copied())?, "{name}");
    Ok(())
}

fn load(scene: &Scene, name: &str, full: &[PathBuf], differential: Option<&PathBuf>) -> Result<()> {
    let full: Vec<&Path> = full.iter().map(PathBuf::as_path).collect();
    let differential: Vec<&Path> = differential.into_iter().map(PathBuf::as_path).collect();
    scene.stage.cloud.load_backup(SOURCE, name, &full, &differential)
}

/// Names as a policy lists them.
fn policy(names: &[&str], more: &str) -> String {
    format!("databases: [{}]\nsqlserver: {{ {more} }}", names.join(", "))
}

const CHAINS: [&str; 2] = ["chain-1", "chain-2"];
const DAILY: &str = "full_every_days: 7";

#[test]
fn every_backup_file_comes_back_byte_for_byte() -> Result<()> {
    let scene = Scene::set()?;
    let samples = Samples::of(&scene)?;
    let alone: Vec<String> = (1..=samples.alone.len()).map(|number| format!("alone-{number}")).collect();
    for (name, file) in alone.iter().zip(&samples.alone) {
        load(&scene, name, std::slice::from_ref(file), None)?;
    }
    for (name, (full, differential)) in CHAINS.iter().zip(&samples.chains) {
        load(&scene, name, std::slice::from_ref(full), Some(differential))?;
    }
    load(&scene, "set", &samples.set, None)?;

    // Everything in full, and the chains on top of that.
    let all: Vec<&str> = alone.iter().map(String::as_str).chain(CHAINS).collect();
    let full = scene.back_up(&policy(&all, DAILY))?;
    let mut expected: Vec<Expected<'_>> = Vec::new();
    expected.extend(alone.iter().zip(&samples.alone).map(|(name, file)| (name.as_str(), vec![file])));
    expected.extend(CHAINS.iter().zip(&samples.chains).map(|(name, (full, _))| (*name, vec![full])));
    assert_exported(&scene, &full, &expected)?;
    let differential = scene.back_up(&policy(&CHAINS, DAILY))?;
    ensure!(differential["full_point_id"] == full["id"], "{differential:#}");
    let over: Vec<Expected<'_>> =
        CHAINS.iter().zip(&samples.chains).map(|(name, (_, differential))| (*name, vec![differential])).collect();
    assert_exported(&scene, &differential, &over)?;

    let names: Vec<(&str, &str)> = alone.iter().map(|name| (name.as_str(), name.as_str())).collect();
    scene.restore(&full, &names)?;
    for (name, file) in alone.iter().zip(&samples.alone) {
        assert_restored(&scene, name, &[file])?;
    }
    let tasks = scene.tasks()?;
    scene.restore(&differential, &CHAINS.map(|name| (name, name)))?;
    for (name, (full, differential)) in CHAINS.iter().zip(&samples.chains) {
        assert_restored(&scene, name, &[full, differential])?;
    }
    let steps = ["RESTORE_DB_NORECOVERY", "RESTORE_DB_DIFFERENTIAL_NORECOVERY", "FINISH_RESTORE"];
    let in_order = CHAINS.map(|name| steps.map(|kind| format!("{kind} {name}: SUCCESS"))).concat();
    assert_eq!(scene.since(&tasks)?, in_order);

    broken_chain(&scene, &samples, &full)?;
    set_of_files(&scene, &samples)?;
    scene.assert_nothing_left()
}

/// A backup in several files stays one.
fn set_of_files(scene: &Scene, samples: &Samples) -> Result<()> {
    let point = scene.back_up(&policy(&["set"], &format!("files: {}", samples.set.len())))?;
    let files: Vec<&PathBuf> = samples.set.iter().collect();
    assert_exported(scene, &point, &[("set", files.clone())])?;
    scene.restore(&point, &[("set", "set")])?;
    assert_restored(scene, "set", &files)
}

/// Somebody puts another full backup under a database, which the server's history does not tell. RDS's differential backup shows
/// it: a full one is taken in its place, and what is restored is right.
fn broken_chain(scene: &Scene, samples: &Samples, full: &Value) -> Result<()> {
    let [broken, whole] = CHAINS;
    let [_, (other, on_other)] = &samples.chains;
    scene.stage.cloud.drop_database(SOURCE, broken)?;
    load(scene, broken, std::slice::from_ref(other), Some(on_other))?;
    let tasks = scene.tasks()?;
    let session = scene.stage.succeeded(&scene.start_backup(&policy(&CHAINS, DAILY))?)?;
    let warned = session["warnings"].to_string();
    ensure!(warned.contains(broken) && warned.contains("backed up in full"), "nobody is warned: {session:#}");
    let point = scene.point_of(&session)?;
    ensure!(point["full_point_id"] == full["id"], "{point:#}");
    let mut asked = scene.since(&tasks)?;
    asked.sort();
    let expected = [
        format!("BACKUP_DB {broken}: SUCCESS"),
        format!("BACKUP_DB_DIFFERENTIAL {broken}: SUCCESS"),
        format!("BACKUP_DB_DIFFERENTIAL {whole}: SUCCESS"),
    ];
    assert_eq!(asked, expected);
    assert_exported(scene, &point, &[(broken, vec![other]), (whole, vec![on_other])])?;
    scene.restore(&point, &[(broken, "mended"), (whole, "whole")])?;
    assert_restored(scene, "mended", &[other])?;
    assert_restored(scene, "whole", &[other, on_other])
}
