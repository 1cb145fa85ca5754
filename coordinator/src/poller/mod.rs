//! One poller per account and Region answers all "is it ready yet" questions.
//!
//! However many sessions wait, AWS is asked once a round: `DescribeDBInstances`, `DescribeDBSnapshots` and
//! `DescribeInstances` of what is ours, each only while somebody waits for its answer. A waiter sees answers to questions
//! asked after it began to wait, so that it never takes yesterday's `available` for today's. Rounds are close together at
//! first, since most of what is asked for takes seconds, and grow apart to the configured pace; a new waiter brings them
//! together again. Failed rounds come at still longer distances, whoever waits.

mod round;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use haulier_cloud::compute::Instance;
use haulier_cloud::databases::{DbInstance, DbSnapshot};
use haulier_domain::id::InstallationId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::accounts::CloudAccess;
use crate::sessions::Place;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Databases,
    Snapshots,
    Workers,
}

/// An answer, for everybody who waits.
#[derive(Debug, Clone)]
enum Answer {
    Databases(Vec<DbInstance>),
    Snapshots(Vec<DbSnapshot>),
    Workers(Vec<Instance>),
}

/// An answer and when its question was asked.
#[derive(Debug)]
struct Round {
    asked_at: Instant,
    answer: Answer,
}

/// What the waiters of one question share. Its rounds go on as long as somebody holds it.
#[derive(Debug)]
struct Waiting {
    latest: watch::Receiver<Option<Arc<Round>>>,
    hurry: Notify,
}

/// The pollers of every account and Region.
#[derive(Debug)]
pub struct Poller {
    cloud: Arc<dyn CloudAccess>,
    installation: InstallationId,
    pace: Duration,
    rounds: Mutex<HashMap<(Place, Question), Weak<Waiting>>>,
}

impl Poller {
    /// Over these accounts, with a round every so often.
    pub fn new(cloud: Arc<dyn CloudAccess>, installation: InstallationId, pace: Duration) -> Self {
        Self { cloud, installation, pace, rounds: Mutex::default() }
    }

    /// Waits until the DB instance satisfies the condition, which is also asked where there is none.
    pub async fn database<T>(&self, place: &Place, id: &str, ready: impl Fn(Option<&DbInstance>) -> Option<T>) -> T {
        self.until(place, Question::Databases, |answer| match answer {
            Answer::Databases(all) => ready(all.iter().find(|instance| instance.id == id)),
            Answer::Snapshots(_) | Answer::Workers(_) => None,
        })
        .await
    }

    /// Waits until the manual snapshot satisfies the condition.
    pub async fn snapshot<T>(&self, place: &Place, id: &str, ready: impl Fn(Option<&DbSnapshot>) -> Option<T>) -> T {
        self.until(place, Question::Snapshots, |answer| match answer {
            Answer::Snapshots(all) => ready(all.iter().find(|snapshot| snapshot.id == id)),
            Answer::Databases(_) | Answer::Workers(_) => None,
        })
        .await
    }

    /// Waits until the worker's EC2 instance satisfies the condition.
    pub async fn worker<T>(&self, place: &Place, id: &str, ready: impl Fn(Option<&Instance>) -> Option<T>) -> T {
        self.until(place, Question::Workers, |answer| match answer {
            Answer::Workers(all) => ready(all.iter().find(|instance| instance.id == id)),
            Answer::Databases(_) | Answer::Snapshots(_) => None,
        })
        .await
    }

    async fn until<T>(&self, place: &Place, question: Question, ready: impl Fn(&Answer) -> Option<T>) -> T {
        let since = Instant::now();
        let waiting = self.wait_for(place, question);
        let mut latest = waiting.latest.clone();
        waiting.hurry.notify_one();
        loop {
            let round = latest.borrow_and_update().clone();
            let answered = round.filter(|round| round.asked_at >= since).and_then(|round| ready(&round.answer));
            if let Some(answered) = answered {
                return answered;
            }
            if latest.changed().await.is_err() {
                // The poller's task is gone with its runtime: nobody will answer any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The running poller of this question, or a new one.
    fn wait_for(&self, place: &Place, question: Question) -> Arc<Waiting> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place.clone(), question);
        if let Some(running) = rounds.get(&key).and_then(Weak::upgrade) {
            return running;
        }
        let (sender, latest) = watch::channel(None);
        let waiting = Arc::new(Waiting { latest, hurry: Notify::new() });
        rounds.retain(|_, running| running.strong_count() > 0);
        rounds.insert(key, Arc::downgrade(&waiting));
        tokio::spawn(round::run(round::Asker {
            cloud: self.cloud.clone(),
            installation: self.installation.clone(),
            place: place.clone(),
            question,
            pace: self.pace,
            waiting: Arc::downgrade(&waiting),
            sender,
        }));
        waiting
    }
}
