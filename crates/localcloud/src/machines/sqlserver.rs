//! SQL Server instances: the stand-in runs in this process, and listens in each instance's own network namespace, so that
//! security groups are felt as any machine's.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_trait::async_trait;
use nix::sched::{CloneFlags, setns};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::authority::Identity;
use super::fleet::{Origin, Running, Servers};
use super::network::Port;
use super::{DbSpec, Engine, command};
use crate::sqlserver::{Server, Start, Surroundings};

/// How long a server may take until it is reached, and a single attempt.
const START: Duration = Duration::from_secs(60);
const ATTEMPT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// All SQL Server instances.
#[derive(Default)]
pub(crate) struct SqlServers {
    surroundings: OnceLock<Arc<dyn Surroundings>>,
}

impl SqlServers {
    pub(super) fn set_surroundings(&self, surroundings: Arc<dyn Surroundings>) {
        // The first ones stay: a cloud has one front.
        let _ = self.surroundings.set(surroundings);
    }
}

#[async_trait]
impl Servers for SqlServers {
    async fn prepare(&self, _spec: &DbSpec, home: &Path, origin: Origin<'_>) -> anyhow::Result<()> {
        std::fs::create_dir_all(home).with_context(|| format!("creating {}", home.display()))?;
        let data = home.join("data");
        match origin {
            Origin::Empty => std::fs::create_dir(&data).with_context(|| format!("creating {}", data.display())),
            Origin::Snapshot(copy) => {
                command::copy_folder(copy, &data).await?;
                // Says to the start that half-restored databases are gone.
                File::create(home.join("copied")).map(drop).context("marking the data as a copy")
            }
        }
    }

    async fn start(
        &self,
        spec: &DbSpec,
        home: &Path,
        port: &Port,
        identity: Identity,
    ) -> anyhow::Result<Box<dyn Running>> {
        let Engine::SqlServer(edition) = spec.engine else { return Err(anyhow!("{} is no SQL Server", spec.id)) };
        let surroundings = self.surroundings.get().cloned().context("the cloud is not up yet")?;
        let (namespace, number) = (port.namespace.clone(), spec.port);
        let listener = tokio::task::spawn_blocking(move || bind_within(&namespace, number)).await??;
        let server = Server::start(Start {
            id: &spec.id,
            edition,
            master_user: &spec.master_user,
            master_password: &spec.master_password,
            folder: &home.join("data"),
            copied: home.join("copied").exists(),
            certificate: &identity.certificate,
            key: &identity.key,
            listener,
            surroundings,
        })?;
        wait_reachable(port.address, number).await?;
        Ok(Box::new(Arc::new(server)))
    }
}

#[async_trait]
impl Running for Arc<Server> {
    async fn copy(&mut self, target: &Path) -> anyhow::Result<()> {
        Server::copy(self, target).await
    }

    async fn set_master_password(&mut self, _user: &str, password: &str) -> anyhow::Result<()> {
        self.set_password(password);
        Ok(())
    }

    fn sqlserver(&self) -> Option<Arc<Server>> {
        Some(Arc::clone(self))
    }

    async fn end(self: Box<Self>) -> anyhow::Result<()> {
        self.close().await;
        Ok(())
    }
}

/// Waits until the host reaches the server: a machine that was just plugged in may not be heard of on the bridge yet.
async fn wait_reachable(address: Ipv4Addr, port: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + START;
    loop {
        let error = match timeout(ATTEMPT, TcpStream::connect((address, port))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        ensure!(Instant::now() < deadline, "the server cannot be reached: {error}");
        sleep(POLL).await;
    }
}

/// Binds a port in a network namespace. A socket belongs to the namespace that its thread was in when it was made; the
/// thread goes there and ends.
fn bind_within(namespace: &str, port: u16) -> anyhow::Result<TcpListener> {
    let file = File::open(namespace).with_context(|| format!("opening {namespace}"))?;
    let bind = move || {
        setns(file, CloneFlags::CLONE_NEWNET).context("entering the instance's network namespace")?;
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).with_context(|| format!("listening on port {port}"))
    };
    let thread = std::thread::Builder::new().name("namespace".into()).spawn(bind).context("starting a thread")?;
    thread.join().map_err(|_| anyhow!("the thread that binds a port has failed"))?
}
