//! A truncated and a bit-flipped object of each kind in the repository: whoever reads it says so with cause and remedy, no
//! database is left half-restored, and a backup that runs over it publishes nothing that is not whole.

use std::thread;

use anyhow::{Context, Result, ensure};
use e2e::dataset;
use e2e::haulier::{Answer, Haulier};
use e2e::stage::{POLICY, Stage, TARGET};

use crate::bucket::Bucket;

/// What becomes of a backup that runs over a damaged object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backup {
    /// It cannot be made, and says why.
    Fails,
    /// It needs nothing of that object, or stores anew what it held: the point is whole.
    Whole,
    /// What is stored already is not read again, so nobody can know yet. Every check of the point says it.
    Found,
}

/// Each kind of object, by a part of the key, with what becomes of a backup over one that has a bit flipped, and over one
/// that is truncated. What the coordinator keeps in memory of it is forgotten when it starts again.
const KINDS: [(&str, Backup, Backup); 7] = [
    ("rds/format", Backup::Fails, Backup::Fails),
    ("rds/keys/", Backup::Fails, Backup::Fails),
    ("/key", Backup::Fails, Backup::Fails),
    ("/index/", Backup::Fails, Backup::Fails),
    ("/lists/", Backup::Whole, Backup::Whole),
    ("/points/", Backup::Whole, Backup::Whole),
    // Last, since what a truncated pack held is stored anew: the point is whole again with it.
    ("/packs/", Backup::Found, Backup::Whole),
];

#[test]
fn broken_objects_of_every_kind_are_named_and_restore_nothing() -> Result<()> {
    let mut stage = Stage::set()?;
    stage.source.execute("CREATE DATABASE shop")?;
    dataset::fill(&stage.source.sibling("shop"), 12)?;
    let point = stage.back_up()?;
    let bucket = Bucket::open(stage.cloud.facts(), "backups")?;
    let keys = bucket.keys("")?;
    for (kind, flipped_under, truncated_under) in KINDS {
        let is_one = |key: &&String| key.contains(kind) && (kind != "/key" || key.ends_with(kind));
        let key = keys.iter().find(is_one).with_context(|| format!("no object {kind} in {keys:?}"))?;
        let intact = bucket.get(key)?;
        let damages = [
            ("bit-flipped", flipped(&intact), flipped_under),
            ("truncated", intact[..intact.len() / 2].to_vec(), truncated_under),
        ];
        for (damage, broken, backup) in damages {
            bucket.put(key, broken)?;
            forget(&mut stage, kind)?;
            over_damage(&stage, &point, key, backup).with_context(|| format!("over a {damage} {key}"))?;
        }
        bucket.put(key, intact)?;
        forget(&mut stage, kind)?;
    }
    stage.restore(&point, "shop", "copy")?;
    stage.assert_equal("shop", "copy")?;
    stage.assert_nothing_left()
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// A repository is opened once by each coordinator.
fn forget(stage: &mut Stage, kind: &str) -> Result<()> {
    if !kind.starts_with("rds/") {
        return Ok(());
    }
    stage.coordinator.stop()?;
    stage.coordinator.resume()
}

/// Checks the point, restores it and backs up over it, all at once.
fn over_damage(stage: &Stage, point: &str, key: &str, backup: Backup) -> Result<()> {
    let before = points(stage.haulier())?;
    let ways: [Vec<&str>; 3] = [
        vec!["point", "check", point, "--full"],
        vec![
            "restore",
            "database",
            "--point",
            point,
            "--database",
            "shop=copy",
            "--target-instance",
            TARGET,
            "--secret-arn",
            &stage.secret,
        ],
        vec!["policy", "run", POLICY],
    ];
    let haulier = stage.haulier();
    let answers = thread::scope(|scope| {
        let waiting = ways
            .each_ref()
            .map(|way| scope.spawn(move || haulier.call(&[way.as_slice(), &["--wait", "--output", "json"]].concat())));
        waiting.map(|answer| answer.join().map_err(|_| anyhow::anyhow!("a call panicked"))?)
    });
    let [check, restore, backed_up] = answers;
    named("the check", &check?, key)?;
    named("the restore", &restore?, key)?;
    let known = "('postgres', 'rdsadmin', 'template0', 'template1')";
    let left = stage.target.rows(&format!("SELECT datname FROM pg_database WHERE datname NOT IN {known}"))?;
    ensure!(left.is_empty(), "{left:?} was left of a restore");

    let backed_up = backed_up?;
    let new: Vec<_> = points(stage.haulier())?.into_iter().filter(|point| !before.contains(point)).collect();
    if backup == Backup::Fails {
        named("the backup", &backed_up, key)?;
        ensure!(new.is_empty(), "a backup that failed has published {new:?}");
        return Ok(());
    }
    ensure!(backed_up.code == 0 && new.len() == 1, "{new:?}: {}{}", backed_up.stdout, backed_up.stderr);
    let check = stage.haulier().call(&["point", "check", &new[0], "--full", "--wait", "--output", "json"])?;
    match backup {
        Backup::Found => named("the check of the new point", &check, key),
        _ => {
            ensure!(check.code == 0, "the new point is not whole: {}{}", check.stdout, check.stderr);
            Ok(())
        }
    }
}

fn points(haulier: &Haulier) -> Result<Vec<String>> {
    let points = haulier.json(&["point", "list"])?;
    Ok(points.as_array().into_iter().flatten().filter_map(|point| point["id"].as_str().map(str::to_owned)).collect())
}

/// A failure that says what is wrong with which object, and what to do.
fn named(who: &str, answer: &Answer, key: &str) -> Result<()> {
    let said = format!("{}{}", answer.stdout, answer.stderr);
    ensure!(answer.code != 0, "{who} found nothing wrong: {said}");
    for part in ["repository-damaged", key, "cause", "remedy"] {
        ensure!(said.contains(part), "{who} does not say {part}: {said}");
    }
    Ok(())
}
