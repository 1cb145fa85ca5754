//! An instance and its listener, as the machine room handles them; and what no SQL has: making databases of any size,
//! changing their pages, comparing them.

mod logs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, ensure};
use jiff::civil::DateTime;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::backup::{Kind, inspect};
use super::connection;
use super::contents::Contents;
use super::database::{Database, Mode, Recovery};
use super::edition::Edition;
use super::foreign;
use super::instance::{Instance, Settings, now};
use super::restore::{Arrived, check};
use super::surroundings::Surroundings;
use super::tasks::Task;

/// What a server is started with.
pub(crate) struct Start<'a> {
    pub(crate) id: &'a str,
    pub(crate) edition: Edition,
    pub(crate) master_user: &'a str,
    pub(crate) master_password: &'a str,
    /// Its data, or nothing yet.
    pub(crate) folder: &'a Path,
    /// Whether the data are a snapshot's.
    pub(crate) copied: bool,
    /// Certificate and key in PEM.
    pub(crate) certificate: &'a str,
    pub(crate) key: &'a str,
    /// Bound already, in the instance's own namespace.
    pub(crate) listener: std::net::TcpListener,
    pub(crate) surroundings: Arc<dyn Surroundings>,
}

/// A running server.
pub(crate) struct Server(Arc<Instance>);

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Server").field(&self.0.id).finish()
    }
}

/// A database to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum NewDatabase {
    /// Pages made from a seed.
    Made {
        /// What they depend on.
        seed: u64,
        /// How many, of 8 KiB.
        pages: u32,
    },
    /// Backups by another server, which are kept and given back as they are: files on the host.
    Images {
        /// A full backup.
        full: Vec<PathBuf>,
        /// A differential one on top of it.
        #[serde(default)]
        differential: Vec<PathBuf>,
    },
}

/// A database as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Look {
    pub(crate) name: String,
    pub(crate) pages: u32,
    /// SHA-256 over its pages, or over its images where another server wrote them.
    pub(crate) fingerprint: String,
    /// The volumes that data and log lie on, by their letters.
    pub(crate) data_volume: char,
    pub(crate) log_volume: char,
    /// Whether it has change data capture.
    pub(crate) captures_changes: bool,
}

/// A backup to write to files on the host, as another server would have written it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewImages {
    /// A differential backup, on the last full one.
    #[serde(default)]
    differential: bool,
    /// The files, one or several.
    files: Vec<PathBuf>,
}

/// A database, and whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) restoring: bool,
}

/// A native task as the queue has it, whatever is asked by SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TaskLook {
    pub(crate) id: u32,
    pub(crate) r#type: &'static str,
    pub(crate) database: String,
    pub(crate) arn: String,
    pub(crate) lifecycle: &'static str,
    pub(crate) info: String,
}

impl Server {
    /// Opens the data and serves connections.
    pub(crate) fn start(start: Start<'_>) -> anyhow::Result<Self> {
        let settings = Settings {
            id: start.id.to_owned(),
            edition: start.edition,
            master_user: start.master_user.to_owned(),
            master_password: start.master_password.to_owned(),
        };
        let instance = Instance::open(settings, start.folder, start.copied, start.surroundings)?;
        let tls = Arc::new(tls(start.certificate, start.key)?);
        start.listener.set_nonblocking(true).context("preparing the listener")?;
        let listener = TcpListener::from_std(start.listener).context("preparing the listener")?;
        instance.work.spawn(connection::serve(Arc::clone(&instance), listener, tls));
        Ok(Self(instance))
    }

    /// Ends connections and tasks.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }

    /// Sets the master's password.
    pub(crate) fn set_password(&self, password: &str) {
        self.0.set_password(password);
    }

    /// Chooses between the two answers to an order that RDS is known for: a row with numbers, or `Task Id: N`.
    pub(crate) fn tell_tasks_as_text(&self, text: bool) {
        self.0.tells_tasks_as_text.store(text, Ordering::Relaxed);
    }

    /// Copies the data, as a snapshot does.
    pub(crate) async fn copy(&self, target: &Path) -> anyhow::Result<()> {
        let (instance, target) = (Arc::clone(&self.0), target.to_owned());
        tokio::task::spawn_blocking(move || instance.copy(&target)).await?
    }

    /// CREATE DATABASE for `DBName` and for tests.
    pub(crate) async fn create(&self, name: &str, new: NewDatabase) -> anyhow::Result<()> {
        let (instance, name) = (Arc::clone(&self.0), name.to_owned());
        tokio::task::spawn_blocking(move || match new {
            NewDatabase::Made { seed, pages } => {
                let contents = Contents::seeded(seed, pages);
                Ok(instance.change(|state| state.create(&name, Recovery::Full, Some(contents), now()))??)
            }
            NewDatabase::Images { full, differential } => load(&instance, &name, &full, &differential),
        })
        .await?
    }

    /// Changes so many pages of a database, chosen by a seed; returns when that was committed.
    pub(crate) fn change_pages(&self, name: &str, count: u32, seed: u64) -> anyhow::Result<DateTime> {
        let logged = self.0.surroundings.retention_days(&self.0.id) > 0;
        self.0.change(|state| {
            let database = state.get_mut(name).with_context(|| format!("there is no database {name}"))?;
            ensure!(database.mode == Mode::Online, "{name} is restoring");
            ensure!(!database.contents.is_opaque(), "{name} is another server's, and is kept as it is");
            Ok(database.change(count, seed, logged, now()))
        })?
    }

    /// Removes a database, as DROP DATABASE does: its history stays.
    pub(crate) fn remove(&self, name: &str) -> anyhow::Result<()> {
        Ok(self.0.change(|state| state.drop(name, false))??)
    }

    /// Every user's database.
    pub(crate) fn databases(&self) -> Vec<Name> {
        let look =
            |database: &Database| Name { name: database.name.clone(), restoring: database.mode == Mode::Restoring };
        self.0.read(|state| state.databases.values().map(look).collect())
    }

    /// Every native task since the instance started, oldest first.
    pub(crate) fn task_list(&self) -> Vec<TaskLook> {
        let look = |task: &Task| TaskLook {
            id: task.id,
            r#type: task.order.work.name(),
            database: task.order.database.clone(),
            arn: task.order.arn.clone(),
            lifecycle: task.lifecycle.name(),
            info: task.info.clone(),
        };
        self.0.tasks(|tasks| tasks.iter().map(look).collect())
    }

    /// Writes a backup of a database to files on the host.
    pub(crate) async fn write_images(&self, name: &str, images: NewImages) -> anyhow::Result<()> {
        let (instance, name) = (Arc::clone(&self.0), name.to_owned());
        let kind = if images.differential { Kind::Differential } else { Kind::Full };
        tokio::task::spawn_blocking(move || foreign::write(&instance, &name, kind, &images.files)).await?
    }

    /// SHA-256 of each file that a database was restored from or made of, those of a differential backup last.
    pub(crate) async fn image_hashes(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let found = self.0.read(|state| state.get(name).map(|database| database.contents.clone()));
        let contents = found.with_context(|| format!("there is no database {name}"))?;
        let folder = self.0.images();
        tokio::task::spawn_blocking(move || contents.image_hashes(&folder)).await?.context("reading images")
    }

    /// Looks at a database.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<Look> {
        let found = self.0.read(|state| state.get(name).cloned());
        let database = found.with_context(|| format!("there is no database {name}"))?;
        let folder = self.0.images();
        let (name, pages, placing) = (database.name.clone(), database.contents.pages, database.placing);
        let print = move || database.contents.fingerprint(&folder);
        let fingerprint = tokio::task::spawn_blocking(print).await?.context("reading the database")?;
        Ok(Look {
            name,
            pages,
            fingerprint,
            data_volume: placing.data,
            log_volume: placing.log,
            captures_changes: placing.keep_cdc,
        })
    }
}

/// Makes a database of images on the host.
fn load(instance: &Instance, name: &str, full: &[PathBuf], differential: &[PathBuf]) -> anyhow::Result<()> {
    let arrive = |paths: &[PathBuf]| -> anyhow::Result<Vec<Arrived>> {
        let arrive = |path: &PathBuf| {
            let inspected = inspect(path).with_context(|| format!("reading {}", path.display()))?;
            let own = PathBuf::from(format!("image-{}.bak", uuid::Uuid::new_v4().simple()));
            Ok(Arrived { name: path.display().to_string(), path: own, inspected })
        };
        paths.iter().map(arrive).collect()
    };
    let (first, second) = (arrive(full)?, arrive(differential)?);
    instance.change(|state| -> anyhow::Result<()> {
        ensure!(!state.is_taken(name), "there is a database {name} already");
        let mut database = Database::new(state.next_id(), name, now(), Recovery::Full, Contents::nothing());
        database.mode = Mode::Restoring;
        check(&first, Kind::Full, None)?.apply(&mut database, Kind::Full);
        if !second.is_empty() {
            check(&second, Kind::Differential, Some(&database))?.apply(&mut database, Kind::Differential);
        }
        database.come_online();
        for (arrived, path) in first.iter().chain(&second).zip(full.iter().chain(differential)) {
            let own = instance.images().join(&arrived.path);
            std::fs::copy(path, own).with_context(|| format!("copying {}", path.display()))?;
        }
        state.insert(database);
        Ok(())
    })?
}

fn tls(certificate: &str, key: &str) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("reading the server's key")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // TDS 7 wraps the handshake and nothing after it: with TLS 1.3 there would be something after it.
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .context("preparing TLS 1.2")?
        .with_no_client_auth()
        .with_single_cert(chain.context("reading the server's certificate")?, key)
        .context("preparing TLS")
}
