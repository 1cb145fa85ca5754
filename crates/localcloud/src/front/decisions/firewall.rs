//! From security groups to the machine room's firewall.
//!
//! A machine lets in what any of its groups lets in; a rule that names a group stands for every machine that has that
//! group now. What no rule names is dropped. Only TCP and "everything" matter here: rules for other protocols open no
//! path that our machines use.

use std::collections::BTreeSet;

use super::groups::Groups;
use super::permissions::{Permission, RulePeer};
use crate::machines::{Firewall, Peer, Rule};

/// A machine and the groups in force on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// EC2 instance id or DB instance identifier.
    pub(crate) machine: String,
    /// Its groups.
    pub(crate) group_ids: Vec<String>,
}

/// The rules for every machine.
pub(crate) fn compute(groups: &Groups, members: &[Member]) -> Firewall {
    let mut firewall = Firewall::default();
    for member in members {
        let mut ingress = BTreeSet::new();
        let mut egress = BTreeSet::new();
        let in_force = groups.iter().filter(|group| member.group_ids.contains(&group.id));
        for rule in in_force.flat_map(|group| &group.rules) {
            let direction = if rule.permission.egress { &mut egress } else { &mut ingress };
            direction.extend(expand(&rule.permission, members));
        }
        firewall.ingress.insert(member.machine.clone(), ingress);
        firewall.egress.insert(member.machine.clone(), egress);
    }
    firewall
}

fn expand(permission: &Permission, members: &[Member]) -> Vec<Rule> {
    let Some(ports) = ports(permission) else { return Vec::new() };
    match &permission.peer {
        RulePeer::Group(id) => members
            .iter()
            .filter(|member| member.group_ids.contains(id))
            .map(|member| Rule { peer: Peer::Machine(member.machine.clone()), ports })
            .collect(),
        RulePeer::Cidr(cidr) => vec![Rule { peer: Peer::Cidr(cidr.clone()), ports }],
        RulePeer::Cidr6(_) | RulePeer::PrefixList(_) => Vec::new(),
    }
}

/// The TCP ports that a permission opens: `Some(None)` for everything, `None` where it opens none.
fn ports(permission: &Permission) -> Option<Option<(u16, u16)>> {
    match (permission.protocol.as_str(), permission.ports) {
        ("-1", _) => Some(None),
        ("tcp", Some((from, to))) => {
            let clamp = |port: i32| u16::try_from(port.clamp(0, i32::from(u16::MAX))).unwrap_or(u16::MAX);
            Some(Some((clamp(from), clamp(to))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tags;
    use super::super::permissions::NewRule;
    use super::*;

    fn allow(groups: &mut Groups, to: &str, protocol: &str, ports: Option<(i32, i32)>, peer: RulePeer) {
        let permission = Permission { egress: false, protocol: protocol.into(), ports, peer };
        groups.authorize(to, vec![NewRule { permission, description: None, tags: Tags::new() }]).unwrap();
    }

    fn member(machine: &str, groups: &[&String]) -> Member {
        Member { machine: machine.into(), group_ids: groups.iter().map(|id| (*id).clone()).collect() }
    }

    #[test]
    fn a_rule_that_names_a_group_stands_for_its_members() {
        let mut groups = Groups::default();
        let database = groups.create("vpc-1", "database", "", Tags::new()).unwrap().id;
        let worker = groups.create("vpc-1", "worker", "", Tags::new()).unwrap().id;
        let other = groups.create("vpc-1", "other", "", Tags::new()).unwrap().id;
        allow(&mut groups, &database, "tcp", Some((5432, 5432)), RulePeer::Group(worker.clone()));
        allow(&mut groups, &database, "tcp", Some((5432, 5432)), RulePeer::Cidr("10.9.0.0/16".into()));
        allow(&mut groups, &database, "udp", Some((53, 53)), RulePeer::Cidr("10.9.0.0/16".into()));
        let members = [
            member("db", &[&database]),
            member("i-1", &[&worker]),
            member("i-2", &[&worker, &other]),
            member("i-3", &[&other]),
        ];
        let firewall = compute(&groups, &members);

        let postgres = Some((5432, 5432));
        let expected: BTreeSet<Rule> =
            [Peer::Machine("i-1".into()), Peer::Machine("i-2".into()), Peer::Cidr("10.9.0.0/16".into())]
                .map(|peer| Rule { peer, ports: postgres })
                .into();
        assert_eq!(firewall.ingress["db"], expected);
        assert_eq!(firewall.ingress["i-1"], BTreeSet::new());
        let anywhere = BTreeSet::from([Rule { peer: Peer::Cidr("0.0.0.0/0".into()), ports: None }]);
        assert_eq!(firewall.egress["i-2"], anywhere);
        assert_eq!(firewall.egress.len(), 4);
    }
}
