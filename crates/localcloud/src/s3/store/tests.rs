//! The storage without any protocol: who wins, what survives, what is left on disk.

use std::io::Write;
use std::sync::Barrier;
use std::thread;

use jiff::Timestamp;

use super::*;
use crate::s3::checksum::Coverage;

fn settings() -> Settings {
    Settings {
        region: "eu-central-1".into(),
        created: Timestamp::now(),
        policy: None,
        public_access_block: None,
        lifecycle: None,
        ownership: None,
        encryption: DefaultEncryption::default(),
        tags: Tags::new(),
        versioning: Versioning::Never,
        object_lock: None,
    }
}

fn open(folder: &Path) -> (Store, Arc<Bucket>) {
    let store = Store::open(folder).unwrap();
    if store.bucket("b").is_err() {
        store.create_bucket("b", settings()).unwrap();
    }
    let bucket = store.bucket("b").unwrap();
    (store, bucket)
}

fn stage(bucket: &Bucket, bytes: &[u8]) -> (StagedFile, u64) {
    let (staged, mut file) = StagedFile::create(bucket.data_folder()).unwrap();
    file.write_all(bytes).unwrap();
    (staged, bytes.len() as u64)
}

fn record(key: &str, size: usize) -> Record {
    Record {
        key: key.into(),
        etag: fresh_etag(),
        size: size as u64,
        modified: Timestamp::now(),
        parts: None,
        checksum: None,
        attributes: Attributes::default(),
        tags: Tags::new(),
        version: Version::default(),
        lock: Lock::default(),
        segments: Vec::new(),
    }
}

fn put(bucket: &Bucket, key: &str, bytes: &[u8], condition: &Condition) -> Result<Arc<Record>> {
    bucket.put(record(key, bytes.len()), vec![stage(bucket, bytes)], condition)
}

fn content(object: &Object) -> Vec<u8> {
    object.blob.files().flat_map(|(path, _)| std::fs::read(path).unwrap()).collect()
}

fn data_files(bucket: &Bucket) -> usize {
    std::fs::read_dir(bucket.data_folder()).unwrap().count()
}

#[test]
fn of_many_conditional_writers_exactly_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, bucket) = open(folder.path());
    for round in 0..20 {
        let key = format!("k{round}");
        let first = put(&bucket, &format!("m{round}"), b"first", &Condition::None).unwrap();
        let barrier = Barrier::new(32);
        let results: Vec<(bool, bool)> = thread::scope(|scope| {
            let writers: Vec<_> = (0..32_u8)
                .map(|writer| {
                    let (barrier, bucket, key, first) = (&barrier, &bucket, &key, &first);
                    scope.spawn(move || {
                        barrier.wait();
                        let created = put(bucket, key, &[writer], &Condition::Absent).is_ok();
                        let condition = Condition::Present(Matches::ETag(first.etag.clone()));
                        let replaced = put(bucket, &format!("m{round}"), &[writer], &condition).is_ok();
                        (created, replaced)
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        for (what, winners) in [
            ("created", results.iter().positions_of(|result| result.0)),
            ("replaced", results.iter().positions_of(|result| result.1)),
        ] {
            assert_eq!(winners.len(), 1, "round {round}: {winners:?} {what} it");
            let key = if what == "created" { key.clone() } else { format!("m{round}") };
            assert_eq!(content(&bucket.get(&key, None).unwrap()), [u8::try_from(winners[0]).unwrap()]);
        }
    }
    assert_eq!(data_files(&bucket), 40, "losers leave nothing");
}

trait Positions<T> {
    fn positions_of(self, wanted: impl Fn(&T) -> bool) -> Vec<usize>;
}

impl<'a, T: 'a, I: Iterator<Item = &'a T>> Positions<T> for I {
    fn positions_of(self, wanted: impl Fn(&T) -> bool) -> Vec<usize> {
        self.enumerate().filter(|(_, item)| wanted(item)).map(|(position, _)| position).collect()
    }
}

#[test]
fn a_reader_keeps_the_bytes_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, bucket) = open(folder.path());
    put(&bucket, "k", b"old", &Condition::None).unwrap();
    let reader = bucket.get("k", None).unwrap();
    put(&bucket, "k", b"new", &Condition::None).unwrap();
    assert_eq!(content(&reader), b"old");
    assert_eq!(data_files(&bucket), 2);
    drop(reader);
    assert_eq!(data_files(&bucket), 1);
    assert_eq!(content(&bucket.get("k", None).unwrap()), b"new");
    bucket.delete("k", &Deletion::default(), Timestamp::now()).unwrap();
    assert_eq!(data_files(&bucket), 0);
}

#[test]
fn a_restart_finds_the_same_and_sweeps_what_was_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let upload = UploadRecord {
        id: "u1".into(),
        key: "big".into(),
        initiated: Timestamp::now(),
        attributes: Attributes::default(),
        tags: Tags::from([("a".into(), "b".into())]),
        algorithm: None,
        coverage: Coverage::FullObject,
        lock: Lock::default(),
    };
    {
        let (_store, bucket) = open(folder.path());
        put(&bucket, "keys/é", b"kept", &Condition::None).unwrap();
        bucket.tag("keys/é", None, Tags::from([("t".into(), "1".into())])).unwrap();
        bucket.begin_upload(upload.clone()).unwrap();
        put_part(&bucket, 1, b"part one");
        let policy = |settings: &mut Settings| {
            settings.policy = Some("{}".into());
            Ok(())
        };
        bucket.change_settings(policy).unwrap();
        std::mem::forget(stage(&bucket, b"torn by a kill"));
    }
    let (_store, bucket) = open(folder.path());
    let object = bucket.get("keys/é", None).unwrap();
    assert_eq!(content(&object), b"kept");
    assert_eq!(object.record.tags, Tags::from([("t".into(), "1".into())]));
    assert_eq!(bucket.settings().policy.as_deref(), Some("{}"));
    assert_eq!(data_files(&bucket), 2, "the object and the part");
    let found = bucket.upload("u1", "big").unwrap();
    assert_eq!(found.parts().len(), 1);
    let etag = found.parts()[0].etag.clone();
    let completion =
        Completion { parts: vec![ChosenPart { number: 1, etag, checksums: BTreeMap::new() }], ..Completion::default() };
    bucket.complete_upload(&found, &completion).unwrap();

    let (_store, bucket) = open(folder.path());
    let object = bucket.get("big", None).unwrap();
    assert_eq!(content(&object), b"part one");
    assert_eq!(object.record.tags, upload.tags);
    assert!(matches!(bucket.upload("u1", "big"), Err(Error::NoSuchUpload(_))));
}

fn put_part(bucket: &Bucket, number: i32, bytes: &[u8]) -> String {
    let upload = bucket.upload("u1", "big").unwrap();
    let (file, length) = stage(bucket, bytes);
    let mut hashers = crate::s3::checksum::Hashers::new([upload.record().effective_algorithm()], false);
    hashers.update(bytes);
    let etag = fresh_etag();
    let part = Part {
        number,
        etag: etag.clone(),
        modified: Timestamp::now(),
        segment: Segment { file: String::new(), length },
        checksums: hashers.finish().checksums,
    };
    bucket.put_part(&upload, part, file).unwrap();
    etag
}

#[test]
fn an_upload_completed_just_before_the_end_is_not_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, bucket) = open(folder.path());
    let upload = UploadRecord {
        id: "u1".into(),
        key: "big".into(),
        initiated: Timestamp::now(),
        attributes: Attributes::default(),
        tags: Tags::new(),
        algorithm: None,
        coverage: Coverage::FullObject,
        lock: Lock::default(),
    };
    bucket.begin_upload(upload).unwrap();
    let etag = put_part(&bucket, 1, b"bytes");
    let uploads = folder.path().join("buckets/b/uploads/u1");
    let aside = folder.path().join("aside");
    copy_tree(&uploads, &aside);
    let completion =
        Completion { parts: vec![ChosenPart { number: 1, etag, checksums: BTreeMap::new() }], ..Completion::default() };
    bucket.complete_upload(&bucket.upload("u1", "big").unwrap(), &completion).unwrap();
    copy_tree(&aside, &uploads);
    std::fs::remove_dir_all(&aside).unwrap();

    let (_store, bucket) = open(folder.path());
    assert!(matches!(bucket.upload("u1", "big"), Err(Error::NoSuchUpload(_))));
    assert_eq!(content(&bucket.get("big", None).unwrap()), b"bytes");
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_bucket_goes_only_when_it_is_empty_and_takes_no_write_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bucket) = open(folder.path());
    put(&bucket, "k", b"x", &Condition::None).unwrap();
    assert!(matches!(store.delete_bucket("b"), Err(Error::BucketNotEmpty(_))));
    bucket.delete("k", &Deletion::default(), Timestamp::now()).unwrap();
    let staged = stage(&bucket, b"late");
    store.delete_bucket("b").unwrap();
    assert!(matches!(bucket.put(record("k", 4), vec![staged], &Condition::None), Err(Error::NoSuchBucket(_))));
    assert!(matches!(store.bucket("b"), Err(Error::NoSuchBucket(_))));
    assert!(Store::open(folder.path()).unwrap().buckets().is_empty());
}
