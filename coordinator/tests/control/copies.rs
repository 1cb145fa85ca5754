//! Copies of points through the service: started once, found where they are, refused where they make no sense.

use haulier_coordinator::repositories::copy_id;
use haulier_coordinator::sessions::Request;
use haulier_coordinator::state::{CopyOf, Point};
use haulier_domain::id::{PointId, SessionId};
use haulier_proto::control::v1 as wire;
use tonic::Code;

use crate::points::{POINT, scene};
use crate::scene::{Scene, refused, repository};

const VAULT: &str = "vault";

/// A scene with a point in `main`, and a second repository. Gives what the copy is called.
async fn with_vault() -> (Scene, PointId) {
    let scene = scene().await;
    let vault = wire::CreateRepositoryRequest { prefix: "far".to_owned(), ..repository(VAULT) };
    scene.client().create_repository(vault).await.unwrap();
    let state = scene.sessions().state();
    let (main, vault) = (state.repository("main").await.unwrap(), state.repository(VAULT).await.unwrap());
    let copy = copy_id(&POINT.parse().unwrap(), &main.id, &vault.id);
    (scene, copy)
}

fn request(repository: &str, key: &str) -> wire::CopyPointRequest {
    wire::CopyPointRequest { id: POINT.to_owned(), repository: repository.to_owned(), idempotency_key: key.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_started_once_next_to_its_instance() {
    let (scene, copy) = with_vault().await;
    let started = scene.client().copy_point(request(VAULT, "k")).await.unwrap().into_inner();
    assert_eq!(
        (started.copy_id.as_str(), started.already_copied, started.repeated_call),
        (copy.as_str(), false, false)
    );
    let id: SessionId = started.session_id.parse().unwrap();
    let Request::Replicate(asked) = scene.sessions().get(&id).await.unwrap().request else { panic!("no copy") };
    assert_eq!((asked.near.id.as_str(), asked.repository.as_str(), &asked.copy), ("shop", VAULT, &copy));
    assert_eq!(
        (asked.policy.as_deref(), asked.worker.instance_types.as_slice()),
        (Some("nightly"), &["c7i.xlarge".to_owned()][..])
    );
    let again = scene.client().copy_point(request(VAULT, "k")).await.unwrap().into_inner();
    assert_eq!((&again.session_id, again.repeated_call), (&started.session_id, true));
    assert_eq!(refused(scene.client().copy_point(request("main", "k")).await).1.code, "copy-to-its-own-repository");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused() {
    let (scene, _) = with_vault().await;
    let unknown = wire::CopyPointRequest { id: "pnt-none".to_owned(), ..request(VAULT, "") };
    for (request, code, name) in [
        (unknown, Code::NotFound, "point-unknown"),
        (request("none", ""), Code::NotFound, "repository-unknown"),
        (request("main", ""), Code::FailedPrecondition, "copy-to-its-own-repository"),
    ] {
        let (answered, failure) = refused(scene.client().copy_point(request).await);
        assert_eq!((answered, failure.code.as_str()), (code, name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_there_is_named_and_shown_with_its_origin() {
    let (scene, copy) = with_vault().await;
    let state = scene.sessions().state();
    let original = scene.sessions().point(&POINT.parse().unwrap()).await.unwrap();
    let main = state.repository("main").await.unwrap().id;
    let copied = Point {
        id: copy.clone(),
        repository: VAULT.to_owned(),
        copy_of: Some(CopyOf { point: original.id.clone(), repository: main.clone() }),
        published_at: "2026-11-25T10:00:00Z".parse().unwrap(),
        ..original.clone()
    };
    state.add_point(&copied).await.unwrap();
    let found = scene.client().copy_point(request(VAULT, "k")).await.unwrap().into_inner();
    assert_eq!((found.session_id.as_str(), found.copy_id.as_str(), found.already_copied), ("", copy.as_str(), true));

    let shown = wire::GetPointRequest { id: copy.to_string() };
    let shown = scene.client().get_point(shown).await.unwrap().into_inner().point.unwrap();
    let origin = shown.copy_of.unwrap();
    assert_eq!((origin.point_id.as_str(), origin.repository.as_str()), (POINT, "main"));
    assert_eq!(origin.repository_id, main.as_str());
    let all = scene.client().list_points(wire::ListPointsRequest::default()).await.unwrap().into_inner().points;
    let copies: Vec<bool> = all.iter().map(|point| point.copy_of.is_some()).collect();
    assert_eq!(copies, [true, false]);
    // A copy is published later than what it copies, and is no newer.
    let resources = scene.client().list_resources(wire::ListResourcesRequest {}).await.unwrap().into_inner().resources;
    let shop = resources.iter().find(|resource| resource.id == "shop").unwrap();
    assert_eq!(shop.last_point_id, POINT);
}
