//! Which /24 of the host a cloud owns, and the names derived from it.
//!
//! Several clouds run on one host at once. Each holds an advisory lock on one file of [`LOCKS`] for as long as it lives;
//! the kernel drops the lock with the process, however that ends. A slot whose lock is free but whose interfaces exist
//! was left by a cloud that was killed, and is swept before it is used again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::{command, sweep};

const LOCKS: &str = "/run/haulier-cloud";
const SLOTS: u8 = 64;
/// The clouds' networks are `10.213.<slot>.0/24`.
const SECOND_OCTET: u8 = 213;
/// Host side of the bridge.
const GATEWAY: u8 = 1;

/// A claimed /24; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u8,
    _lock: File,
}

impl Slot {
    /// Sweeps what dead clouds left, then claims the first free slot.
    pub(crate) async fn claim(owner: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(LOCKS).with_context(|| format!("creating {LOCKS}"))?;
        let mut claimed = None;
        for number in 0..SLOTS {
            let path = format!("{LOCKS}/{number}.lock");
            let fresh = !Path::new(&path).exists();
            if fresh && claimed.is_some() {
                continue;
            }
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = file.with_context(|| format!("opening {path}"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {path}")),
            }
            let slot = Self { number, _lock: file };
            if let Err(error) = sweep::sweep(&slot.prefix()).await {
                // What was killed a moment ago may still be dying. The next cloud tries again.
                tracing::warn!(error = format!("{error:#}"), number, "what a dead cloud left cannot be swept yet");
                continue;
            }
            if claimed.is_none() && slot.is_unrouted().await? {
                claimed = Some(slot);
            }
        }
        let Some(slot) = claimed else { bail!("all {SLOTS} networks for local clouds are taken; stop one first") };
        slot.sign(owner)?;
        Ok(slot)
    }

    /// Notes who holds the slot, for a human who looks.
    fn sign(&self, owner: &Path) -> anyhow::Result<()> {
        let mut file = &self._lock;
        file.set_len(0).context("clearing the lock file")?;
        writeln!(file, "{} {}", std::process::id(), owner.display()).context("writing the lock file")
    }

    /// Whether nothing else on the host uses the network.
    async fn is_unrouted(&self) -> anyhow::Result<bool> {
        let network = format!("10.{SECOND_OCTET}.{}.0/24", self.number);
        Ok(command::run("ip", &["-4", "route", "show", "root", &network]).await?.trim().is_empty())
    }

    /// What every interface and namespace of this cloud begins with.
    pub(crate) fn prefix(&self) -> String {
        format!("hcl{:02}", self.number)
    }

    /// Name of the bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("{}br", self.prefix())
    }

    /// The bridge's hardware address, locally administered.
    pub(crate) fn hardware_address(&self) -> String {
        format!("02:68:63:6c:00:{:02x}", self.number)
    }

    /// Name of a machine's namespace and of the host's end of its cable.
    pub(crate) fn port(&self, octet: u8) -> String {
        format!("{}m{octet}", self.prefix())
    }

    /// The host's address in the cloud.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.address(GATEWAY)
    }

    /// Address of a machine.
    pub(crate) fn address(&self, octet: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, SECOND_OCTET, self.number, octet)
    }
}
