//! Machines that only remember what was asked of them, and an S3 that echoes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Mutex;

use anyhow::bail;
use async_trait::async_trait;
use axum::body::Body;
use haulier_localcloud::front::{BucketSetup, S3Handler};
use haulier_localcloud::machines::{Computers, Databases, DbSpec, Engine, Firewall, InstanceSpec, Network};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

/// All machines of a cloud.
pub(crate) struct Room {
    pub(crate) booted: Mutex<BTreeMap<String, InstanceSpec>>,
    pub(crate) metadata: Mutex<BTreeMap<(String, String), String>>,
    pub(crate) terminated: Mutex<BTreeSet<String>>,
    pub(crate) databases: Mutex<BTreeMap<String, DbSpec>>,
    /// Snapshot and the instance it copies.
    pub(crate) snapshots: Mutex<BTreeMap<String, String>>,
    /// New instance and the snapshot it is a copy of.
    pub(crate) restored: Mutex<BTreeMap<String, String>>,
    pub(crate) passwords: Mutex<BTreeMap<String, String>>,
    pub(crate) firewall: Mutex<Firewall>,
    power_off: mpsc::UnboundedSender<String>,
    powered_off: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Room {
    pub(crate) fn new() -> Self {
        let (power_off, powered_off) = mpsc::unbounded_channel();
        Self {
            booted: Mutex::default(),
            metadata: Mutex::default(),
            terminated: Mutex::default(),
            databases: Mutex::default(),
            snapshots: Mutex::default(),
            restored: Mutex::default(),
            passwords: Mutex::default(),
            firewall: Mutex::default(),
            power_off,
            powered_off: tokio::sync::Mutex::new(powered_off),
        }
    }

    /// The machine powers itself off.
    pub(crate) fn power_off(&self, id: &str) {
        self.power_off.send(id.to_owned()).unwrap();
    }
}

#[async_trait]
impl Computers for Room {
    async fn boot(&self, spec: &InstanceSpec) -> anyhow::Result<Ipv4Addr> {
        if spec.user_data == b"does not boot" {
            bail!("no room for {}", spec.id);
        }
        let mut booted = self.booted.lock().unwrap();
        booted.insert(spec.id.clone(), spec.clone());
        Ok(Ipv4Addr::new(10, 99, 0, u8::try_from(booted.len()).unwrap() + 10))
    }

    async fn terminate(&self, instance_id: &str) -> anyhow::Result<()> {
        self.terminated.lock().unwrap().insert(instance_id.to_owned());
        Ok(())
    }

    async fn powered_off(&self) -> Vec<String> {
        self.powered_off.lock().await.recv().await.into_iter().collect()
    }

    async fn set_metadata(&self, instance_id: &str, path: &str, body: String) -> anyhow::Result<()> {
        self.metadata.lock().unwrap().insert((instance_id.to_owned(), path.to_owned()), body);
        Ok(())
    }

    async fn console(&self, instance_id: &str) -> anyhow::Result<String> {
        Ok(format!("console of {instance_id}"))
    }
}

#[async_trait]
impl Databases for Room {
    async fn create(&self, spec: &DbSpec) -> anyhow::Result<Ipv4Addr> {
        self.databases.lock().unwrap().insert(spec.id.clone(), spec.clone());
        Ok(Ipv4Addr::new(10, 99, 0, 100))
    }

    async fn snapshot(&self, instance_id: &str, snapshot_id: &str) -> anyhow::Result<()> {
        self.snapshots.lock().unwrap().insert(snapshot_id.to_owned(), instance_id.to_owned());
        Ok(())
    }

    async fn delete_snapshot(&self, snapshot_id: &str) -> anyhow::Result<()> {
        self.snapshots.lock().unwrap().remove(snapshot_id);
        Ok(())
    }

    async fn restore(&self, snapshot_id: &str, spec: &DbSpec) -> anyhow::Result<Ipv4Addr> {
        self.restored.lock().unwrap().insert(spec.id.clone(), snapshot_id.to_owned());
        self.create(spec).await
    }

    async fn set_master_password(&self, instance_id: &str, password: &str) -> anyhow::Result<()> {
        self.passwords.lock().unwrap().insert(instance_id.to_owned(), password.to_owned());
        Ok(())
    }

    async fn delete(&self, instance_id: &str) -> anyhow::Result<()> {
        self.databases.lock().unwrap().remove(instance_id);
        Ok(())
    }

    fn programs(&self, engine: Engine, major: u32) -> anyhow::Result<Option<std::path::PathBuf>> {
        match engine {
            Engine::Postgres if major == 17 => bail!("no PostgreSQL 17 server on this host"),
            Engine::Postgres => Ok(Some(format!("/programs/{major}").into())),
            Engine::SqlServer(_) => Ok(None),
        }
    }

    async fn administrator_dsn(&self, instance_id: &str) -> anyhow::Result<Option<String>> {
        Ok(Some(format!("postgresql://rdsadmin@{instance_id}")))
    }
}

#[async_trait]
impl Network for Room {
    async fn apply(&self, firewall: &Firewall) -> anyhow::Result<()> {
        *self.firewall.lock().unwrap() = firewall.clone();
        Ok(())
    }

    async fn cut(&self, _machine: &str, _cut: bool) -> anyhow::Result<()> {
        Ok(())
    }
}

/// An S3 that answers every request with its body, and remembers how much of it came.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) received: Mutex<Vec<Result<usize, String>>>,
}

#[async_trait]
impl S3Handler for Echo {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        let length = body.as_ref().map(bytes::Bytes::len).map_err(ToString::to_string);
        self.received.lock().unwrap().push(length);
        Response::new(Body::from(body.unwrap_or_default()))
    }

    async fn buckets(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec!["echo".to_owned()])
    }

    fn bucket(&self, _name: &str) -> Option<BucketSetup> {
        None
    }
}
