//! DB instances: real PostgreSQL servers, each with a data folder, a network namespace and a certificate of its own.
//!
//! A snapshot is a copy of the data folder taken while every process of the server stands still. That is exactly what a
//! crash would leave, so PostgreSQL's own recovery makes it consistent at the restore; no call of the server is needed
//! and every major version behaves alike.

mod programs;
mod server;
mod settings;
mod template;

use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;

use self::server::{Access, Server};
use super::authority::Identity;
use super::fleet::{Origin, Running, Servers};
use super::network::{Fabric, Port};
use super::nursery::Nursery;
use super::{DbSpec, command};

pub(crate) use self::programs::Programs;
pub(crate) use self::template::Templates;

/// Files of a data folder that belong to a running server, not to its data.
const RUNTIME_FILES: &[&str] = &["postmaster.pid", "postmaster.opts"];

/// What PostgreSQL instances share.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) nursery: Nursery,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) programs: Programs,
    pub(crate) templates: Templates,
    /// Port of the gateway's directory, which judges IAM tokens.
    pub(crate) directory: u16,
    /// Password of `rdsadmin` on every instance of this cloud.
    pub(crate) administrator_password: String,
}

/// A server that runs.
#[derive(Debug)]
struct Instance {
    data: PathBuf,
    access: Access,
    server: Server,
}

impl Postgres {
    /// Major versions that can be created.
    pub(super) fn majors(&self) -> Vec<u32> {
        self.programs.majors()
    }

    /// The folder of a major version's programs.
    pub(super) fn programs(&self, major: u32) -> anyhow::Result<PathBuf> {
        self.programs.folder(major)
    }

    fn write_settings(&self, spec: &DbSpec, home: &Path, identity: Identity) -> anyhow::Result<()> {
        let access = settings::access(spec, self.fabric.gateway(), self.directory);
        let files = [
            ("postgresql.conf", settings::configuration(spec)),
            ("pg_hba.conf", access),
            ("pg_ident.conf", String::new()),
            ("server.crt", identity.certificate),
            ("server.key", identity.key),
        ];
        let user = self.programs.user();
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
}

#[async_trait]
impl Servers for Postgres {
    async fn prepare(&self, spec: &DbSpec, home: &Path, origin: Origin<'_>) -> anyhow::Result<()> {
        if spec.iam_authentication {
            self.programs.check_directory_support(spec.major)?;
        }
        let data = home.join("data");
        template::prepare_home(&self.programs, home)?;
        match origin {
            Origin::Empty => {
                command::copy_folder(&self.templates.get(&self.programs, spec.major).await?, &data).await?;
                let statements = settings::first_statements(spec, &self.administrator_password);
                template::run_alone(&self.programs, spec.major, home, &statements).await
            }
            Origin::Snapshot(copy) => {
                command::copy_folder(copy, &data).await?;
                RUNTIME_FILES.iter().try_for_each(|name| remove_file(&data.join(name)))
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
        self.write_settings(spec, home, identity)?;
        let access = Access {
            host_name: spec.host_name.clone(),
            address: port.address,
            port: spec.port,
            password: self.administrator_password.clone(),
        };
        let server = Server::start(&self.nursery, &self.programs, spec.major, home, &port.namespace, &access).await?;
        Ok(Box::new(Instance { data: home.join("data"), access, server }))
    }
}

#[async_trait]
impl Running for Instance {
    async fn copy(&mut self, target: &Path) -> anyhow::Result<()> {
        // Not needed to be consistent: it shortens the recovery of the copy.
        self.access.execute("CHECKPOINT").await.context("flushing before the snapshot")?;
        let frozen = self.server.freeze().await?;
        let copied = command::copy_folder(&self.data, target).await;
        drop(frozen);
        copied
    }

    async fn set_master_password(&mut self, user: &str, password: &str) -> anyhow::Result<()> {
        self.access.execute(&settings::password_statement(user, password)).await
    }

    fn administrator_dsn(&self) -> Option<String> {
        Some(self.access.dsn())
    }

    async fn end(self: Box<Self>) -> anyhow::Result<()> {
        self.server.kill().await
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
