//! What the reader that is not Haulier does not know, or has no key to, it refuses by name.

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use haulier_domain::id::RepositoryId;
use haulier_domain::secret::SecretBytes;
use haulier_repository::{Chunking, Error, KeyWrapper, NewKey, PointRoot};
use serde_json::{Value, json};

use crate::program::{Files, PASSPHRASE, refusal};
use crate::support::{Fixture, rows};
use crate::{assert_restored, publish};

async fn published() -> (Fixture, PointRoot) {
    let fixture = Fixture::new().await;
    let streams = [("rows", Chunking::around(64 << 10), rows(100_000, 1))];
    let root = publish(&fixture.domain().await, "a", &streams, None).await;
    (fixture, root)
}

/// Changes the first line of an object that is not sealed, and makes its digest anew.
fn rewrite(files: &Files, object: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let path = files.object(object);
    let before = fs::read(&path).unwrap();
    let mut document = serde_json::from_slice(before.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    change(&mut document);
    let line = document.to_string();
    fs::write(path, format!("{line}\nblake3 {}\n", blake3::hash(line.as_bytes()))).unwrap();
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_features_that_it_does_not_know_are_refused() {
    let (fixture, mut root) = published().await;
    let files = Files::of(&fixture.bucket);
    let key = files.objects("keys/").remove(0);
    for (object, field, value, saying) in [
        ("format", "version", json!(2), "format: version 2 is unknown"),
        ("format", "required_features", json!(["telepathy"]), "format: requires 'telepathy', which this reader lacks"),
        (&key, "version", json!(2), "version 2 is unknown"),
        (&key, "repository", json!("rep-other"), "of another repository"),
        ("domains/dom-one/key", "version", json!(3), "domains/dom-one/key: version 3 is unknown"),
    ] {
        let before = rewrite(&files, object, |document| document[field] = value);
        let said = files.check_refusal();
        assert!(said.contains(saying), "{said}");
        fs::write(files.object(object), before).unwrap();
    }
    rewrite(&files, "format", |document| document["unheard_of"] = json!(["to be ignored"]));
    files.restore("pnt-a");

    root.point = "pnt-b".parse().unwrap();
    root.required_features = vec!["telepathy".to_owned()];
    let refused = fixture.domain().await.publish_point(&root).await.unwrap_err();
    assert!(matches!(&refused, Error::Unsupported { needs, .. } if needs == "telepathy"), "{refused:?}");
}

/// Opens a point as the document says (§2, §6), and seals it again with another feature that readers must have.
fn requiring(sealed: &[u8], domain_key: &[u8], name: &str, feature: &str) -> Vec<u8> {
    let (header, part) = sealed.split_at(48);
    let point_key = blake3::derive_key("haulier repository v1: point", domain_key);
    let subkey = |salt: &[u8]| {
        let key = blake3::derive_key("haulier repository v1: object subkey", &[&point_key[..], salt].concat());
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
    };
    let bound_to =
        |salt: &[u8]| Aad::from([&b"haulier1"[..], &[4, 7], b"dom-one", salt, &[0; 8], name.as_bytes()].concat());
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let (salt, mut plain) = (&header[16..], part.to_vec());
    let length = subkey(salt).open_in_place(nonce(), bound_to(salt), &mut plain).unwrap().len();
    let mut document: Value = serde_json::from_slice(&plain[..length]).unwrap();
    document["required_features"] = json!([feature]);
    let salt = [7; 32];
    let mut part = serde_json::to_vec(&document).unwrap();
    subkey(&salt).seal_in_place_append_tag(nonce(), bound_to(&salt), &mut part).unwrap();
    [&header[..16], &salt, &part].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_that_requires_what_it_does_not_know_is_refused() {
    let (fixture, root) = published().await;
    let object = fixture.bucket.keys("/points/").remove(0);
    let key = fixture.repository.domain_key(&fixture.id, false).await.unwrap();
    let point = fixture.bucket.object(&object);
    for (feature, is_known) in [("deltas", true), ("telepathy", false)] {
        fixture.bucket.replace(&object, requiring(&point, key.expose(), "pnt-a", feature));
        let (files, read) = (Files::of(&fixture.bucket), fixture.domain().await.read_point(&root.point).await);
        if is_known {
            assert_eq!(read.unwrap().required_features, [feature]);
            files.restore("pnt-a");
            continue;
        }
        assert!(matches!(&read, Err(Error::Unsupported { needs, .. }) if needs == feature), "{read:?}");
        let saying = format!("points/pnt-a: requires '{feature}', which this reader lacks");
        for said in [files.restore_refusal("pnt-a").unwrap(), files.check_refusal()] {
            assert!(said.contains(&saying), "{said}");
        }
    }
}

#[test]
fn its_own_tests_pass() {
    let output = e2e::reader::own_tests().unwrap().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("\nOK\n") && !said.contains("Ran 0 tests"), "{said}");
}

/// A service that hides nothing: what it has wrapped is the master key.
struct Open;

#[async_trait]
impl KeyWrapper for Open {
    fn name(&self) -> String {
        "arn:of-a-key".to_owned()
    }

    async fn wrap(&self, _: &RepositoryId, master: &SecretBytes) -> haulier_cloud::Result<Vec<u8>> {
        Ok(master.expose().to_vec())
    }

    async fn unwrap(&self, _: &RepositoryId, wrapped: &[u8]) -> haulier_cloud::Result<SecretBytes> {
        Ok(SecretBytes::new(wrapped))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_key_opens_and_without_one_every_key_object_is_named() {
    let (fixture, _) = published().await;
    let files = Files::of(&fixture.bucket);
    fs::write(files.path("passphrase"), "wrong horse").unwrap();
    let said = files.check_refusal();
    assert!(said.contains("no key object gives the master key") && said.contains("is the passphrase right?"), "{said}");

    let wrapped = fixture.repository.add_key(&NewKey::Wrapper(Arc::new(Open))).await.unwrap();
    let files = Files::of(&fixture.bucket);
    // Of several objects one that opens is enough, whatever is wrong with the others.
    let passphrase = files.objects("keys/").into_iter().find(|object| !object.ends_with(&wrapped)).unwrap();
    fs::write(files.object("keys/00000000000000000000000000000000"), "spoilt").unwrap();
    let streams = [("rows", &rows(100_000, 1)[..])];
    assert_restored(&files.restore("pnt-a"), &streams);

    fs::remove_file(files.object(&passphrase)).unwrap();
    let said = files.check_refusal();
    assert!(said.contains("wrapped by 'arn:of-a-key'; this reader knows passphrases only"), "{said}");
    let object = fs::read(files.object(&format!("keys/{wrapped}"))).unwrap();
    let document: Value = serde_json::from_slice(object.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let master = document["wrap"]["wrapped"].as_str().unwrap();
    let master = base64::engine::general_purpose::STANDARD.decode(master).unwrap();
    fs::write(files.path("master"), &master).unwrap();
    assert_restored(&files.restore_with(["--master-key-file", "master"], "pnt-a"), &streams);

    let check = ["check", files.repository.to_str().unwrap()];
    fs::write(files.path("master"), [7; 32]).unwrap();
    let said = refusal(&files.run(["--master-key-file", "master"], &check));
    assert!(said.contains("domains/dom-one/key: its seal does not open"), "{said}");
    fs::write(files.path("master"), [7; 31]).unwrap();
    let said = refusal(&files.run(["--master-key-file", "master"], &check));
    assert!(said.contains("31 bytes; a master key has 32"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let (fixture, _) = published().await;
    let files = Files::of(&fixture.bucket);
    let said = files.restore_refusal("pnt-b").unwrap();
    assert!(said.contains("pnt-b is in 0 of the domains dom-one"), "{said}");
    let folder = files.repository.to_str().unwrap();
    let said = refusal(&files.run(PASSPHRASE, &["--domain", "dom-other", "points", folder]));
    assert!(said.contains("there is no dom-other"), "{said}");
    let said = refusal(&files.run(PASSPHRASE, &["points", files.path("").to_str().unwrap()]));
    assert!(said.contains("no repository"), "{said}");
    // Nothing is written over.
    fs::create_dir_all(files.path("pnt-a").join("streams")).unwrap();
    assert!(files.restore_refusal("pnt-a").unwrap().contains("File exists"));
}
