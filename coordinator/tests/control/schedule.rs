//! Policies run by the clock, with a clock that the test moves.

use haulier_coordinator::policies::scheduler::look;
use haulier_coordinator::state::SessionFilter;
use haulier_domain::id::SessionId;
use jiff::{Timestamp, ToSpan as _};

use crate::scene::{OTHER, OWN, REGION, Scene, policy};

const DAILY: &str = "schedule: {cron: 0 3 * * *}\n";

async fn sessions(scene: &Scene) -> Vec<SessionId> {
    let listed = scene.sessions().list(&SessionFilter::default()).await.unwrap();
    listed.into_iter().map(|session| session.id).collect()
}

async fn next_run(scene: &Scene, name: &str) -> Timestamp {
    scene.sessions().state().policy(name).await.unwrap().next_run.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_comes_when_it_is_due_and_once() {
    let scene = Scene::with_repository(&["shop", "crm"]).await;
    scene.apply(&policy("daily", "{include: all}", DAILY)).await;
    scene.apply(&policy("by-hand", "{include: all}", "priority: 1\n")).await;
    let due = next_run(&scene, "daily").await;
    look(&scene.policies, due - 1.second()).await.unwrap();
    assert_eq!(sessions(&scene).await, []);
    look(&scene.policies, due).await.unwrap();
    let started = sessions(&scene).await;
    assert_eq!(started.len(), 2);
    assert_eq!(next_run(&scene, "daily").await, due + 24.hours());
    look(&scene.policies, due + 1.hour()).await.unwrap();
    assert_eq!(sessions(&scene).await, started);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_missed_while_the_coordinator_was_down_are_made_up_for_once() {
    let scene = Scene::with_repository(&["shop"]).await;
    scene.apply(&policy("daily", "{include: all}", DAILY)).await;
    let due = next_run(&scene, "daily").await;
    let back = due + (10 * 24 + 1).hours();
    look(&scene.policies, back).await.unwrap();
    look(&scene.policies, back).await.unwrap();
    assert_eq!(sessions(&scene).await.len(), 1);
    assert_eq!(next_run(&scene, "daily").await, due + (11 * 24).hours());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_tried_again_for_what_could_not_be_looked_into() {
    let scene = Scene::with_repository(&["shop"]).await;
    let more = format!("{DAILY}accounts:\n  - id: \"{OWN}\"\n  - role_arn: arn:aws:iam::{OTHER}:role/h\n");
    scene.apply(&policy("both", "{include: all}", &more)).await;
    let due = next_run(&scene, "both").await;
    look(&scene.policies, due).await.unwrap();
    let first = sessions(&scene).await;
    assert_eq!(first.len(), 1);
    scene.world.add(OTHER, REGION, &["crm"]);
    look(&scene.policies, due + 10.seconds()).await.unwrap();
    let second = sessions(&scene).await;
    assert_eq!(second.len(), 2);
    assert!(second.contains(&first[0]));
    assert_eq!(scene.sessions().state().due_runs().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_out_of_reach_is_given_up_after_an_hour() {
    let scene = Scene::with_repository(&["shop"]).await;
    let more = format!("{DAILY}accounts:\n  - id: \"{OWN}\"\n  - role_arn: arn:aws:iam::{OTHER}:role/h\n");
    scene.apply(&policy("both", "{include: all}", &more)).await;
    let due = next_run(&scene, "both").await;
    look(&scene.policies, due + 59.minutes()).await.unwrap();
    assert_eq!(scene.sessions().state().due_runs().await.unwrap().len(), 1);
    look(&scene.policies, due + 61.minutes()).await.unwrap();
    assert_eq!(scene.sessions().state().due_runs().await.unwrap(), []);
    assert_eq!(sessions(&scene).await.len(), 1);
}
