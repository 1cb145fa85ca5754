//! EC2 instances: processes in mount, PID, network, UTS and IPC namespaces of their own, over a private root.

mod image;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::image::Image;
use super::metadata::Metadata;
use super::network::{Fabric, Port};
use super::nursery::Nursery;
use super::ruleset::Kind;
use super::{Computers, InstanceSpec, checked_name, command, process};
use crate::packages::{CLIENTS, DEBIAN, Packages};

const LAUNCH: &str = include_str!("computers/launch.sh");
const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(20);

/// All EC2 instances of a cloud.
#[derive(Debug)]
pub struct Namespaces {
    shared: Arc<Shared>,
}

/// What the instances share.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Holds `computers/`, `consoles/`, `images/` and `hosts/`, the names that instances resolve.
    pub(crate) folder: PathBuf,
    pub(crate) nursery: Nursery,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) metadata: Arc<Metadata>,
    /// Folder with the AMI's `boot`.
    pub(crate) ami: PathBuf,
    /// CA that stands for Amazon's.
    pub(crate) authority: PathBuf,
    /// PostgreSQL clients; instances see them where Debian has its own.
    pub(crate) packages: Packages,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    running: Mutex<BTreeMap<String, Running>>,
    image: Mutex<Making>,
    powered_off: Mutex<Vec<String>>,
    news: Notify,
}

/// The image that the next instance boots, and the layers already written.
#[derive(Debug, Default)]
struct Making {
    worker_binary: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    /// Number of the current layer and whether it is written.
    number: u32,
    ready: bool,
}

/// An instance that has been booted and not yet been cleared away.
#[derive(Debug, Clone)]
struct Running {
    first: Option<Pid>,
    /// Asks for its end.
    stop: CancellationToken,
    /// Says that nothing of it is left.
    gone: CancellationToken,
}

impl Namespaces {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                running: Mutex::default(),
                image: Mutex::default(),
                powered_off: Mutex::default(),
                news: Notify::new(),
            }),
        }
    }

    /// Chooses the agent that instances booted from now on run.
    pub fn set_worker_binary(&self, path: &Path) -> anyhow::Result<()> {
        let path = path.canonicalize().with_context(|| format!("the worker binary {}", path.display()))?;
        ensure!(path.is_file(), "the worker binary {} is no file", path.display());
        let mut image = self.shared.image();
        image.worker_binary = Some(path);
        image.ready = false;
        Ok(())
    }

    /// Sets `/etc/haulier/environment` of instances booted from now on.
    pub fn set_environment(&self, environment: BTreeMap<String, String>) {
        let mut image = self.shared.image();
        image.environment = environment;
        image.ready = false;
    }

    /// Kills (`kill -9`) every process of an instance that runs the named program; returns how many there were.
    pub fn kill_program(&self, instance_id: &str, program: &str) -> anyhow::Result<usize> {
        let first = self.shared.running().get(instance_id).and_then(|running| running.first);
        let first = first.with_context(|| format!("there is no instance {instance_id}"))?;
        let mut killed = 0;
        for pid in process::namespace_members(first)? {
            if process::name(pid).as_deref() == Some(program) && kill(pid, Signal::SIGKILL).is_ok() {
                killed += 1;
            }
        }
        Ok(killed)
    }

    /// Ends every instance.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let ids: Vec<String> = self.shared.running().keys().cloned().collect();
        for id in ids {
            self.terminate(&id).await?;
        }
        Ok(())
    }

    async fn start(&self, spec: &InstanceSpec, port: &Port) -> anyhow::Result<(Child, Pid)> {
        let shared = &self.shared;
        let layer = shared.layer()?;
        let home = shared.home(&spec.id);
        for folder in ["work", "root", "tmp", "haulier"] {
            std::fs::create_dir_all(home.join(folder)).with_context(|| format!("creating {}", home.display()))?;
        }
        // Linked, not copied: nobody in an instance can write to what the image holds, and an agent can be large. It
        // cannot be a layer of its own, because the kernel refuses layers that lie within each other.
        command::link_folder(&layer, &home.join("upper")).await?;
        set_mode(&home.join("tmp"), 0o1777)?;
        let console = shared.console(&spec.id);
        let console = std::fs::File::options().create(true).append(true).open(&console).context("opening a console")?;
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command
            .args(["--pdeathsig=KILL", "--", "nsenter", &format!("--net={}", port.namespace), "--", "unshare"])
            .args(["--mount", "--propagation=slave", "--pid", "--uts", "--ipc", "--kill-child=KILL", "--"])
            .args(["sh", "-c", LAUNCH, "launch.sh"])
            .arg(&shared.parts.folder)
            .arg(&spec.id)
            .arg(format!("ip-{}", port.address.to_string().replace('.', "-")));
        for (major, folder) in shared.parts.packages.with(CLIENTS) {
            if !folder.starts_with(DEBIAN) {
                command.arg(major.to_string()).arg(folder);
            }
        }
        command.stdin(Stdio::null()).stdout(console.try_clone().context("opening a console")?).stderr(console);
        let mut keeper = shared.parts.nursery.spawn(command).await?;
        let first = first_process(&mut keeper).await.with_context(|| format!("console: {}", shared.tail(&spec.id)))?;
        Ok((keeper, first))
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn image(&self) -> std::sync::MutexGuard<'_, Making> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn home(&self, id: &str) -> PathBuf {
        self.parts.folder.join("computers").join(id)
    }

    fn console(&self, id: &str) -> PathBuf {
        self.parts.folder.join("consoles").join(format!("{id}.log"))
    }

    fn image_folder(&self, number: u32) -> PathBuf {
        self.parts.folder.join("images").join(number.to_string())
    }

    fn tail(&self, id: &str) -> String {
        let text = std::fs::read(self.console(id)).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    /// The current image's folder, written at the first boot after a change.
    fn layer(&self) -> anyhow::Result<PathBuf> {
        let mut making = self.image();
        if !making.ready {
            let Some(worker_binary) = making.worker_binary.clone() else {
                bail!("the image has no worker binary yet; name one with PUT /_cloud/computers/image");
            };
            // Instances that run keep the layer they were booted from.
            making.number += 1;
            let image = Image {
                ami: self.parts.ami.clone(),
                worker_binary,
                authority: self.parts.authority.clone(),
                environment: making.environment.clone(),
            };
            image.build(&self.image_folder(making.number))?;
            making.ready = true;
        }
        Ok(self.image_folder(making.number))
    }

    /// Waits for an instance's end, by itself or by order, and clears it away.
    async fn attend(self: Arc<Self>, id: String, address: Ipv4Addr, mut keeper: Child, running: Running) {
        let ordered = tokio::select! {
            _ = keeper.wait() => false,
            () = running.stop.cancelled() => true,
        };
        let cleared = async {
            if let (true, Some(first)) = (ordered, running.first) {
                process::end_namespace(&mut keeper, first, STOP).await?;
            }
            self.clear_away(&id, address).await
        };
        if let Err(error) = cleared.await {
            tracing::error!(instance = id, error = format!("{error:#}"), "could not clear an instance away");
        }
        self.running().remove(&id);
        running.gone.cancel();
        if !ordered {
            self.powered_off.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            self.news.notify_one();
        }
    }

    /// The console stays: it says why an instance ended.
    async fn clear_away(&self, id: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        self.parts.metadata.remove(address);
        self.parts.fabric.leave(id).await?;
        command::remove_folder(&self.home(id)).await
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // Each instance's attendant clears it away, if the runtime still lives; if not, the kernel ends it.
        for running in self.shared.running().values() {
            running.stop.cancel();
        }
    }
}

#[async_trait]
impl Computers for Namespaces {
    async fn boot(&self, spec: &InstanceSpec) -> anyhow::Result<Ipv4Addr> {
        checked_name(&spec.id)?;
        let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
        let mut running = Running { first: None, stop, gone };
        {
            let mut all = self.shared.running();
            ensure!(!all.contains_key(&spec.id), "there is an instance {} already", spec.id);
            all.insert(spec.id.clone(), running.clone());
        }
        let booted = async {
            let port = self.shared.parts.fabric.join(&spec.id, Kind::Computer).await?;
            self.shared.parts.metadata.add(port.address, spec);
            match self.start(spec, &port).await {
                Ok((keeper, first)) => Ok((port.address, keeper, first)),
                Err(error) => {
                    self.shared.clear_away(&spec.id, port.address).await.context("undoing a failed boot")?;
                    Err(error)
                }
            }
        };
        match booted.await {
            Ok((address, keeper, first)) => {
                running.first = Some(first);
                self.shared.running().insert(spec.id.clone(), running.clone());
                tokio::spawn(Arc::clone(&self.shared).attend(spec.id.clone(), address, keeper, running));
                Ok(address)
            }
            Err(error) => {
                self.shared.running().remove(&spec.id);
                running.gone.cancel();
                Err(error.context(format!("booting {}", spec.id)))
            }
        }
    }

    async fn terminate(&self, instance_id: &str) -> anyhow::Result<()> {
        let Some(running) = self.shared.running().get(instance_id).cloned() else { return Ok(()) };
        running.stop.cancel();
        running.gone.cancelled().await;
        Ok(())
    }

    async fn powered_off(&self) -> Vec<String> {
        loop {
            let ended = std::mem::take(&mut *self.shared.powered_off.lock().unwrap_or_else(PoisonError::into_inner));
            if !ended.is_empty() {
                return ended;
            }
            self.shared.news.notified().await;
        }
    }

    async fn set_metadata(&self, instance_id: &str, path: &str, body: String) -> anyhow::Result<()> {
        self.shared.parts.metadata.set(instance_id, path, body)
    }

    async fn console(&self, instance_id: &str) -> anyhow::Result<String> {
        checked_name(instance_id)?;
        let path = self.shared.console(instance_id);
        let text = tokio::fs::read(&path).await.with_context(|| format!("{instance_id} has no console"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The first process of the namespace that `keeper` has made.
async fn first_process(keeper: &mut Child) -> anyhow::Result<Pid> {
    let deadline = Instant::now() + START;
    loop {
        if let Some(status) = keeper.try_wait().context("watching the instance")? {
            bail!("the instance ended at its start ({status})");
        }
        let pid = keeper.id().context("the instance has just ended")?;
        let children = process::children(Pid::from_raw(i32::try_from(pid)?)).unwrap_or_default();
        if let [first] = children[..] {
            return Ok(first);
        }
        ensure!(Instant::now() < deadline, "the instance does not start");
        sleep(Duration::from_millis(2)).await;
    }
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}
