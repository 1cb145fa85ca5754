//! DB instances: real PostgreSQL servers, each with a data folder, a network namespace and a certificate of its own.
//!
//! A snapshot is a copy of the data folder taken while every process of the server stands still. That is exactly what a
//! crash would leave, so PostgreSQL's own recovery makes it consistent at the restore; no call of the server is needed
//! and every major version behaves alike.

mod programs;
mod server;
mod settings;
mod template;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use tokio::sync::Mutex;

use self::server::{Access, Server};
use super::authority::Authority;
use super::hosts::Hosts;
use super::network::{Fabric, Port};
use super::nursery::Nursery;
use super::ruleset::Kind;
use super::{Databases, DbSpec, checked_name, command};

pub(crate) use self::programs::Programs;
pub(crate) use self::template::Templates;

/// Files of a data folder that belong to a running server, not to its data.
const RUNTIME_FILES: &[&str] = &["postmaster.pid", "postmaster.opts"];

/// All DB instances of a cloud.
#[derive(Debug)]
pub struct Postgres {
    parts: Parts,
    instances: Mutex<BTreeMap<String, Arc<Mutex<Option<Instance>>>>>,
}

/// What the instances share.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Holds `databases/` and `snapshots/`.
    pub(crate) folder: PathBuf,
    pub(crate) nursery: Nursery,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) programs: Programs,
    pub(crate) templates: Templates,
    /// Port of the gateway's directory, which judges IAM tokens.
    pub(crate) directory: u16,
    /// Password of `rdsadmin` on every instance of this cloud.
    pub(crate) administrator_password: String,
}

/// One instance that is there.
#[derive(Debug)]
struct Instance {
    spec: DbSpec,
    home: PathBuf,
    access: Access,
    server: Server,
}

/// Where the data of a new instance comes from.
enum Origin<'a> {
    Empty,
    Snapshot(&'a Path),
}

impl Postgres {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, instances: Mutex::default() }
    }

    /// Major versions that can be created.
    pub fn majors(&self) -> Vec<u32> {
        self.parts.programs.majors()
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
                let address = instance.access.address;
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
        let parts = &self.parts;
        if spec.iam_authentication {
            parts.programs.check_directory_support(spec.major)?;
        }
        let home = self.home(&spec.id);
        let data = home.join("data");
        template::prepare_home(&parts.programs, &home)?;
        match origin {
            Origin::Empty => {
                command::copy_folder(&parts.templates.get(&parts.programs, spec.major).await?, &data).await?;
                let statements = settings::first_statements(spec, &parts.administrator_password);
                template::run_alone(&parts.programs, spec.major, &home, &statements).await?;
            }
            Origin::Snapshot(copy) => {
                command::copy_folder(copy, &data).await?;
                for name in RUNTIME_FILES {
                    remove_file(&data.join(name))?;
                }
            }
        }
        let Port { address, namespace } = parts.fabric.join(&spec.id, Kind::Database).await?;
        self.write_settings(spec, &home, address)?;
        let access = Access {
            host_name: spec.host_name.clone(),
            address,
            port: spec.port,
            password: parts.administrator_password.clone(),
        };
        let server = Server::start(&parts.nursery, &parts.programs, spec.major, &home, &namespace, &access).await?;
        parts.hosts.add(&spec.host_name, address)?;
        Ok(Instance { spec: spec.clone(), home, access, server })
    }

    fn write_settings(&self, spec: &DbSpec, home: &Path, address: Ipv4Addr) -> anyhow::Result<()> {
        let identity = self.parts.authority.issue(&spec.host_name, address)?;
        let access = settings::access(spec, self.parts.fabric.gateway(), self.parts.directory);
        let files = [
            ("postgresql.conf", settings::configuration(spec)),
            ("pg_hba.conf", access),
            ("pg_ident.conf", String::new()),
            ("server.crt", identity.certificate),
            ("server.key", identity.key),
        ];
        let user = self.parts.programs.user();
        for (name, text) in files {
            let path = home.join(name);
            let write = || {
                let mut file =
                    std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
                std::io::Write::write_all(&mut file, text.as_bytes())?;
                chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            };
            write().with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
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

    /// Kills every server. Data stays for whoever wants to look.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let places: Vec<_> = std::mem::take(&mut *self.instances.lock().await).into_values().collect();
        let mut first_error = Ok(());
        for place in places {
            if let Some(instance) = place.lock().await.take()
                && let Err(error) = instance.server.kill().await
            {
                first_error = first_error.and(Err(error));
            }
        }
        first_error
    }
}

#[async_trait]
impl Databases for Postgres {
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
        // Not needed to be consistent: it shortens the recovery of the copy.
        instance.access.execute("CHECKPOINT").await.context("flushing before the snapshot")?;
        let draft = self.copy(&format!("{snapshot_id}.draft"));
        let frozen = instance.server.freeze().await?;
        let copied = command::copy_folder(&instance.home.join("data"), &draft).await;
        drop(frozen);
        let kept = match copied {
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
        let statement = settings::password_statement(&instance.spec.master_user, password);
        instance.access.execute(&statement).await.with_context(|| format!("setting the password of {instance_id}"))?;
        instance.spec.master_password = password.to_owned();
        Ok(())
    }

    async fn delete(&self, instance_id: &str) -> anyhow::Result<()> {
        let place = self.place(instance_id).await?;
        let mut place = place.lock().await;
        let Some(Instance { spec, server, .. }) = place.take() else { bail!("there is no server {instance_id}") };
        server.kill().await.with_context(|| format!("stopping {instance_id}"))?;
        self.clear_away(&spec).await.with_context(|| format!("removing {instance_id}"))?;
        self.instances.lock().await.remove(instance_id);
        Ok(())
    }

    fn programs(&self, major: u32) -> anyhow::Result<PathBuf> {
        self.parts.programs.folder(major)
    }

    async fn administrator_dsn(&self, instance_id: &str) -> anyhow::Result<String> {
        let place = self.place(instance_id).await?;
        let place = place.lock().await;
        let Some(instance) = place.as_ref() else { bail!("there is no server {instance_id}") };
        Ok(instance.access.dsn())
    }
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
