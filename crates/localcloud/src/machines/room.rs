//! The machine room: the network, the DB servers and the EC2 instances of one cloud, put together and taken apart.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::authority::Authority;
use super::computers::{self, Namespaces};
use super::fleet::{self, Fleet};
use super::folder::Folder;
use super::hosts::Hosts;
use super::metadata::Metadata;
use super::network::Fabric;
use super::nursery::Nursery;
use super::postgres::{Postgres, Programs, Templates};
use super::ruleset::Services;
use super::sqlserver::SqlServers;
use super::{TokenJudge, command, directory};
use crate::packages::Packages;

/// What a machine room needs to know.
#[derive(Debug, Clone)]
pub struct RoomConfig {
    /// The cloud's folder: data, consoles and logs lie here. It must not hold another cloud's.
    pub dir: PathBuf,
    /// Folder with the AMI's `boot`.
    pub ami: PathBuf,
    /// PostgreSQL packages besides Debian's, in folders named by major version.
    pub packages: Option<PathBuf>,
    /// Where prepared database clusters and installed PostgreSQL versions are kept between clouds.
    pub cache: PathBuf,
}

/// One cloud's machines. Ends with [`MachineRoom::close`]; dropped without it, everything dies all the same and what it
/// leaves on the host is swept by the next cloud.
#[derive(Debug)]
pub struct MachineRoom {
    fabric: Arc<Fabric>,
    authority: Arc<Authority>,
    databases: Arc<Fleet>,
    computers: Arc<Namespaces>,
    services: CancellationToken,
    folder: Folder,
}

impl MachineRoom {
    /// Raises the network and its services. Needs root.
    pub async fn open(config: &RoomConfig, judge: Arc<dyn TokenJudge>) -> anyhow::Result<Self> {
        command::check_host()?;
        let folder = Folder::claim(&config.dir)?;
        let dir = folder.path().to_owned();
        let packages = Packages::new(config.packages.clone(), &config.cache);
        let programs = Programs::find(packages.clone())?;
        let nursery = Nursery::start()?;
        let authority = Arc::new(Authority::establish(&dir.join("ca.pem"))?);
        let hosts = Arc::new(Hosts::create(&dir.join("hosts"))?);
        let metadata = Arc::new(Metadata::default());
        let fabric = Arc::new(Fabric::open(&dir).await?);
        let services = CancellationToken::new();
        let stop_services = services.clone().drop_guard();
        let directory = directory::serve(fabric.gateway(), judge, services.clone()).await?;
        let metadata_port = Arc::clone(&metadata).serve(fabric.gateway(), services.clone()).await?;
        fabric.set_services(Services { metadata: metadata_port, directory })?;
        let postgres = Postgres {
            nursery: nursery.clone(),
            fabric: Arc::clone(&fabric),
            programs,
            templates: Templates::new(config.cache.join("templates")),
            directory,
            administrator_password: uuid::Uuid::new_v4().simple().to_string(),
        };
        let databases = Arc::new(Fleet::new(fleet::Parts {
            folder: dir.clone(),
            fabric: Arc::clone(&fabric),
            authority: Arc::clone(&authority),
            hosts: Arc::clone(&hosts),
            postgres,
            sqlserver: SqlServers::default(),
        }));
        let computers = Arc::new(Namespaces::new(computers::Parts {
            authority: authority.certificate_file().to_owned(),
            ami: config.ami.clone(),
            fabric: Arc::clone(&fabric),
            folder: dir,
            metadata,
            nursery,
            packages,
        }));
        stop_services.disarm();
        Ok(Self { fabric, authority, databases, computers, services, folder })
    }

    /// The host's address in the cloud: endpoints for machines listen here.
    pub fn gateway(&self) -> Ipv4Addr {
        self.fabric.gateway()
    }

    /// The cloud's folder, as an absolute path.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The network.
    pub fn network(&self) -> Arc<Fabric> {
        Arc::clone(&self.fabric)
    }

    /// The DB servers.
    pub fn databases(&self) -> Arc<Fleet> {
        Arc::clone(&self.databases)
    }

    /// The EC2 instances.
    pub fn computers(&self) -> Arc<Namespaces> {
        Arc::clone(&self.computers)
    }

    /// The CA that stands for Amazon's.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Ends every machine and removes the network. Goes on where a part fails; the first failure is returned.
    pub async fn close(&self) -> anyhow::Result<()> {
        let computers = self.computers.close().await.context("ending the EC2 instances");
        let databases = self.databases.close().await.context("ending the DB servers");
        self.services.cancel();
        let network = self.fabric.close().await.context("removing the network");
        computers.and(databases).and(network)
    }
}
