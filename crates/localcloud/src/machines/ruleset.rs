//! The nftables text that one machine's namespace is given: a pure rendering of the firewall.
//!
//! Default is drop in both directions for what opens a connection; replies always pass, as with security groups, whose
//! removal does not cut what is established either. Beyond the rules, the host may enter DB instances (that is where
//! tests and the `rdsadmin` administrator sit), DB instances may ask the gateway's directory whether an IAM token is
//! good, and EC2 instances reach the gateway over TCP: AWS's endpoints, the coordinator and the metadata service.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::{Firewall, Peer, Rule};

/// What a machine is; decides what it may do without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A DB instance.
    Database,
    /// An EC2 instance.
    Computer,
}

/// The ports of the gateway that machines are led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Services {
    /// Instance metadata.
    pub(crate) metadata: u16,
    /// The directory that judges IAM tokens.
    pub(crate) directory: u16,
}

/// One machine as the renderer sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: Kind,
    pub(crate) cut: bool,
}

/// Renders the whole ruleset of one machine, ready for `nft -f`; loading it replaces the former one in one step.
pub(crate) fn render(
    subject: Subject<'_>,
    firewall: &Firewall,
    addresses: &BTreeMap<String, Ipv4Addr>,
    gateway: Ipv4Addr,
    services: Services,
) -> String {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    if !subject.cut {
        for chain in [&mut input, &mut output] {
            chain.push("ct state established,related accept".to_owned());
        }
        match subject.kind {
            Kind::Database => {
                input.push(format!("ip saddr {gateway} accept"));
                output.push(format!("ip daddr {gateway} tcp dport {} accept", services.directory));
            }
            Kind::Computer => output.push(format!("ip daddr {gateway} meta l4proto tcp accept")),
        }
        input.extend(rules(firewall.ingress.get(subject.id), "saddr", addresses));
        output.extend(rules(firewall.egress.get(subject.id), "daddr", addresses));
    }
    let mut text = String::from("table inet haulier\ndelete table inet haulier\ntable inet haulier {\n");
    chain(&mut text, "input", "iif", &input);
    chain(&mut text, "output", "oif", &output);
    if subject.kind == Kind::Computer {
        let _ = write!(
            text,
            "  chain metadata {{\n    type nat hook output priority -100; policy accept;\n    \
             ip daddr 169.254.169.254 tcp dport 80 dnat ip to {gateway}:{}\n  }}\n",
            services.metadata
        );
    }
    text.push_str("}\n");
    text
}

fn chain(text: &mut String, hook: &str, interface: &str, rules: &[String]) {
    let _ = writeln!(text, "  chain {hook} {{\n    type filter hook {hook} priority 0; policy drop;");
    let _ = writeln!(text, "    {interface} lo accept");
    for rule in rules {
        let _ = writeln!(text, "    {rule}");
    }
    text.push_str("  }\n");
}

/// A peer that has no address yet (not booted, or gone) is no one: its rule comes into force when it joins.
fn rules<'a>(
    rules: Option<&'a BTreeSet<Rule>>,
    side: &'a str,
    addresses: &'a BTreeMap<String, Ipv4Addr>,
) -> impl Iterator<Item = String> + 'a {
    rules.into_iter().flatten().filter_map(move |rule| {
        let peer = match &rule.peer {
            Peer::Machine(id) => addresses.get(id)?.to_string(),
            // Only what reads as an IPv4 block gets into the text.
            Peer::Cidr(block) => checked_block(block)?,
        };
        Some(match rule.ports {
            Some((from, to)) => format!("ip {side} {peer} tcp dport {from}-{to} accept"),
            None => format!("ip {side} {peer} accept"),
        })
    })
}

fn checked_block(block: &str) -> Option<String> {
    let (address, length) = block.split_once('/')?;
    let (address, length) = (address.parse::<Ipv4Addr>().ok()?, length.parse::<u8>().ok()?);
    (length <= 32).then(|| format!("{address}/{length}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);
    const SERVICES: Services = Services { metadata: 8169, directory: 8389 };

    fn text(id: &str, kind: Kind, cut: bool) -> String {
        let pair = |peer: &str| Rule { peer: Peer::Machine(peer.into()), ports: Some((5432, 5432)) };
        let mut firewall = Firewall::default();
        firewall.ingress.insert("db".into(), [pair("i-1"), pair("i-absent")].into());
        firewall
            .egress
            .insert("i-1".into(), [pair("db"), Rule { peer: Peer::Cidr("0.0.0.0/0".into()), ports: None }].into());
        firewall
            .egress
            .insert("i-2".into(), [Rule { peer: Peer::Cidr("0.0.0.0/0 accept; #".into()), ports: None }].into());
        let addresses =
            [("db".to_owned(), Ipv4Addr::new(10, 213, 0, 10)), ("i-1".to_owned(), Ipv4Addr::new(10, 213, 0, 11))];
        render(Subject { id, kind, cut }, &firewall, &addresses.into(), GATEWAY, SERVICES)
    }

    #[test]
    fn a_database_lets_in_the_gateway_and_the_named_machine_on_the_named_port() {
        let text = text("db", Kind::Database, false);
        assert!(text.contains("ip saddr 10.213.0.1 accept\n"));
        assert!(text.contains("ip saddr 10.213.0.11 tcp dport 5432-5432 accept\n"));
        assert_eq!(text.matches("saddr").count(), 2, "{text}");
        assert_eq!(text.matches("policy drop").count(), 2);
        assert!(!text.contains("dnat"));
    }

    #[test]
    fn a_computer_reaches_the_gateway_and_its_metadata_and_lets_nobody_in() {
        let text = text("i-1", Kind::Computer, false);
        assert!(text.contains("dnat ip to 10.213.0.1:8169"));
        assert!(text.contains("ip daddr 10.213.0.1 meta l4proto tcp accept\n"));
        assert!(text.contains("ip daddr 10.213.0.10 tcp dport 5432-5432 accept\n"));
        assert!(text.contains("ip daddr 0.0.0.0/0 accept\n"));
        assert!(!text.contains("saddr"));
    }

    #[test]
    fn a_cut_machine_keeps_only_itself() {
        let text = text("i-1", Kind::Computer, true);
        assert!(!text.contains("established"));
        assert_eq!(text.matches("accept").count(), 3, "loopback twice and the policy of the nat chain: {text}");
    }

    #[test]
    fn what_is_no_address_block_never_reaches_nft() {
        assert!(!text("i-2", Kind::Computer, false).contains('#'));
    }
}
