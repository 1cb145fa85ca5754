//! The credentials of every kind of worker, tried against S3 for all that they must not do.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::config::Credentials;
use e2e::dataset;
use e2e::stage::{SOURCE, Stage, TARGET};
use serde_json::Value;

use crate::bucket::Bucket;
use crate::documented::documented;

const DENIED: &str = "AccessDenied";
const TAKEN: &str = "PreconditionFailed";

/// What was tried, how S3 must refuse it, and what came of it.
type Attempt = (&'static str, &'static str, Result<()>);

/// The bucket as the worker of a session sees it, with the very credentials that were made for it.
fn as_worker_of(stage: &Stage, session: &str) -> Result<Bucket> {
    let workers = stage.haulier().json(&["worker", "list", "--all"])?;
    let workers = workers.as_array().cloned().unwrap_or_default();
    let worker = workers.iter().find(|worker| worker["session_id"] == session).context("the session had no worker")?;
    let name = format!("role/haulier-session/{}", worker["id"].as_str().context("a worker has an id")?);
    let issued = stage.cloud.control("GET", "/credentials", None)?;
    let issued = issued.as_array().cloned().unwrap_or_default();
    let its_own = |it: &&Value| it["principal"].as_str().is_some_and(|principal| principal.ends_with(&name));
    let its_own = issued.iter().rfind(its_own).with_context(|| format!("no credentials of {name}"))?;
    let text = |name: &str| its_own[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let credentials = Credentials::new(
        text("access_key_id")?,
        text("secret_access_key")?,
        Some(text("session_token")?),
        None,
        "test",
    );
    Bucket::open_with(stage.cloud.facts(), "backups", credentials)
}

/// The objects of one domain that attempts are made on.
struct Domain {
    root: String,
    pack: String,
    index: String,
    point: String,
}

impl Domain {
    /// The domain that a point lies in.
    fn of(keys: &[String], point: &str) -> Result<Self> {
        let point = keys.iter().find(|key| key.ends_with(&format!("/points/{point}"))).context("the point's object")?;
        let root = point.split("/points/").next().context("a domain")?.to_owned();
        let in_it = |folder: &str| {
            let folder = format!("{root}/{folder}/");
            keys.iter().find(|key| key.starts_with(&folder)).cloned().with_context(|| format!("nothing in {folder}"))
        };
        Ok(Self { pack: in_it("packs")?, index: in_it("index")?, point: point.clone(), root })
    }

    fn at(&self, place: &str) -> String {
        format!("{}/{place}", self.root)
    }
}

fn intruder() -> Vec<u8> {
    b"intruder".to_vec()
}

/// What no worker may do, whatever it was assigned.
fn forbidden_to_all(worker: &Bucket, own: &Domain, other: &Domain, key: &str) -> Vec<Attempt> {
    let forged = own.at("points/pnt-forged");
    vec![
        ("read another domain", DENIED, worker.get(&other.pack).map(drop)),
        ("read another domain's point", DENIED, worker.get(&other.point).map(drop)),
        ("read another domain's key", DENIED, worker.get(&other.at("key")).map(drop)),
        ("list another domain", DENIED, worker.keys(&other.at("")).map(drop)),
        ("list all domains", DENIED, worker.keys("rds/domains/").map(drop)),
        ("list the whole bucket", DENIED, worker.keys("").map(drop)),
        ("read the repository's format", DENIED, worker.get("rds/format").map(drop)),
        ("read the repository's key", DENIED, worker.get(key).map(drop)),
        ("write to another domain", DENIED, worker.put_new(&other.at("packs/00/forged"), intruder())),
        ("copy out of another domain", DENIED, worker.copy_new(&other.pack, &own.at("packs/00/stolen"))),
        ("copy into another domain", DENIED, worker.copy_new(&own.pack, &other.at("packs/00/forged"))),
        ("delete in another domain", DENIED, worker.delete(&other.pack)),
        ("delete in another domain by a list", DENIED, worker.delete_together(&[&other.pack, &other.index])),
        ("publish a point", DENIED, worker.put_new(&forged, intruder())),
        ("publish a point by a copy", DENIED, worker.copy_new(&own.point, &forged)),
        ("publish a point in parts", DENIED, worker.begin_upload(&forged).map(drop)),
        ("overwrite a point", DENIED, worker.put(&own.point, intruder())),
        ("delete a point", DENIED, worker.delete(&own.point)),
        ("delete a point by a list", DENIED, worker.delete_together(&[&own.point])),
        ("forge a proof", DENIED, worker.put_new(&own.at("proofs/pnt-forged/ses-forged"), intruder())),
        ("replace the domain's key", DENIED, worker.put(&own.at("key"), intruder())),
        ("overwrite a pack", DENIED, worker.put(&own.pack, intruder())),
        ("overwrite a pack by a copy", DENIED, worker.copy(&own.index, &own.pack)),
        ("overwrite an index object", DENIED, worker.put(&own.index, intruder())),
        ("begin an upload in parts over a pack", DENIED, worker.begin_upload(&own.pack).map(drop)),
    ]
}

/// Completes an upload over a pack that somebody else began, without a condition.
fn completed_over_a_pack(administrator: &Bucket, worker: &Bucket, pack: &str) -> Result<Attempt> {
    let upload = administrator.begin_upload(pack)?;
    let part = administrator.upload_part(pack, &upload, intruder())?;
    Ok(("complete an upload over a pack", DENIED, worker.complete_upload(pack, &upload, part)))
}

fn refused(who: &str, attempts: Vec<Attempt>) -> Result<()> {
    for (what, wanted, outcome) in attempts {
        let error = outcome.err().with_context(|| format!("the credentials of a {who} allowed: {what}"))?;
        let said = format!("{error:#}");
        ensure!(said.contains(wanted), "{who}: {what}: expected {wanted}: {said}");
    }
    Ok(())
}

fn contents(bucket: &Bucket) -> Result<BTreeMap<String, Vec<u8>>> {
    bucket.keys("")?.into_iter().map(|key| bucket.get(&key).map(|content| (key, content))).collect()
}

#[test]
fn a_workers_credentials_do_nothing_but_its_work() -> Result<()> {
    let stage = Stage::set()?;
    // What their role may do for all sessions together, deletions of prunes included.
    stage.cloud.put_role_policy("haulier-session", "work", &documented(&stage, "session")?)?;
    for server in [&stage.source, &stage.target] {
        server.execute("CREATE DATABASE shop")?;
        dataset::fill(&server.sibling("shop"), 6)?;
    }
    stage.apply_policy(&format!("resources: {{ include: [{{ ids: [{SOURCE}, {TARGET}] }}] }}"))?;
    let started = stage.haulier().json(&["policy", "run", "nightly"])?;
    let mut points = BTreeMap::new();
    for session in started["session_ids"].as_array().cloned().unwrap_or_default() {
        let session = stage.succeeded(session.as_str().context("a session's id")?)?;
        let text = |name: &str| session[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        points.insert(text("resource")?, (text("id")?, text("point_id")?));
    }
    let (backup, point) = points.get(SOURCE).context("no backup of the source")?;
    let (_, other_point) = points.get(TARGET).context("no backup of the target")?;

    let administrator = Bucket::open(stage.cloud.facts(), "backups")?;
    let keys = administrator.keys("")?;
    let (own, other) = (Domain::of(&keys, point)?, Domain::of(&keys, other_point)?);
    ensure!(own.root != other.root, "both instances share {}", own.root);
    let key = keys.iter().find(|key| key.starts_with("rds/keys/")).context("the repository's key")?;

    let restore = stage.start_restore(point, "shop", "copy", &[])?;
    let check = stage.haulier().json(&["point", "check", point])?;
    let check = check["session_id"].as_str().context("the check has no session")?.to_owned();
    for session in [&restore, &check] {
        stage.succeeded(session)?;
    }
    // One prune for each domain; the one of this domain is the one that may read it.
    let prunes = stage.haulier().json(&["repository", "prune", "main", "--wait"])?;
    let prunes = prunes["sessions"].as_array().cloned().unwrap_or_default();
    let prunes = prunes.iter().filter_map(|session| session["id"].as_str());
    let mut prunes = prunes.map(|session| as_worker_of(&stage, session)).collect::<Result<Vec<_>>>()?;
    prunes.retain(|worker| worker.get(&own.pack).is_ok());
    ensure!(prunes.len() == 1, "{} prunes may read {}", prunes.len(), own.root);

    let before = contents(&administrator)?;
    ensure!(before.contains_key(&own.pack) && before.contains_key(&other.pack), "the packs are there to be read");
    let backup = as_worker_of(&stage, backup)?;
    let mut kinds = vec![("backup", backup)];
    for (who, session) in [("restore", &restore), ("check", &check)] {
        kinds.push((who, as_worker_of(&stage, session)?));
    }
    kinds.extend(prunes.pop().map(|prune| ("prune", prune)));

    for (who, worker) in &kinds {
        // What it may do, so that the refusals are not those of credentials that open nothing.
        worker.get(&own.pack).with_context(|| format!("a {who} reads its own domain"))?;
        worker.keys(&own.at("packs/")).with_context(|| format!("a {who} lists its own domain"))?;
        refused(who, forbidden_to_all(worker, &own, &other, key))?;
        refused(who, vec![completed_over_a_pack(&administrator, worker, &own.pack)?])?;
        let fresh = ["packs/00/fresh", "index/fresh", "lists/fresh"].map(|place| own.at(place));
        match *who {
            "backup" => {
                for place in &fresh {
                    worker.put_new(place, intruder()).with_context(|| format!("a backup adds {place}"))?;
                }
                let taken = ("overwrite by a conditional write", TAKEN, worker.put_new(&own.pack, intruder()));
                refused(who, vec![taken, ("delete a pack", DENIED, worker.delete(&own.pack))])?;
                refused(who, vec![("delete by a list", DENIED, worker.delete_together(&[&own.pack, &fresh[0]]))])?;
                fresh.iter().try_for_each(|place| administrator.delete(place))?;
            }
            "prune" => {
                for place in &fresh[..2] {
                    worker.put_new(place, intruder()).with_context(|| format!("a prune adds {place}"))?;
                    worker.delete(place).with_context(|| format!("a prune deletes {place}"))?;
                }
                let list = ("add a list page", DENIED, worker.put_new(&fresh[2], intruder()));
                let taken = ("overwrite by a conditional write", TAKEN, worker.put_new(&own.pack, intruder()));
                let key = ("delete the domain's key", DENIED, worker.delete(&own.at("key")));
                refused(who, vec![list, taken, key])?;
            }
            _ => {
                let added = fresh.iter().map(|place| ("add data", DENIED, worker.put_new(place, intruder()))).collect();
                refused(who, added)?;
                refused(who, vec![("delete a pack", DENIED, worker.delete(&own.pack))])?;
                refused(who, vec![("delete by a list", DENIED, worker.delete_together(&[&own.pack, &own.index]))])?;
            }
        }
    }
    ensure!(contents(&administrator)? == before, "what was refused has changed the repository");
    stage.assert_nothing_left()
}
