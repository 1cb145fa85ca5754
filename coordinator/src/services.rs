//! Everything that the coordinator's parts work with, made once at the start.

use std::sync::{Arc, OnceLock};

use haulier_domain::id::InstallationId;
use tokio_util::sync::CancellationToken;

use crate::accounts::CloudAccess;
use crate::certificates::Authority;
use crate::installation_key::InstallationKey;
use crate::poller::Poller;
use crate::repositories::Vaults;
use crate::sessions::Feeds;
use crate::settings::Settings;
use crate::state::State;
use crate::state_lock::StateLock;
use crate::workers::Presence;
use crate::workflows::observer::StepObserver;

/// Everything that the coordinator's parts work with.
#[derive(Debug)]
pub struct Services {
    /// What it was told.
    pub settings: Settings,
    /// Who it is.
    pub installation: InstallationId,
    /// What it remembers.
    pub state: State,
    /// How it gets into accounts.
    pub cloud: Arc<dyn CloudAccess>,
    /// Answers "is it ready yet".
    pub poller: Poller,
    /// The repositories.
    pub vaults: Arc<dyn Vaults>,
    /// Signs certificates.
    pub authority: Authority,
    /// Seals tags and derives enrolment tokens.
    pub key: InstallationKey,
    /// Who wants to know what of sessions.
    pub feeds: Feeds,
    /// Tells whoever waits for a turn that somebody has ended or begun.
    pub turns: tokio::sync::watch::Sender<()>,
    /// Held while somebody takes a place in a temporary bucket, or leaves one and decides whether the bucket goes.
    pub temporary_buckets: tokio::sync::Mutex<()>,
    /// Which workers are there.
    pub presence: Presence,
    /// Told of each step; does nothing outside tests.
    pub observer: Arc<dyn StepObserver>,
    /// Cancelled once no step may go on: the coordinator has stopped, and another may take its place.
    pub halted: CancellationToken,
    /// Keeps every other coordinator out of the state directory.
    pub lock: StateLock,
    /// `https://host:port` as workers dial it, known once the listener is bound.
    pub worker_endpoint: OnceLock<String>,
}
