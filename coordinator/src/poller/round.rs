//! The rounds of one poller.

use std::sync::{Arc, Weak};
use std::time::Duration;

use haulier_cloud::Result;
use haulier_cloud::compute::TagFilter;
use haulier_domain::id::InstallationId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Answer, Question, Round, Waiting};
use crate::accounts::CloudAccess;
use crate::ledger::TAG_INSTALLATION;
use crate::sessions::Place;

/// Distance of the first rounds.
const CLOSEST: Duration = Duration::from_millis(300);
/// Longest distance between two rounds, after failures.
const SLOWEST: Duration = Duration::from_secs(60);

/// One poller.
pub(super) struct Asker {
    pub(super) cloud: Arc<dyn CloudAccess>,
    pub(super) installation: InstallationId,
    pub(super) place: Place,
    pub(super) question: Question,
    pub(super) pace: Duration,
    pub(super) waiting: Weak<Waiting>,
    pub(super) sender: watch::Sender<Option<Arc<Round>>>,
}

/// Asks until nobody waits any more.
pub(super) async fn run(asker: Asker) {
    let closest = CLOSEST.min(asker.pace);
    let mut pause = closest;
    loop {
        let asked_at = Instant::now();
        match asker.ask().await {
            Ok(answer) => {
                asker.sender.send_replace(Some(Arc::new(Round { asked_at, answer })));
                if asker.pause(pause).await {
                    pause = closest;
                    tokio::time::sleep(closest).await;
                } else {
                    pause = next(pause, asker.pace);
                }
            }
            Err(error) => {
                tracing::warn!(account = asker.place.account.id, region = asker.place.region, %error, "poll failed");
                pause = (pause * 2).min(SLOWEST);
                tokio::time::sleep(pause).await;
            }
        }
        if asker.waiting.strong_count() == 0 {
            return;
        }
    }
}

/// Rounds grow apart by half, to the configured pace.
fn next(pause: Duration, pace: Duration) -> Duration {
    (pause + pause / 2).min(pace)
}

impl Asker {
    /// Waits for the next round, or until somebody new is waiting; tells which.
    async fn pause(&self, pause: Duration) -> bool {
        let Some(waiting) = self.waiting.upgrade() else { return false };
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = waiting.hurry.notified() => true,
        }
    }

    async fn ask(&self) -> Result<Answer> {
        match self.question {
            Question::Databases => Ok(Answer::Databases(self.cloud.databases(&self.place).await?.instances().await?)),
            Question::Snapshots => {
                Ok(Answer::Snapshots(self.cloud.databases(&self.place).await?.manual_snapshots().await?))
            }
            Question::Workers => {
                let ours = TagFilter::from([(TAG_INSTALLATION.to_owned(), vec![self.installation.to_string()])]);
                Ok(Answer::Workers(self.cloud.compute(&self.place).await?.instances(&ours).await?))
            }
        }
    }
}
