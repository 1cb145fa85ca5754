//! Restore tests through the service: asked for with a disk that is large enough, and shown with their point.

use haulier_coordinator::sessions::Request;
use haulier_domain::id::SessionId;
use haulier_domain::proof::{DatabaseProof, Exception, Proof, VERSION};
use haulier_proto::control::v1 as wire;

use crate::points::{POINT, scene};
use crate::scene::refused;

fn proof(session: &str, hour: u32) -> Proof {
    Proof {
        version: VERSION,
        point: POINT.parse().unwrap(),
        session: session.parse().unwrap(),
        verified_at: format!("2026-11-20T{hour:02}:00:00Z").parse().unwrap(),
        server_version: "15.18".into(),
        databases: vec![DatabaseProof { name: "shop".into(), tables: 7, rows: 100, ..DatabaseProof::default() }],
        exceptions: vec![Exception { place: "shop".into(), what: "EXTENSION x".into(), reason: "y".into() }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_point_is_shown_with_its_latest_proof() {
    let scene = scene().await;
    let shown = async || {
        let request = wire::GetPointRequest { id: POINT.to_owned() };
        scene.client().get_point(request).await.unwrap().into_inner().point.unwrap().latest_proof
    };
    assert_eq!(shown().await, None);
    for stored in [proof("ses-2", 9), proof("ses-3", 8), proof("ses-2", 9)] {
        scene.sessions().state().add_proof(&stored).await.unwrap();
    }
    let latest = shown().await.unwrap();
    assert_eq!((latest.session_id.as_str(), latest.server_version.as_str()), ("ses-2", "15.18"));
    assert_eq!(latest.verdict, "verified except 1 entry that was not restored");
    assert_eq!((latest.databases[0].tables, latest.databases[0].rows, latest.exceptions.len()), (7, 100, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_test_gets_a_worker_whose_disk_holds_the_point() {
    let scene = scene().await;
    let request = |key: &str| wire::VerifyPointRequest { id: POINT.to_owned(), idempotency_key: key.to_owned() };
    let answer = scene.client().verify_point(request("once")).await.unwrap().into_inner();
    let id: SessionId = answer.session_id.parse().unwrap();
    let Request::Verify(verify) = scene.sessions().get(&id).await.unwrap().request else { panic!("no restore test") };
    assert!(verify.restore && !verify.full);
    assert_eq!((verify.near.id.as_str(), verify.worker.root_volume_gib), ("shop", Some(20)));
    let again = scene.client().verify_point(request("once")).await.unwrap().into_inner();
    assert_eq!((again.session_id, again.repeated_call), (answer.session_id, true));
    let unknown = wire::VerifyPointRequest { id: "pnt-none".to_owned(), ..Default::default() };
    let refused = refused(scene.client().verify_point(unknown).await);
    assert_eq!(refused.0, tonic::Code::NotFound, "{refused:?}");
}
