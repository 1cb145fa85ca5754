//! Starting and stopping a coordinator.
//!
//! The order matters: the state directory is taken first, so that no second coordinator opens anything in it; then the
//! listener is bound (workers are told its port), state and keys are opened, what was left unfinished is resumed, and only
//! then is anybody served. Stopping goes the other way: running steps get a moment, what then still runs is cut off where
//! it stands, the files are closed, and the directory is let go last.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accounts::CloudAccess;
use crate::certificates::{Authority, CertificateError};
use crate::installation_key::{InstallationKey, KeyError};
use crate::poller::Poller;
use crate::reaper;
use crate::repositories::{RepositoryVaults, Vaults};
use crate::services::Services;
use crate::sessions::{Feeds, Sessions};
use crate::settings::Settings;
use crate::state::{State, StateError};
use crate::state_lock::{LockError, StateLock};
use crate::workers::{self, ListenError, Presence, WorkerListener};
use crate::workflows::engine::{Engine, EngineError};
use crate::workflows::observer::{StepObserver, Unobserved};

/// How long running steps are given when the coordinator stops. What is cut off goes on at the next start.
const GRACE: Duration = Duration::from_secs(2);

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be made.
    #[error("making the state directory {directory}")]
    Directory {
        /// The directory.
        directory: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The state directory is not ours alone.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state cannot be opened.
    #[error(transparent)]
    State(#[from] StateError),
    /// The installation key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// KMS cannot be reached.
    #[error("reaching KMS")]
    Cloud(#[source] Box<haulier_cloud::CloudError>),
    /// The certificate authority cannot be opened.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// Workers cannot be listened for.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The engine cannot be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a coordinator can be given in place of its own.
#[derive(Debug, Default)]
pub struct Parts {
    /// Repositories other than those in buckets.
    pub vaults: Option<Arc<dyn Vaults>>,
    /// Somebody who is told of each step.
    pub observer: Option<Arc<dyn StepObserver>>,
}

/// A running coordinator.
#[derive(Debug)]
pub struct Coordinator {
    sessions: Sessions,
    engine: Arc<Engine>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Coordinator {
    /// Starts: opens what there is, resumes what was unfinished, serves workers.
    ///
    /// # Errors
    /// Where any of it cannot be done.
    pub async fn start(settings: Settings, cloud: Arc<dyn CloudAccess>, parts: Parts) -> Result<Self, StartError> {
        make_directory(&settings.state_dir)?;
        let lock = StateLock::take(&settings.state_dir)?;
        let listener = WorkerListener::bind(settings.worker_listen).await?;
        let services = Arc::new(services(settings, cloud, parts, lock).await?);
        let endpoint = services.settings.worker_endpoint(listener.address());
        tracing::info!(address = %listener.address(), endpoint, "listening for workers");
        services.worker_endpoint.get_or_init(|| endpoint);
        let engine = Engine::open(services.clone()).await?;
        engine.resume().await?;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (worker_services, worker_stop) = (services.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = workers::server(worker_services, listener, worker_stop).await {
                tracing::error!(error = %crate::failures::chain(&error), "worker listener failed");
            }
        });
        tasks.spawn(reaper::run(services.clone(), stop.clone()));
        let sessions = Sessions::new(services, engine.clone());
        Ok(Self { sessions, engine, stop, tasks })
    }

    /// The sessions, for whoever drives the coordinator.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Tells every part to stop; whoever serves operators listens to it too.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Stops, and lets the state directory go. Sessions are not ended by it: they go on at the next start, in this
    /// process or another.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.engine.shutdown(GRACE).await;
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, drained).await.is_err() {
            tracing::warn!("some parts did not stop in time");
        }
        self.tasks.shutdown().await;
        self.sessions.state().close().await;
        self.sessions.services().lock.release();
    }
}

async fn services(
    settings: Settings,
    cloud: Arc<dyn CloudAccess>,
    parts: Parts,
    lock: StateLock,
) -> Result<Services, StartError> {
    let state = State::open(&settings.state_dir).await?;
    let installation = state.installation().await?;
    let key = match &settings.wrapping_key {
        Some(wrapping) => {
            let keys = cloud.keys(&wrapping.region).await.map_err(|error| StartError::Cloud(Box::new(error)))?;
            InstallationKey::open(&settings.state_dir, &installation, Some((wrapping, keys.as_ref()))).await?
        }
        None => InstallationKey::open(&settings.state_dir, &installation, None).await?,
    };
    let vaults = parts
        .vaults
        .unwrap_or_else(|| Arc::new(RepositoryVaults::new(cloud.clone(), settings.state_dir.join("cache"))));
    Ok(Services {
        authority: Authority::open(&settings.state_dir)?,
        poller: Poller::new(cloud.clone(), installation.clone(), settings.pace.poll),
        installation,
        state,
        cloud,
        vaults,
        key,
        feeds: Feeds::default(),
        turns: watch::Sender::new(()),
        temporary_buckets: tokio::sync::Mutex::default(),
        presence: Presence::default(),
        observer: parts.observer.unwrap_or_else(|| Arc::new(Unobserved)),
        halted: CancellationToken::new(),
        lock,
        worker_endpoint: OnceLock::new(),
        settings,
    })
}

/// Makes the state directory, for its owner alone. Does nothing where it exists.
fn make_directory(directory: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| std::fs::create_dir_all(directory.join("cache")));
    made.map_err(|source| StartError::Directory { directory: directory.to_owned(), source })
}
