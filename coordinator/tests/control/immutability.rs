//! Immutable repositories through the service: made where the bucket can lock, found by others, keys that stay for a while.

use haulier_cloud::object_lock::RetentionMode;
use haulier_cloud::object_store::ObjectStore;
use haulier_proto::common::v1 as common;
use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::RepositoryOutcome;

use crate::scene::{Scene, refused, repository};

fn immutable(name: &str, bucket: &str, days: u32) -> wire::CreateRepositoryRequest {
    let mode = common::RetentionMode::Compliance.into();
    let immutability = Some(common::Immutability { mode, days });
    wire::CreateRepositoryRequest { bucket: bucket.to_owned(), immutability, ..repository(name) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_repository_is_made_where_the_bucket_can_lock() {
    let scene = Scene::start(&["shop"]).await;
    let create = async |request| scene.client().create_repository(request).await;
    let (_, failure) = refused(create(immutable("main", "backups", 30)).await);
    assert_eq!(failure.code, "bucket-without-object-lock");
    assert!(failure.remedy.contains("Object Lock"), "{failure}");
    for days in [0, 36_501] {
        let (code, failure) = refused(create(immutable("main", "vault", days)).await);
        assert_eq!(code, tonic::Code::InvalidArgument, "{failure}");
    }

    let made = create(immutable("main", "vault", 30)).await.unwrap().into_inner();
    assert_eq!(made.outcome(), RepositoryOutcome::Created);
    let terms = made.repository.unwrap().immutability.unwrap();
    assert_eq!((terms.mode(), terms.days), (common::RetentionMode::Compliance, 30));
    let listed = scene.client().list_repositories(wire::ListRepositoriesRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.repositories[0].immutability, Some(terms));
    for key in scene.world.vault.keys() {
        let retention = scene.world.vault.retention(&key).await.unwrap().unwrap();
        assert_eq!(retention.mode, RetentionMode::Compliance, "{key}");
    }

    // Repeated, it is the same; with other terms it is another one.
    let again = create(immutable("main", "vault", 30)).await.unwrap().into_inner();
    assert_eq!(again.outcome(), RepositoryOutcome::Unchanged);
    assert_eq!(refused(create(immutable("main", "vault", 31)).await).1.code, "repository-name-taken");
    assert_eq!(refused(create(immutable("other", "vault", 31)).await).1.code, "repository-immutability-differs");
    // Who takes it over without a word about it finds it in the repository.
    let plain = wire::CreateRepositoryRequest { bucket: "vault".to_owned(), ..repository("other") };
    let adopted = create(plain).await.unwrap().into_inner();
    assert_eq!(adopted.outcome(), RepositoryOutcome::Adopted);
    assert_eq!(adopted.repository.unwrap().immutability, Some(terms));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_replaced_is_said_to_stay_locked_and_what_is_hidden_comes_back() {
    let scene = Scene::start(&["shop"]).await;
    let mut client = scene.client();
    client.create_repository(immutable("main", "vault", 30)).await.unwrap();
    let rotate = wire::RotateRepositoryKeyRequest { name: "main".to_owned(), ..Default::default() };
    let rotated = client.rotate_repository_key(rotate).await.unwrap().into_inner();
    assert!(rotated.removed.len() == 1 && rotated.locked_until.is_some(), "{rotated:?}");
    let keys = wire::ListRepositoryKeysRequest { name: "main".to_owned() };
    let keys = client.list_repository_keys(keys).await.unwrap().into_inner().keys;
    assert_eq!(keys.iter().map(|key| (&key.id, key.in_use)).collect::<Vec<_>>(), [(&rotated.id, true)]);

    let undelete = |all, dry_run| wire::UndeleteRepositoryRequest { name: "main".to_owned(), all, dry_run };
    let told = client.undelete_repository(undelete(false, true)).await.unwrap().into_inner().objects;
    assert_eq!(told, [], "a key that was removed is no other's work");
    scene.world.vault.delete("prod/format").await.unwrap();
    let told = client.undelete_repository(undelete(false, false)).await.unwrap().into_inner().objects;
    assert_eq!(told.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["prod/format"]);
    assert!(scene.world.vault.head("prod/format").await.unwrap().is_some());
    let told = client.undelete_repository(undelete(true, true)).await.unwrap().into_inner().objects;
    assert!(told.len() == 1 && told[0].key.ends_with(&rotated.removed[0]), "{told:?}");
    let unknown = wire::UndeleteRepositoryRequest { name: "none".to_owned(), all: false, dry_run: true };
    assert_eq!(refused(client.undelete_repository(unknown).await).1.code, "repository-unknown");
}
