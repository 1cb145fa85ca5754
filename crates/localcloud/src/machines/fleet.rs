//! DB instances of every engine: names, folders, places in the network, certificates, snapshots. What an engine itself
//! does, making data, starting over them, copying them while it runs, is behind two small traits.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::authority::{Authority, Identity};
use super::hosts::Hosts;
use super::network::{Fabric, Port};
use super::postgres::Postgres;
use super::ruleset::Kind;
use super::sqlserver::SqlServers;
use super::{Databases, DbSpec, Engine, checked_name, command};
use crate::sqlserver::{Server, Surroundings};

/// Where the data of a new instance come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    Empty,
    Snapshot(&'a Path),
}

/// The servers of one engine.
#[async_trait]
pub(crate) trait Servers: Send + Sync {
    /// Makes the data of a server in its folder, which is there already or not.
    async fn prepare(&self, spec: &DbSpec, home: &Path, origin: Origin<'_>) -> anyhow::Result<()>;
    /// Starts a server over its folder; returns when it answers.
    async fn start(
        &self,
        spec: &DbSpec,
        home: &Path,
        port: &Port,
        identity: Identity,
    ) -> anyhow::Result<Box<dyn Running>>;
}

/// A server that runs.
#[async_trait]
pub(crate) trait Running: Send + std::fmt::Debug {
    /// Copies its data into a folder that is not there yet, as of one moment.
    async fn copy(&mut self, target: &Path) -> anyhow::Result<()>;
    /// Sets the master user's password.
    async fn set_master_password(&mut self, user: &str, password: &str) -> anyhow::Result<()>;
    /// libpq connection string of the administrator, where the engine has one.
    fn administrator_dsn(&self) -> Option<String> {
        None
    }
    /// The stand-in for SQL Server, where it is one.
    fn sqlserver(&self) -> Option<Arc<Server>> {
        None
    }
    /// Ends it; returns when nothing of it is left.
    async fn end(self: Box<Self>) -> anyhow::Result<()>;
}

/// All DB instances of a cloud.
pub struct Fleet {
    parts: Parts,
    instances: Mutex<BTreeMap<String, Arc<Mutex<Option<Instance>>>>>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Fleet").field("folder", &self.parts.folder).finish_non_exhaustive()
    }
}

/// What the instances share.
pub(crate) struct Parts {
    /// Holds `databases/` and `snapshots/`.
    pub(crate) folder: PathBuf,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) postgres: Postgres,
    pub(crate) sqlserver: SqlServers,
}

/// One instance that is there.
#[derive(Debug)]
struct Instance {
    spec: DbSpec,
    address: Ipv4Addr,
    server: Box<dyn Running>,
}

impl Fleet {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, instances: Mutex::default() }
    }

    /// Major versions of PostgreSQL that can be created.
    pub fn majors(&self) -> Vec<u32> {
        self.parts.postgres.majors()
    }

    /// Tells SQL Server instances of the cloud around them; none starts before.
    pub fn set_surroundings(&self, surroundings: Arc<dyn Surroundings>) {
        self.parts.sqlserver.set_surroundings(surroundings);
    }

    /// The stand-in behind an instance.
    pub(crate) async fn sqlserver(&self, id: &str) -> anyhow::Result<Arc<Server>> {
        let place = self.place(id).await?;
        let place = place.lock().await;
        let Some(instance) = place.as_ref() else { bail!("there is no server {id}") };
        instance.server.sqlserver().with_context(|| format!("{id} is no SQL Server"))
    }

    fn servers(&self, engine: Engine) -> &dyn Servers {
        match engine {
            Engine::Postgres => &self.parts.postgres,
            Engine::SqlServer(_) => &self.parts.sqlserver,
        }
    }

    /// Takes a name; the place it returns is locked until the instance stands or has failed.
    async fn reserve(&self, id: &str) -> anyhow::Result<tokio::sync::OwnedMutexGuard<Option<Instance>>> {
        let mut instances = self.instances.lock().await;
        ensure!(!instances.contains_key(id), "there is a server {id} already");
        let place = Arc::new(Mutex::new(None));
        let guard = Arc::clone(&place).try_lock_owned()?;
        instances.insert(id.to_owned(), place);
        Ok(guard)
    }

    async fn place(&self, id: &str) -> anyhow::Result<Arc<Mutex<Option<Instance>>>> {
        let instances = self.instances.lock().await;
        instances.get(id).cloned().with_context(|| format!("there is no server {id}"))
    }

    async fn build(&self, spec: &DbSpec, origin: Origin<'_>) -> anyhow::Result<Ipv4Addr> {
        checked_name(&spec.id)?;
        let mut place = self.reserve(&spec.id).await?;
        match self.raise(spec, origin).await {
            Ok(instance) => {
                let address = instance.address;
                *place = Some(instance);
                Ok(address)
            }
            Err(error) => {
                self.instances.lock().await.remove(&spec.id);
                if let Err(left) = self.clear_away(spec).await {
                    tracing::warn!(
                        instance = spec.id,
                        error = format!("{left:#}"),
                        "could not clear a failed server away"
                    );
                }
                Err(error.context(format!("creating the server {}", spec.id)))
            }
        }
    }

    async fn raise(&self, spec: &DbSpec, origin: Origin<'_>) -> anyhow::Result<Instance> {
        let (parts, servers, home) = (&self.parts, self.servers(spec.engine), self.home(&spec.id));
        servers.prepare(spec, &home, origin).await?;
        let port = parts.fabric.join(&spec.id, Kind::Database).await?;
        let identity = parts.authority.issue(&spec.host_name, port.address)?;
        let server = servers.start(spec, &home, &port, identity).await?;
        parts.hosts.add(&spec.host_name, port.address)?;
        Ok(Instance { spec: spec.clone(), address: port.address, server })
    }

    /// Removes what is left of an instance whose server does not run (any more).
    async fn clear_away(&self, spec: &DbSpec) -> anyhow::Result<()> {
        self.parts.hosts.remove(&spec.host_name)?;
        self.parts.fabric.leave(&spec.id).await?;
        command::remove_folder(&self.home(&spec.id)).await
    }

    fn home(&self, id: &str) -> PathBuf {
        self.parts.folder.join("databases").join(id)
    }

    fn copy(&self, snapshot: &str) -> PathBuf {
        self.parts.folder.join("snapshots").join(snapshot)
    }

    /// Kills every server. Data stay for whoever wants to look.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let places: Vec<_> = std::mem::take(&mut *self.instances.lock().await).into_values().collect();
        let mut first_error = Ok(());
        for place in places {
            if let Some(instance) = place.lock().await.take()
                && let Err(error) = instance.server.end().await
            {
                first_error = first_error.and(Err(error));
            }
        }
        first_error
    }
}

#[async_trait]
impl Databases for Fleet {
    async fn create(&self, spec: &DbSpec) -> anyhow::Result<Ipv4Addr> {
        self.build(spec, Origin::Empty).await
    }

    async fn snapshot(&self, instance_id: &str, snapshot_id: &str) -> anyhow::Result<()> {
        checked_name(snapshot_id)?;
        let place = self.place(instance_id).await?;
        let mut place = place.lock().await;
        let Some(instance) = place.as_mut() else { bail!("there is no server {instance_id}") };
        let copy = self.copy(snapshot_id);
        ensure!(!copy.exists(), "there is a snapshot {snapshot_id} already");
        if let Some(parent) = copy.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        }
        let draft = self.copy(&format!("{snapshot_id}.draft"));
        let kept = match instance.server.copy(&draft).await {
            Ok(()) => std::fs::rename(&draft, &copy).context("keeping the copy"),
            Err(error) => Err(error),
        };
        if kept.is_err() {
            command::remove_folder(&draft).await?;
        }
        kept.with_context(|| format!("taking the snapshot {snapshot_id}"))
    }

    async fn delete_snapshot(&self, snapshot_id: &str) -> anyhow::Result<()> {
        checked_name(snapshot_id)?;
        command::remove_folder(&self.copy(snapshot_id)).await
    }

    async fn restore(&self, snapshot_id: &str, spec: &DbSpec) -> anyhow::Result<Ipv4Addr> {
        checked_name(snapshot_id)?;
        let copy = self.copy(snapshot_id);
        ensure!(copy.is_dir(), "there is no data of the snapshot {snapshot_id}");
        let address = self.build(spec, Origin::Snapshot(&copy)).await?;
        if !spec.master_password.is_empty() {
            self.set_master_password(&spec.id, &spec.master_password).await?;
        }
        Ok(address)
    }

    async fn set_master_password(&self, instance_id: &str, password: &str) -> anyhow::Result<()> {
        let place = self.place(instance_id).await?;
        let mut place = place.lock().await;
        let Some(instance) = place.as_mut() else { bail!("there is no server {instance_id}") };
        let set = instance.server.set_master_password(&instance.spec.master_user, password).await;
        set.with_context(|| format!("setting the password of {instance_id}"))?;
        instance.spec.master_password = password.to_owned();
        Ok(())
    }

    async fn delete(&self, instance_id: &str) -> anyhow::Result<()> {
        let place = self.place(instance_id).await?;
        let mut place = place.lock().await;
        let Some(Instance { spec, server, .. }) = place.take() else { bail!("there is no server {instance_id}") };
        server.end().await.with_context(|| format!("stopping {instance_id}"))?;
        self.clear_away(&spec).await.with_context(|| format!("removing {instance_id}"))?;
        self.instances.lock().await.remove(instance_id);
        Ok(())
    }

    fn programs(&self, engine: Engine, major: u32) -> anyhow::Result<Option<PathBuf>> {
        match engine {
            Engine::Postgres => self.parts.postgres.programs(major).map(Some),
            // In this very process.
            Engine::SqlServer(_) => Ok(None),
        }
    }

    async fn administrator_dsn(&self, instance_id: &str) -> anyhow::Result<Option<String>> {
        let place = self.place(instance_id).await?;
        let place = place.lock().await;
        let Some(instance) = place.as_ref() else { bail!("there is no server {instance_id}") };
        Ok(instance.server.administrator_dsn())
    }
}
