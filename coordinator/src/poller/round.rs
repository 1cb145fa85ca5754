//! The rounds of one poller.

use std::sync::{Arc, Weak};
use std::time::Duration;

use haulier_cloud::Result;
use haulier_cloud::compute::TagFilter;
use haulier_domain::id::InstallationId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Answer, Latest, Question, Round};
use crate::accounts::CloudAccess;
use crate::ledger::TAG_INSTALLATION;
use crate::sessions::Place;

/// Longest distance between two rounds.
const SLOWEST: Duration = Duration::from_secs(60);

/// One poller.
pub(super) struct Asker {
    pub(super) cloud: Arc<dyn CloudAccess>,
    pub(super) installation: InstallationId,
    pub(super) place: Place,
    pub(super) question: Question,
    pub(super) pace: Duration,
    pub(super) asked_by: Weak<Latest>,
    pub(super) sender: watch::Sender<Option<Arc<Round>>>,
}

/// Asks until nobody waits any more.
pub(super) async fn run(asker: Asker) {
    let mut pause = asker.pace;
    while asker.asked_by.strong_count() > 0 {
        let asked_at = Instant::now();
        match asker.ask().await {
            Ok(answer) => {
                pause = asker.pace;
                asker.sender.send_replace(Some(Arc::new(Round { asked_at, answer })));
            }
            Err(error) => {
                tracing::warn!(account = asker.place.account.id, region = asker.place.region, %error, "poll failed");
                pause = (pause * 2).min(SLOWEST);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

impl Asker {
    async fn ask(&self) -> Result<Answer> {
        match self.question {
            Question::Databases => {
                Ok(Answer::Databases(self.cloud.databases(&self.place).await?.instances().await?))
            }
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
