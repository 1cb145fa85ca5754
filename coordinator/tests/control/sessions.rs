//! Sessions through the service: followed, cancelled, not found.

use std::time::Duration;

use haulier_proto::control::v1 as wire;
use haulier_proto::control::v1::tail_session_response::Event;
use tonic::Code;

use crate::scene::{Scene, policy, refused};

async fn tail(scene: &Scene, id: &str, after: u64) -> Vec<wire::TailSessionResponse> {
    let request = wire::TailSessionRequest { id: id.to_owned(), after_sequence: after };
    let mut stream = scene.client().tail_session(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await.unwrap() {
        events.push(event);
    }
    events
}

fn states(events: &[wire::TailSessionResponse]) -> Vec<wire::SessionState> {
    let state = |event: &wire::TailSessionResponse| match &event.event {
        Some(Event::Session(session)) => Some(session.state()),
        _ => None,
    };
    events.iter().filter_map(state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_a_cancelled_session_to_its_end_and_its_history_afterwards() {
    let scene = Scene::with_repository(&["shop"]).await;
    scene.apply(&policy("p", "{include: all}", "")).await;
    let id = scene.run("p", "").await.session_ids.remove(0);
    let follower = tokio::time::timeout(Duration::from_secs(60), tail(&scene, &id, 0));
    let cancel = async {
        let request = wire::CancelSessionRequest { id: id.clone(), reason: "maintenance window".to_owned() };
        scene.client().cancel_session(request).await.unwrap().into_inner().session.unwrap()
    };
    let (followed, asked) = tokio::join!(follower, cancel);
    let followed = followed.expect("the stream ends with its session");
    assert!(asked.cancel_requested);
    assert_eq!(states(&followed).last(), Some(&wire::SessionState::Cancelled));
    let history = tail(&scene, &id, 0).await;
    let reasons = |event: &&wire::TailSessionResponse| match &event.event {
        Some(Event::Log(line)) => line.text == "asked to stop: maintenance window",
        _ => false,
    };
    assert_eq!(history.iter().filter(reasons).count(), 1, "the reason is in the log: {history:?}");
    assert_eq!(states(&history), [wire::SessionState::Cancelled; 2], "first of all, and last of all");
    let lines: Vec<u64> = history.iter().map(|event| event.sequence).filter(|sequence| *sequence > 0).collect();
    assert!(!lines.is_empty() && lines.is_sorted(), "{lines:?}");
    let rest = tail(&scene, &id, lines[0]).await;
    assert_eq!(rest.iter().filter(|event| event.sequence > 0).count(), lines.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_with_a_failure() {
    let scene = Scene::start(&[]).await;
    let mut client = scene.client();
    for id in ["ses-00000000000000000000000000000000", "nonsense", "pnt-1"] {
        let id = id.to_owned();
        let (code, failure) = refused(client.get_session(wire::GetSessionRequest { id: id.clone() }).await);
        assert_eq!((code, failure.code.as_str()), (Code::NotFound, "session-unknown"), "{id}");
        let tail = client.tail_session(wire::TailSessionRequest { id: id.clone(), after_sequence: 0 }).await;
        assert_eq!(refused(tail).0, Code::NotFound);
        let cancel = client.cancel_session(wire::CancelSessionRequest { id, reason: String::new() }).await;
        assert_eq!(refused(cancel).0, Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_ledger_tell_what_a_session_made() {
    let scene = Scene::with_repository(&["shop"]).await;
    scene.apply(&policy("p", "{include: all}", "")).await;
    let id = scene.run("p", "").await.session_ids.remove(0);
    let mut client = scene.client();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let entries = loop {
        let request = wire::ListLedgerRequest { session_id: id.clone(), open: true };
        let entries = client.list_ledger(request).await.unwrap().into_inner().entries;
        if !entries.is_empty() {
            break entries;
        }
        assert!(tokio::time::Instant::now() < deadline, "the session asked for nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(entries.iter().all(|entry| entry.session_id == id && entry.removed_at.is_none()), "{entries:?}");
    let workers = client.list_workers(wire::ListWorkersRequest { all: true }).await.unwrap().into_inner().workers;
    assert!(workers.iter().all(|worker| worker.session_id == id), "{workers:?}");
}
