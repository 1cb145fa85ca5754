//! What tasks of RDS do after their sessions have ended.

use std::sync::Arc;

use haulier_cloud::doubles::MemoryBucket;
use haulier_coordinator::reaper;
use haulier_coordinator::sessions::PreparedBucket;
use haulier_domain::session::SessionState;

use crate::support::native::native_backup_of;
use crate::support::observer::Observer;
use crate::support::worker::Script;
use crate::support::{REGION, Scene};

const BUCKET: &str = "prepared-by-hand";

#[test]
fn what_a_task_writes_after_its_session_is_removed_from_a_bucket_that_stays() {
    let scene = Scene::new(Script::SubmitsUpTo(9));
    let buckets = scene.access.memory.buckets(REGION);
    buckets.add(BUCKET, MemoryBucket { region: REGION.into(), ..MemoryBucket::default() });
    buckets.put(BUCKET, "native/somebody-elses.bak");
    let before = buckets.described(BUCKET);
    let mut settings = scene.settings();
    settings.worker.attempts = 1;
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    let backup = || {
        let mut request = native_backup_of("crm", 0);
        request.native.bucket = Some(PreparedBucket { bucket: BUCKET.into(), prefix: "native".into() });
        running.start_backup(request)
    };
    running.assert_state(&backup(), SessionState::Failed);
    scene.fleet.follow(Script::Obedient);
    running.assert_state(&backup(), SessionState::Succeeded);
    let told = scene.fleet.log().native_backups.lock().unwrap().clone();
    let place = |session: usize| told[session].temporary.clone().unwrap().prefix;
    let reap = || {
        let services = running.sessions.services().clone();
        running.run(async move { reaper::round(&services).await.unwrap() });
    };
    buckets.put(BUCKET, &format!("{}/crm/late.bak", place(0)));
    buckets.begin_upload(BUCKET, &format!("{}/crm/later.bak", place(0)));
    reap();
    assert_eq!(buckets.described(BUCKET), before);
    // Nobody looks where every task was seen to end.
    let key = format!("{}/crm/somebody-elses.bak", place(1));
    buckets.put(BUCKET, &key);
    reap();
    assert!(buckets.described(BUCKET).unwrap().objects.contains(&key));
}
