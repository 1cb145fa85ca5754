//! The cloud's network: a bridge in the host's namespace, and for each machine a namespace with an address of its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::ruleset::{self, Kind, Services, Subject};
use super::slot::Slot;
use super::{Firewall, Network, command, sweep};

/// Addresses below this one are the gateway's and kept free.
const FIRST: u8 = 10;
const LAST: u8 = 250;

/// A machine's place in the network.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// Path of its network namespace, for `nsenter --net=`.
    pub(crate) namespace: String,
}

/// The bridge and everything plugged into it.
#[derive(Debug)]
pub struct Fabric {
    slot: Slot,
    services: OnceLock<Services>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<String, Member>,
    firewall: Firewall,
    /// Where the search for a free address goes on: an address is reused as late as possible, because a dead machine's
    /// peers may still send to it.
    cursor: u8,
}

#[derive(Debug)]
struct Member {
    kind: Kind,
    octet: u8,
    cut: bool,
    /// What the namespace enforces at the moment.
    loaded: Option<String>,
}

impl Fabric {
    /// Claims a /24 and raises the bridge.
    pub(crate) async fn open(owner: &Path) -> anyhow::Result<Self> {
        let slot = Slot::claim(owner).await?;
        let (bridge, gateway) = (slot.bridge(), slot.gateway());
        // A bridge without a hardware address of its own takes that of one of its ports, another one whenever ports come
        // and go; the machines would keep sending to the former one.
        let hardware = slot.hardware_address();
        let batch = format!(
            "link add {bridge} address {hardware} type bridge\naddress add {gateway}/24 dev {bridge}\nlink set {bridge} up\n"
        );
        command::run_with_input("ip", &["-batch", "-"], &batch).await.context("raising the cloud's bridge")?;
        Ok(Self { slot, services: OnceLock::new(), state: Mutex::default() })
    }

    /// The host's address in the cloud.
    pub fn gateway(&self) -> Ipv4Addr {
        self.slot.gateway()
    }

    /// What the cloud's interfaces and namespaces are called at their beginning.
    pub fn prefix(&self) -> String {
        self.slot.prefix()
    }

    /// Names the gateway's ports; must come before the first machine.
    pub(crate) fn set_services(&self, services: Services) -> anyhow::Result<()> {
        self.services.set(services).map_err(|_| anyhow::anyhow!("the gateway's services are named twice"))
    }

    /// Plugs a machine in. The firewall is in force before anything can run there.
    pub(crate) async fn join(&self, machine: &str, kind: Kind) -> anyhow::Result<Port> {
        let mut state = self.state.lock().await;
        ensure!(!state.members.contains_key(machine), "{machine} is in the network already");
        let octet = state.free_octet()?;
        let (name, address) = (self.slot.port(octet), self.slot.address(octet));
        state.members.insert(machine.to_owned(), Member { kind, octet, cut: false, loaded: None });
        let plugged = async {
            self.plug(&name, address).await?;
            self.enforce(&mut state).await
        };
        if let Err(error) = plugged.await.with_context(|| format!("plugging {machine} into the network")) {
            state.members.remove(machine);
            sweep::remove_port(&name).await.context("undoing it")?;
            return Err(error);
        }
        Ok(Port { address, namespace: format!("/run/netns/{name}") })
    }

    async fn plug(&self, name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
        let outside = format!(
            "netns add {name}\nlink add {name} type veth peer name eth0 netns {name}\nlink set {name} master {} up\n",
            self.slot.bridge()
        );
        let inside = format!(
            "link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {}\n",
            self.gateway()
        );
        command::run_with_input("ip", &["-batch", "-"], &outside).await?;
        command::run_with_input("ip", &["-n", name, "-batch", "-"], &inside).await?;
        Ok(())
    }

    /// Unplugs a machine; one that is not plugged in is fine.
    pub(crate) async fn leave(&self, machine: &str) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        let Some(octet) = state.members.get(machine).map(|member| member.octet) else { return Ok(()) };
        let name = self.slot.port(octet);
        sweep::remove_port(&name).await.with_context(|| format!("unplugging {machine} from the network"))?;
        state.members.remove(machine);
        self.enforce(&mut state).await
    }

    /// Brings every namespace in line with the firewall; those that are already are left alone.
    async fn enforce(&self, state: &mut State) -> anyhow::Result<()> {
        let Some(services) = self.services.get().copied() else { bail!("the gateway's services are not named yet") };
        let addresses: BTreeMap<String, Ipv4Addr> =
            state.members.iter().map(|(id, member)| (id.clone(), self.slot.address(member.octet))).collect();
        let State { members, firewall, .. } = state;
        for (id, member) in members {
            let subject = Subject { id, kind: member.kind, cut: member.cut };
            let wanted = ruleset::render(subject, firewall, &addresses, self.gateway(), services);
            if member.loaded.as_ref() == Some(&wanted) {
                continue;
            }
            let inside = format!("--net=/run/netns/{}", self.slot.port(member.octet));
            command::run_with_input("nsenter", &[&inside, "nft", "-f", "-"], &wanted)
                .await
                .with_context(|| format!("loading the firewall of {id}"))?;
            member.loaded = Some(wanted);
        }
        Ok(())
    }

    /// Removes every namespace, cable and the bridge. Machines must have ended.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        self.state.lock().await.members.clear();
        sweep::sweep(&self.prefix()).await
    }
}

impl State {
    fn free_octet(&mut self) -> anyhow::Result<u8> {
        let span = LAST - FIRST + 1;
        for step in 0..u16::from(span) {
            let offset = u8::try_from((u16::from(self.cursor) + step) % u16::from(span))?;
            let octet = FIRST + offset;
            if self.members.values().all(|member| member.octet != octet) {
                self.cursor = (offset + 1) % span;
                return Ok(octet);
            }
        }
        bail!("the cloud's network is full: {span} machines")
    }
}

#[async_trait]
impl Network for Fabric {
    async fn apply(&self, firewall: &Firewall) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        state.firewall = firewall.clone();
        self.enforce(&mut state).await
    }

    async fn cut(&self, machine: &str, cut: bool) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        let Some(member) = state.members.get_mut(machine) else { bail!("there is no machine {machine}") };
        member.cut = cut;
        self.enforce(&mut state).await
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        // After an orderly end there is nothing left and this costs one listing.
        sweep::sweep_now(&self.prefix());
    }
}
