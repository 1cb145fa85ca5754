//! Who is let in, and what they may make.

use haulier_proto::control::v1 as wire;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::scene::{KEY, Scene, refused, repository};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_token_opens_the_service_and_health_needs_none() {
    let scene = Scene::start(&[]).await;
    for token in [None, Some("wrong"), Some("")] {
        let refused = scene.client_with(token).list_policies(wire::ListPoliciesRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{token:?}");
    }
    scene.client().list_policies(wire::ListPoliciesRequest {}).await.unwrap();
    let service = "haulier.control.v1.ControlService".to_owned();
    let health = HealthClient::new(scene.channel.clone()).check(HealthCheckRequest { service }).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let reflection =
        ServerReflectionClient::new(scene.channel.clone()).server_reflection_info(tokio_stream::iter([question])).await;
    assert_eq!(reflection.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_made_once_and_its_name_is_its_own() {
    let scene = Scene::start(&[]).await;
    let mut client = scene.client();
    let made = client.create_repository(repository("main")).await.unwrap().into_inner().repository.unwrap();
    assert_eq!((made.prefix.as_str(), made.points), ("prod", 0));
    let again = client.create_repository(repository("main")).await.unwrap().into_inner().repository.unwrap();
    assert_eq!(made, again);
    let elsewhere = wire::CreateRepositoryRequest { prefix: "other".to_owned(), ..repository("main") };
    let (code, failure) = refused(client.create_repository(elsewhere).await);
    assert_eq!((code, failure.code.as_str()), (Code::AlreadyExists, "repository-name-taken"));
    let listed = client.list_repositories(wire::ListRepositoriesRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.repositories, [made]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_meant_is_refused_with_a_remedy() {
    let scene = Scene::start(&[]).await;
    let key = |arn: &str| Some(wire::create_repository_request::Key::PassphraseSecretArn(arn.to_owned()));
    for (request, cause) in [
        (wire::CreateRepositoryRequest { name: "My Repo".to_owned(), ..repository("x") }, "is not a name"),
        (wire::CreateRepositoryRequest { bucket: "a/b".to_owned(), ..repository("x") }, "is not a bucket"),
        (wire::CreateRepositoryRequest { region: "Frankfurt".to_owned(), ..repository("x") }, "is not a Region"),
        (wire::CreateRepositoryRequest { prefix: "a/../b".to_owned(), ..repository("x") }, "is not a prefix"),
        (wire::CreateRepositoryRequest { key: key(KEY), ..repository("x") }, "not an ARN of its kind"),
        (wire::CreateRepositoryRequest { key: None, ..repository("x") }, "no key is named"),
    ] {
        let (code, failure) = refused(scene.client().create_repository(request).await);
        assert_eq!(code, Code::InvalidArgument);
        assert!(failure.cause.contains(cause) && !failure.remedy.is_empty(), "{failure}");
    }
}
