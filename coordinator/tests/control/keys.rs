//! Keys of repositories through the service.

use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::add_repository_key_request::Key as Added;
use haulier_proto::control::v1::rotate_repository_key_request::Key as Rotated;
use tonic::Code;

use crate::scene::{KEY, Scene, refused};

const OTHER: &str = "arn:aws:kms:eu-central-1:111122223333:key/2";

async fn keys(scene: &Scene) -> Vec<(String, String, bool)> {
    let request = wire::ListRepositoryKeysRequest { name: "main".to_owned() };
    let keys = scene.client().list_repository_keys(request).await.unwrap().into_inner().keys;
    keys.into_iter().map(|key| (key.kind, key.detail, key.in_use)).collect()
}

fn kms(arn: &str, in_use: bool) -> (String, String, bool) {
    ("kms".to_owned(), arn.to_owned(), in_use)
}

async fn ids(scene: &Scene) -> Vec<String> {
    let request = wire::ListRepositoryKeysRequest { name: "main".to_owned() };
    let keys = scene.client().list_repository_keys(request).await.unwrap().into_inner().keys;
    keys.into_iter().map(|key| key.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_and_removed_but_never_the_one_in_use() {
    let scene = Scene::with_repository(&["shop"]).await;
    assert_eq!(keys(&scene).await, [kms(KEY, true)]);
    let add = |key| wire::AddRepositoryKeyRequest { name: "main".to_owned(), key: Some(key) };
    let passphrase = add(Added::Passphrase("correct horse battery staple".to_owned()));
    let added = scene.client().add_repository_key(passphrase).await.unwrap().into_inner().id;
    let mut known = keys(&scene).await;
    known.sort();
    assert_eq!(known, [kms(KEY, true), ("passphrase".to_owned(), String::new(), false)]);

    for (request, code) in [
        (add(Added::Passphrase("short".to_owned())), Code::InvalidArgument),
        (add(Added::KmsKeyArn("hunter2".to_owned())), Code::InvalidArgument),
        (wire::AddRepositoryKeyRequest { name: "main".to_owned(), key: None }, Code::InvalidArgument),
        (
            wire::AddRepositoryKeyRequest { name: "none".to_owned(), key: Some(Added::KmsKeyArn(KEY.to_owned())) },
            Code::NotFound,
        ),
    ] {
        assert_eq!(refused(scene.client().add_repository_key(request).await).0, code);
    }
    let remove = |id: &str| wire::RemoveRepositoryKeyRequest { name: "main".to_owned(), id: id.to_owned() };
    let used = ids(&scene).await.into_iter().find(|id| *id != added).unwrap();
    let (_, failure) = refused(scene.client().remove_repository_key(remove(&used)).await);
    assert_eq!(failure.code, "repository-key-last");
    scene.client().remove_repository_key(remove(&added)).await.unwrap();
    scene.client().remove_repository_key(remove(&added)).await.unwrap();
    assert_eq!(keys(&scene).await, [kms(KEY, true)]);
}

fn rotate(key: Option<Rotated>) -> wire::RotateRepositoryKeyRequest {
    wire::RotateRepositoryKeyRequest { name: "main".to_owned(), key, open_with_passphrase: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_leaves_the_new_key_alone_in_use() {
    let scene = Scene::with_repository(&["shop"]).await;
    let before = ids(&scene).await;
    // Under the same key: another wrapping.
    let same = rotate(None);
    let rotated = scene.client().rotate_repository_key(same).await.unwrap().into_inner();
    assert_eq!((rotated.removed.clone(), ids(&scene).await), (before, vec![rotated.id]));
    assert_eq!(keys(&scene).await, [kms(KEY, true)]);
    // Under another one.
    let other = Some(Rotated::KmsKeyArn(OTHER.to_owned()));
    let request = rotate(other);
    scene.client().rotate_repository_key(request).await.unwrap();
    assert_eq!(keys(&scene).await, [kms(OTHER, true)]);
    let stored = scene.sessions().state().repository("main").await.unwrap();
    assert_eq!(stored.key_arn, OTHER);
    let wrong = Some(Rotated::PassphraseSecretArn(KEY.to_owned()));
    let request = rotate(wrong);
    assert_eq!(refused(scene.client().rotate_repository_key(request).await).0, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_passphrase_gives_the_coordinator_another_key_where_its_own_is_lost() {
    const PASSPHRASE: &str = "correct horse battery staple";
    let scene = Scene::with_repository(&["shop"]).await;
    let key = Some(Added::Passphrase(PASSPHRASE.to_owned()));
    let add = wire::AddRepositoryKeyRequest { name: "main".to_owned(), key };
    scene.client().add_repository_key(add).await.unwrap();
    // Another coordinator, that does not have it open, after the KMS key was scheduled for deletion.
    let lost = Scene::start_in(scene.world.clone()).await;
    let stored = scene.sessions().state().repository("main").await.unwrap();
    lost.sessions().state().add_repository(&stored).await.unwrap();
    lost.world.keys.lose(KEY);
    let other = || Some(Rotated::KmsKeyArn(OTHER.to_owned()));
    refused(lost.client().rotate_repository_key(rotate(other())).await);
    let with = |passphrase: &str| wire::RotateRepositoryKeyRequest {
        open_with_passphrase: passphrase.to_owned(),
        ..rotate(other())
    };
    let (_, failure) = refused(lost.client().rotate_repository_key(with("wrong horse")).await);
    assert_eq!(failure.code, "repository-locked");
    let rotated = lost.client().rotate_repository_key(with(PASSPHRASE)).await.unwrap().into_inner();
    assert_eq!(rotated.removed.len(), 1, "the wrapping of the lost key went");
    let mut known = keys(&lost).await;
    known.sort();
    assert_eq!(known, [kms(OTHER, true), ("passphrase".to_owned(), String::new(), false)]);
}
