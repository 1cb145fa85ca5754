//! Keys: several ways to one master key, one key per domain, clear refusals.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking and may speak")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::{CloudError, ErrorKind, Outcome};
use haulier_domain::id::{DomainId, RepositoryId};
use haulier_domain::secret::{SecretBytes, SecretString};
use haulier_repository::{
    Domain, DomainConfig, Error, KeyInfoKind, KeyWrapper, NewKey, ObjectKind, Removal, Repository, Unlock,
};

use support::{Bucket, Fixture, PREFIX, cheap, passphrase, read, rows};

/// Stands for KMS: wraps by mixing with a key of its own, and knows the repository again.
struct Wrapper {
    name: &'static str,
    mask: u8,
}

#[async_trait]
impl KeyWrapper for Wrapper {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    async fn wrap(&self, repository: &RepositoryId, master: &SecretBytes) -> haulier_cloud::Result<Vec<u8>> {
        let mut wrapped = repository.as_str().as_bytes().to_vec();
        wrapped.extend(master.expose().iter().map(|byte| byte ^ self.mask));
        Ok(wrapped)
    }

    async fn unwrap(&self, repository: &RepositoryId, wrapped: &[u8]) -> haulier_cloud::Result<SecretBytes> {
        match wrapped.strip_prefix(repository.as_str().as_bytes()) {
            Some(master) => Ok(SecretBytes::new(master.iter().map(|byte| byte ^ self.mask).collect::<Vec<_>>())),
            None => Err(CloudError {
                operation: "Decrypt",
                target: self.name.to_owned(),
                kind: ErrorKind::Denied,
                outcome: Outcome::Determinate,
                code: Some("InvalidCiphertextException".to_owned()),
                message: "another encryption context".to_owned(),
                source: None,
            }),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passphrases_and_wrapping_keys_open_the_same_repository() {
    let fixture = Fixture::new().await;
    let (_, stream) = fixture.publish(&fixture.domain().await, "a", &rows(50_000, 1)).await;
    let kms: Arc<dyn KeyWrapper> = Arc::new(Wrapper { name: "arn:kms:one", mask: 0x5A });
    fixture.repository.add_key(&NewKey::Wrapper(kms.clone())).await.unwrap();
    fixture.repository.add_key(&NewKey::Passphrase(SecretString::new("second"), cheap())).await.unwrap();
    let repository = Repository::open(fixture.bucket.clone(), PREFIX).await.unwrap();
    for with in
        [Unlock::Passphrase(passphrase()), Unlock::Passphrase(SecretString::new("second")), Unlock::Wrapper(kms)]
    {
        let unlocked = repository.unlock(&with).await.unwrap();
        assert_eq!(unlocked.domains().await.unwrap(), std::slice::from_ref(&fixture.id));
        let domain = unlocked.domain(&fixture.id, fixture.config()).await.unwrap();
        assert!(read(&domain, &stream).await.unwrap() == rows(50_000, 1));
    }
    let wrong = repository.unlock(&Unlock::Passphrase(SecretString::new("wrong"))).await.unwrap_err();
    assert!(matches!(wrong, Error::NoKeyOpens { tried: 2 }), "{wrong:?}");
    let stranger = Arc::new(Wrapper { name: "arn:kms:two", mask: 1 });
    let unknown = repository.unlock(&Unlock::Wrapper(stranger)).await.unwrap_err();
    assert!(matches!(unknown, Error::NoKeyOpens { tried: 0 }), "{unknown:?}");
    assert!(unknown.to_string().starts_with("the repository has no key of this kind"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_opens_its_domain_with_the_exported_key_alone() {
    let fixture = Fixture::new().await;
    let (_, stream) = fixture.publish(&fixture.domain().await, "a", &rows(50_000, 1)).await;
    let key = fixture.repository.domain_key(&fixture.id, false).await.unwrap();
    let sent = SecretBytes::new(key.expose());
    let key = haulier_repository::DomainKey::from_bytes(sent).unwrap();
    let repository = fixture.repository.repository().id().clone();
    let domain =
        Domain::open(fixture.bucket.clone(), PREFIX, repository.clone(), fixture.id.clone(), &key, fixture.config());
    assert!(read(&domain.unwrap(), &stream).await.unwrap() == rows(50_000, 1));

    // The key of another domain opens nothing here.
    let other = fixture.repository.domain_key(&"dom-two".parse().unwrap(), true).await.unwrap();
    let domain = Domain::open(fixture.bucket.clone(), PREFIX, repository, fixture.id.clone(), &other, fixture.config());
    let error = read(&domain.unwrap(), &stream).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(haulier_repository::DomainKey::from_bytes(SecretBytes::new([0; 31])).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn creators_at_once_agree_on_repository_and_domain_key() {
    let bucket = Arc::new(Bucket::default());
    let key = NewKey::Passphrase(passphrase(), cheap());
    let made = futures::future::join_all((0..8).map(|_| {
        let (bucket, key) = (bucket.clone(), key.clone());
        tokio::spawn(async move { Repository::create(bucket, PREFIX, &key, jiff::Timestamp::UNIX_EPOCH).await })
    }))
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.into_iter().all(|result| matches!(result, Err(Error::RepositoryExists { .. }))));
    assert_eq!(bucket.keys("/keys/").len(), 1, "the losers took their keys back");

    let repository = made.into_iter().next().unwrap().unwrap();
    let domain: DomainId = "dom-new".parse().unwrap();
    assert!(matches!(repository.domain_key(&domain, false).await, Err(Error::NoDomain { .. })));
    let keys = futures::future::join_all((0..8).map(|_| {
        let (repository, domain) = (repository.clone(), domain.clone());
        tokio::spawn(async move { repository.domain_key(&domain, true).await.unwrap().expose().to_vec() })
    }))
    .await;
    let keys: std::collections::HashSet<_> = keys.into_iter().map(Result::unwrap).collect();
    assert_eq!(keys.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_are_listed_by_their_keys_whatever_lies_in_them() {
    let fixture = Fixture::new().await;
    fixture.publish(&fixture.domain().await, "a", &rows(500_000, 1)).await;
    for name in ["dom-one-more", "dom-on", "dom-two"] {
        fixture.repository.domain_key(&name.parse().unwrap(), true).await.unwrap();
    }
    let names: Vec<String> = fixture.repository.domains().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["dom-on", "dom-one-more", "dom-one", "dom-two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_requirements_are_refused_by_name() {
    let fixture = Fixture::new().await;
    let key = format!("{PREFIX}/format");
    let text = String::from_utf8(fixture.bucket.object(&key).to_vec()).unwrap();
    let line = text.lines().next().unwrap();
    let with_digest = |line: String| format!("{line}\nblake3 {}\n", blake3::hash(line.as_bytes()).to_hex());
    for (from, to, needs) in [
        (r#""required_features":[]"#, r#""required_features":["time-travel"]"#, "time-travel"),
        (r#""version":1"#, r#""version":2"#, "format version 2"),
    ] {
        assert!(line.contains(from), "{line}");
        fixture.bucket.replace(&key, with_digest(line.replace(from, to)));
        let error = Repository::open(fixture.bucket.clone(), PREFIX).await.unwrap_err();
        assert!(
            matches!(&error, Error::Unsupported { kind: ObjectKind::Format, needs: found, .. } if found == needs),
            "{error:?}"
        );
        assert!(error.to_string().contains(needs), "{error}");
    }
    // What is optional or unheard of is no obstacle.
    let optional = line.replace(r#""optional_features":[]"#, r#""optional_features":["rainbows"],"more":1"#);
    fixture.bucket.replace(&key, with_digest(optional));
    Repository::open(fixture.bucket.clone(), PREFIX).await.unwrap();
    let none = Repository::open(fixture.bucket.clone(), "elsewhere").await.unwrap_err();
    assert!(matches!(none, Error::NoRepository { .. }), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_object_and_in_no_debug_text() {
    let fixture = Fixture::new().await;
    let marker = b"a very recognisable plain text".repeat(200);
    fixture.publish(&fixture.domain().await, "a", &marker).await;
    let key = fixture.repository.domain_key(&fixture.id, false).await.unwrap();
    for name in fixture.bucket.keys("") {
        let body = fixture.bucket.object(&name);
        for secret in [passphrase().expose().as_bytes(), key.expose(), b"recognisable", b"\"manifest\""] {
            assert!(!body.windows(secret.len()).any(|window| window == secret), "{name}");
        }
    }
    let config = DomainConfig::new("/nowhere");
    let text = format!("{key:?} {:?} {:?} {config:?}", fixture.repository, NewKey::Passphrase(passphrase(), cheap()));
    assert!(!text.contains("horse") && !text.contains(&format!("{:?}", key.expose())), "{text}");
}

fn second() -> NewKey {
    NewKey::Passphrase(SecretString::new("second"), cheap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_and_old_data_stays_readable() {
    let fixture = Fixture::new().await;
    let (_, stream) = fixture.publish(&fixture.domain().await, "a", &rows(50_000, 1)).await;
    let repository = fixture.repository.repository();
    let first = repository.keys().await.unwrap().remove(0);
    assert_eq!(first.kind, KeyInfoKind::Passphrase(cheap()));

    let kms: Arc<dyn KeyWrapper> = Arc::new(Wrapper { name: "arn:kms:one", mask: 0x5A });
    let new = NewKey::Wrapper(kms.clone());
    let id = fixture.repository.add_key(&new).await.unwrap();
    assert_eq!(fixture.repository.remove_key(&first.id, &new.unlock()).await.unwrap(), Removal::Done);
    assert_eq!(fixture.repository.remove_key(&first.id, &new.unlock()).await.unwrap(), Removal::Absent);
    let left = repository.keys().await.unwrap();
    assert_eq!(
        left.iter().map(|key| (&key.id, &key.kind)).collect::<Vec<_>>(),
        [(&id, &KeyInfoKind::Wrapper("arn:kms:one".to_owned()))]
    );

    let reopened = Repository::open(fixture.bucket.clone(), PREFIX).await.unwrap();
    let old = reopened.unlock(&Unlock::Passphrase(passphrase())).await.unwrap_err();
    assert!(matches!(old, Error::NoKeyOpens { tried: 0 }), "{old:?}");
    let unlocked = reopened.unlock(&Unlock::Wrapper(kms)).await.unwrap();
    let domain = unlocked.domain(&fixture.id, fixture.config()).await.unwrap();
    assert!(read(&domain, &stream).await.unwrap() == rows(50_000, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_key_cannot_be_removed() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository.repository();
    let first = repository.keys().await.unwrap().remove(0).id;
    let keep = Unlock::Passphrase(passphrase());
    let refused = |result: Result<Removal, Error>| assert!(matches!(result, Err(Error::LastKey { .. })), "{result:?}");
    refused(fixture.repository.remove_key(&first, &keep).await);
    // Another key helps only if it opens with what is kept, and can be read.
    let other = fixture.repository.add_key(&second()).await.unwrap();
    refused(fixture.repository.remove_key(&first, &keep).await);
    assert!(fixture.bucket.keys("/keys/").len() == 2);
    let key = fixture.bucket.keys(&other).remove(0);
    fixture.bucket.flip(&key, 40);
    refused(fixture.repository.remove_key(&first, &second().unlock()).await);
    assert!(matches!(
        repository.keys().await.unwrap().iter().find(|key| key.id == other).unwrap().kind,
        KeyInfoKind::Unusable(_)
    ));
    // What cannot be read may go.
    assert_eq!(fixture.repository.remove_key(&other, &keep).await.unwrap(), Removal::Done);
    for strange in ["", "../format", "xyz"] {
        assert!(matches!(fixture.repository.remove_key(strange, &keep).await, Err(Error::Invalid(_))), "{strange}");
    }
    fixture.reopen().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_remove_each_others_key_one_stays() {
    for _ in 0..20 {
        let fixture = Fixture::new().await;
        let first = fixture.repository.repository().keys().await.unwrap().remove(0).id;
        let other = fixture.repository.add_key(&second()).await.unwrap();
        let remove = |id: String, keep: Unlock| {
            let repository = fixture.repository.clone();
            tokio::spawn(async move { repository.remove_key(&id, &keep).await })
        };
        let both = [remove(first, second().unlock()), remove(other, Unlock::Passphrase(passphrase()))];
        for done in futures::future::join_all(both).await {
            match done.unwrap() {
                Ok(Removal::Done) | Err(Error::LastKey { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(!fixture.bucket.keys("/keys/").is_empty());
        let repository = Repository::open(fixture.bucket.clone(), PREFIX).await.unwrap();
        let opened = [
            repository.unlock(&Unlock::Passphrase(passphrase())).await.is_ok(),
            repository.unlock(&second().unlock()).await.is_ok(),
        ];
        assert!(opened.contains(&true));
    }
}
