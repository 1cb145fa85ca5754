//! Proofs lie beside their points, and neither changes the other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use haulier_domain::id::PointId;
use haulier_domain::proof::{DatabaseProof, Proof, VERSION};
use haulier_repository::{Error, StreamKind};

use support::{Fixture, point, rows, write};

fn proof(point: &PointId, session: &str, tables: u64) -> Proof {
    Proof {
        version: VERSION,
        point: point.clone(),
        session: session.parse().unwrap(),
        verified_at: "2026-11-20T10:00:00Z".parse().unwrap(),
        server_version: "15.18".into(),
        databases: vec![DatabaseProof { name: "shop".into(), tables, ..DatabaseProof::default() }],
        exceptions: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_kept_beside_its_point_sealed_and_goes_with_it() {
    let fixture = Fixture::new().await;
    let domain = fixture.domain().await;
    let writer = domain.writer().await.unwrap();
    let manifest = write(&writer, "manifest", StreamKind::Document, &rows(1_000, 1)).await.unwrap();
    let root = point("1", manifest, writer.finish().await.unwrap());
    let id = root.point.clone();
    let first = proof(&id, "ses-1", 3);
    let unpublished = domain.store_proof(&first).await;
    assert!(matches!(unpublished, Err(Error::Missing { .. })), "{unpublished:?}");

    domain.publish_point(&root).await.unwrap();
    for stored in [&first, &first, &proof(&id, "ses-2", 4)] {
        domain.store_proof(stored).await.unwrap();
    }
    let other = domain.store_proof(&proof(&id, "ses-1", 5)).await;
    assert!(matches!(other, Err(Error::Invalid(_))), "{other:?}");
    let other = fixture.domain().await;
    let sessions = other.list_proofs(&id).await.unwrap();
    assert_eq!(sessions, ["ses-1".parse().unwrap(), "ses-2".parse().unwrap()]);
    assert_eq!(other.read_proof(&id, &sessions[0]).await.unwrap(), first);
    assert_eq!(other.read_point(&id).await.unwrap(), root);
    assert!(other.list_proofs(&"pnt-2".parse().unwrap()).await.unwrap().is_empty());

    let keys = fixture.bucket.keys("/proofs/");
    assert_eq!(keys.len(), 2, "{keys:?}");
    // Another session's proof under this session's name is not one.
    fixture.bucket.replace(&keys[0], fixture.bucket.object(&keys[1]));
    let swapped = other.read_proof(&id, &sessions[0]).await;
    assert!(matches!(swapped, Err(Error::Damaged { .. })), "{swapped:?}");

    assert!(other.remove_point(&id).await.unwrap());
    assert!(fixture.bucket.keys("/proofs/").is_empty());
}
