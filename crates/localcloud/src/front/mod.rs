//! One port that answers as every AWS service does.
//!
//! A request's credential scope names its service. S3 goes to the S3 handler as it is. Every other request has its
//! signature verified, its caller's policies asked, and the switchboard consulted; then it is decided here
//! (instances, security groups, databases, STS) or passed on to the emulator (VPCs, images, IAM, KMS, secrets).
//!
//! Decisions are pure and live in `decisions`; `services` carries them out; `wire` speaks the protocols.

mod authorise;
mod bootstrap;
mod config;
mod context;
mod control;
mod decisions;
mod dispatch;
mod flushed;
mod listing;
mod objects;
mod refusal;
mod s3_handler;
mod sandbox;
mod server;
mod services;
mod signature;
mod stale;
mod surroundings;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;

pub use config::{Bootstrap, Delays, FrontConfig};
pub use decisions::faults::{Effect, FaultError, FaultReport, FaultRule};
pub use listing::{Item, Listing};
pub use s3_handler::{BucketSetup, S3Handler};
pub(crate) use signature::Signature;
pub(crate) use wire::{Element, Params, encode};

use crate::credentials::CredentialStore;
use crate::machines::{Computers, Databases, Network};
use crate::moto::{MotoClient, MotoServer};
use crate::sqlserver::Surroundings;
use context::{Context, Parts, locked};

/// How long the front waits for what is under way when it stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// A running front, with its emulator.
pub struct Front {
    context: Arc<Context>,
    address: SocketAddr,
    bootstrap: Bootstrap,
    /// Dies with the front.
    _moto: MotoServer,
}

impl Front {
    /// Starts the emulator, makes what an account has from the start, and listens. `control` adds routes
    /// `/_cloud/…` for what the front has no part in.
    pub async fn start(
        config: FrontConfig,
        databases: Arc<dyn Databases>,
        computers: Arc<dyn Computers>,
        network: Arc<dyn Network>,
        s3: Arc<dyn S3Handler>,
        credentials: Arc<CredentialStore>,
        control: Router,
    ) -> anyhow::Result<Self> {
        let moto = MotoServer::start(&config.moto_dir, &config.moto_log, credentials.account()).await?;
        let client = MotoClient::new(moto.address(), &config.region);
        let listeners = server::bind(config.gateway, config.port)
            .await
            .with_context(|| format!("cannot listen on {}:{}", config.gateway, config.port))?;
        let address = listeners[0].local_addr()?;
        let context =
            Arc::new(Context::new(Parts { config, credentials, databases, computers, network, s3, moto: client }));
        let bootstrap = bootstrap::run(&context).await.context("cannot prepare the account")?;
        *locked(&context.bootstrap) = Some(bootstrap.clone());
        services::ec2::follow_power_offs(&context);
        let control = Router::new().nest("/_cloud", control::routes(Arc::clone(&context))).merge(control);
        server::serve(&context, listeners, &control);
        Ok(Self { context, address, bootstrap, _moto: moto })
    }

    /// Where it listens on the machines' network; the same port is open on the loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What products get as `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What SQL Server instances know of it.
    #[must_use]
    pub fn surroundings(&self) -> Arc<dyn Surroundings> {
        Arc::new(surroundings::Around(Arc::clone(&self.context)))
    }

    /// What was made at the start.
    #[must_use]
    pub fn bootstrap(&self) -> &Bootstrap {
        &self.bootstrap
    }

    /// Stops listening, waits a little for what is under way, and ends the emulator. Machines are the caller's to stop.
    pub async fn shutdown(self) {
        self.context.stop.cancel();
        self.context.tasks.close();
        if tokio::time::timeout(DRAIN_LIMIT, self.context.tasks.wait()).await.is_err() {
            tracing::warn!("the front stops while calls are under way");
        }
    }
}

impl Drop for Front {
    /// Without [`Front::shutdown`], what goes on for ever ends all the same.
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}
