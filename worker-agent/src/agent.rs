//! The life of a worker, top to bottom: enrol, serve the session, stop the job, power off.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::attach::{self, Ending};
use crate::cause::chain;
use crate::enrol::{self, Signer};
use crate::redact::Redactor;
use crate::session::{Runner, Session};
use crate::user_data::UserData;
use crate::watchdog::Pulse;

/// Between two signs of life to the watchdog.
const BEAT: Duration = Duration::from_secs(1);

/// How a worker's life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As the coordinator asked.
    Shutdown,
    /// Otherwise; the machine goes all the same.
    Otherwise(String),
}

/// What an agent lives with.
pub struct Agent {
    /// What it was told at its launch.
    pub data: UserData,
    /// Proves which instance it is.
    pub signer: Box<dyn Signer>,
    /// Carries out its assignment.
    pub runner: Arc<dyn Runner>,
    /// Majors of the PostgreSQL clients on board.
    pub postgresql_majors: Vec<u32>,
    /// Knows its secrets.
    pub redactor: Redactor,
    /// What the watchdog reads.
    pub pulse: Arc<Pulse>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Agent {
    /// Lives until nothing is left to do, the coordinator is lost, the deadline passes, or `interrupted` completes.
    pub async fn live(self, interrupted: impl Future<Output = ()>) -> End {
        let session = Session::new(&self.data, self.runner.clone(), self.redactor.clone());
        let deadline = until(self.data.deadline);
        let end = tokio::select! {
            end = self.work(&session) => end,
            () = tokio::time::sleep_until(deadline) => End::Otherwise("the deadline has passed".to_owned()),
            () = interrupted => End::Otherwise("asked to stop by the system".to_owned()),
            never = beat(&self.pulse) => match never {},
        };
        session.stop().await;
        end
    }

    async fn work(&self, session: &Arc<Session>) -> End {
        let enrolled = match enrol::enrol(&self.data, &*self.signer).await {
            Ok(enrolled) => enrolled,
            Err(error) => return End::Otherwise(format!("enrolment failed: {}", chain(&error))),
        };
        tracing::info!("enrolled");
        match attach::serve(&enrolled, session, &self.postgresql_majors, &self.pulse).await {
            Ending::Shutdown => End::Shutdown,
            Ending::CoordinatorLost => End::Otherwise("the coordinator is lost".to_owned()),
            Ending::Refused(reason) => End::Otherwise(format!("the coordinator refuses this worker: {reason}")),
        }
    }
}

/// Tells the watchdog that the runtime is alive.
async fn beat(pulse: &Pulse) -> std::convert::Infallible {
    let mut interval = tokio::time::interval(BEAT);
    loop {
        interval.tick().await;
        pulse.beat();
    }
}

/// The same moment on the runtime's clock.
fn until(deadline: Timestamp) -> Instant {
    let left = Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + left
}
