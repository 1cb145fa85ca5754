//! Workers that are killed at each call, before it or after it has taken effect: the next one goes on, the session succeeds,
//! and nothing is asked for twice. And workers that are told to stop there, which tidy up: the next one begins anew.

use haulier_domain::clash::OnClash;
use haulier_domain::sqlserver::keys::BackupType;
use haulier_domain::sqlserver::task::Lifecycle;
use haulier_worker_agent::mover::sinks::Stopped;
use haulier_worker_agent::sqlserver::{
    self, BackupJob, BackupOutcome, Context, DatabaseRestore, FullPoint, RestoreOutcome,
};

use crate::gate::{Gate, When};
use crate::scene::{Scene, wanted};

/// Runs a worker that is killed at a call, and then others until one comes to an end. Gives its outcome, and whether the
/// first was killed.
pub(crate) async fn back_up(scene: &Scene, job: impl Fn() -> BackupJob, gate: Gate) -> (BackupOutcome, bool) {
    let context = Context { cancel: scene.cancel.child_token(), ..scene.context(&gate) };
    let mut first = Box::pin(sqlserver::backup::run(job(), &context));
    tokio::select! {
        outcome = &mut first => return (outcome.unwrap(), false),
        () = gate.reached() => {}
    }
    if gate.is_stopping() {
        context.cancel.cancel();
        match first.await {
            Err(stopped) => assert_eq!(stopped, Stopped::Cancelled),
            // It had come so far that nothing was left to stop.
            Ok(outcome) => return (outcome, true),
        }
    } else {
        drop(first);
    }
    (scene.back_up(job()).await.unwrap(), true)
}

#[tokio::test(start_paused = true)]
async fn a_backup_goes_on_after_every_kill() {
    for when in [When::Before, When::After] {
        let mut calls = 0;
        loop {
            let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
            let gate = Gate::deadly(calls, when);
            let job = || BackupJob { files: Some(2), ..scene.backup_job() };
            let (outcome, killed) = back_up(&scene, job, gate).await;
            assert_eq!(outcome.manifest.databases.len(), 2, "{when:?} {calls}");
            let tasks = scene.instance.tasks_were();
            assert_eq!(tasks.len(), 2, "{when:?} {calls}: {tasks:?}");
            if !killed {
                break;
            }
            calls += 1;
        }
        assert!(calls > 15, "{calls} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_differential_backup_goes_on_after_every_kill() {
    for when in [When::Before, When::After] {
        let mut calls = 0;
        loop {
            let source = Scene::new(&[("shop", "s1")]);
            let full = source.point("ses-1", "pnt-full", None).await;
            let scene = source.next("ses-2");
            let job =
                || BackupJob { backup_type: BackupType::Differential, full: Some(full.clone()), ..scene.backup_job() };
            let (outcome, killed) = back_up(&scene, job, Gate::deadly(calls, when)).await;
            assert_eq!(outcome.manifest.databases[0].backup_type, BackupType::Differential, "{when:?} {calls}");
            assert_eq!(scene.instance.tasks_were().len(), 2, "{when:?} {calls}");
            if !killed {
                break;
            }
            calls += 1;
        }
        assert!(calls > 8, "{calls} calls");
    }
}

/// The same for a restore.
pub(crate) async fn restore(
    scene: &Scene,
    points: &[&FullPoint],
    databases: &[DatabaseRestore],
    gate: Gate,
) -> (RestoreOutcome, bool) {
    let context = Context { cancel: scene.cancel.child_token(), ..scene.context(&gate) };
    let mut first = Box::pin(sqlserver::restore::run(scene.restore_job(points, databases.to_vec()), &context));
    tokio::select! {
        outcome = &mut first => return (outcome.unwrap(), false),
        () = gate.reached() => {}
    }
    if gate.is_stopping() {
        context.cancel.cancel();
        match first.await {
            Err(Stopped::Cancelled) => {}
            // It had come so far that nothing was left to stop.
            Ok(outcome) => return (outcome, true),
            // So far that it cannot know what is wanted.
            Err(Stopped::Failed(failure)) => assert_eq!(failure.code, "restore-left-behind", "{failure}"),
        }
    } else {
        drop(first);
    }
    let mut job = scene.restore_job(points, databases.to_vec());
    job.repeated = true;
    (scene.restore(job).await.unwrap(), true)
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_asked_for_again_after_a_worker_that_was_stopped() {
    let (mut calls, mut cancelled) = (0, 0);
    loop {
        let scene = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
        let (outcome, stopped) = back_up(&scene, || scene.backup_job(), Gate::deadly(calls, When::Stopping)).await;
        assert_eq!(outcome.manifest.databases.len(), 2, "{calls}");
        let tasks = scene.instance.tasks_were();
        let ended = |lifecycle| tasks.iter().filter(|(_, one)| *one == lifecycle).count();
        assert_eq!(ended(Lifecycle::Success), 2, "{calls}: {tasks:?}");
        assert_eq!(ended(Lifecycle::Success) + ended(Lifecycle::Cancelled), tasks.len(), "{calls}: {tasks:?}");
        cancelled += ended(Lifecycle::Cancelled);
        if !stopped {
            break;
        }
        calls += 1;
    }
    assert!(calls > 5 && cancelled > 3, "{calls} calls, {cancelled} cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_restore_begins_anew_after_a_worker_that_was_stopped() {
    let cases: [(&[DatabaseRestore], bool); 3] = [
        (&[wanted("shop", "copy", OnClash::Refuse), wanted("shop", "shop", OnClash::Suffix)], false),
        (&[wanted("shop", "shop", OnClash::Replace)], false),
        (&[wanted("shop", "back", OnClash::Refuse)], true),
    ];
    for (databases, chain) in cases {
        let (mut calls, mut cancelled) = (0, 0);
        loop {
            let source = Scene::new(&[("shop", "s1")]);
            let full = source.point("ses-1", "pnt-full", None).await;
            source.instance.set("shop", "s2");
            let differential = source.point("ses-2", "pnt-diff", Some(&full)).await;
            let points: Vec<&FullPoint> = if chain { vec![&full, &differential] } else { vec![&full] };
            let scene = source.next("ses-3");
            let (outcome, stopped) = restore(&scene, &points, databases, Gate::deadly(calls, When::Stopping)).await;
            let what = format!("{databases:?} {calls}");
            let there = scene.instance.contents();
            let restored = outcome.databases.iter().map(|one| there[&one.restored_as].as_str());
            assert!(restored.eq(databases.iter().map(|_| if chain { "s2" } else { "s1" })), "{what}: {there:?}");
            let odd: Vec<_> = scene.instance.names().into_iter().filter(|name| name.starts_with("haulier_")).collect();
            assert!(odd.is_empty() && scene.store.keys().is_empty(), "{what}: {odd:?} {:?}", scene.store.keys());
            let tasks = scene.instance.tasks_were();
            assert!(tasks.iter().all(|(_, lifecycle)| lifecycle.has_ended()), "{what}: {tasks:?}");
            cancelled += tasks.iter().filter(|(_, lifecycle)| *lifecycle == Lifecycle::Cancelled).count();
            if !stopped {
                break;
            }
            calls += 1;
        }
        assert!(calls > 4 && cancelled > 1, "{databases:?}: {calls} calls, {cancelled} cancelled");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_goes_on_after_every_kill() {
    let cases: [(&[DatabaseRestore], bool, usize, usize); 4] = [
        (&[wanted("shop", "copy", OnClash::Refuse), wanted("shop", "shop", OnClash::Suffix)], false, 2, 100_000),
        (&[wanted("shop", "shop", OnClash::Replace), wanted("crm", "crm", OnClash::Replace)], false, 2, 100_000),
        (&[wanted("shop", "back", OnClash::Refuse)], true, 3, 100_000),
        // In parts.
        (&[wanted("shop", "copy", OnClash::Refuse)], false, 1, 17_000_000),
    ];
    for (databases, chain, tasks, length) in cases {
        for when in [When::Before, When::After] {
            let mut calls = 0;
            loop {
                let mut source = Scene::new(&[("shop", "s1"), ("crm", "c1")]);
                source.instance.length = length;
                let full = source.point("ses-1", "pnt-full", None).await;
                source.instance.set("shop", "s2");
                source.instance.set("crm", "c2");
                let differential = source.point("ses-2", "pnt-diff", Some(&full)).await;
                let points: Vec<&FullPoint> = if chain { vec![&full, &differential] } else { vec![&full] };
                let scene = source.next("ses-3");
                let before = scene.instance.tasks_were().len();
                let (outcome, killed) = restore(&scene, &points, databases, Gate::deadly(calls, when)).await;
                let what = format!("{databases:?} {when:?} {calls}");
                assert_eq!(outcome.databases.len(), databases.len(), "{what}");
                let there = scene.instance.contents();
                for one in &outcome.databases {
                    let expected = match (chain, one.database.as_str()) {
                        (true, _) => "s2",
                        (false, "crm") => "c1",
                        _ => "s1",
                    };
                    assert_eq!(there[&one.restored_as], expected, "{what}");
                }
                let ran = scene.instance.tasks_were().len() - before;
                assert_eq!(ran, tasks, "{what}: {:?}", scene.instance.tasks_were());
                let odd: Vec<_> =
                    scene.instance.names().into_iter().filter(|name| name.starts_with("haulier_")).collect();
                assert!(odd.is_empty(), "{what}: {odd:?}");
                assert_eq!(scene.store.keys(), Vec::<String>::new(), "{what}");
                if !killed {
                    break;
                }
                calls += 1;
            }
            assert!(calls > 10, "{calls} calls");
        }
    }
}
