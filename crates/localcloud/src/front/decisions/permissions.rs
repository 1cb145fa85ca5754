//! One permission of a security group, and how requests spell it.

use std::fmt;

use super::Tags;
use crate::front::wire::{AwsError, Params};

/// What one rule lets pass; two rules of a group may not have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    /// Out of the group's members, or into them.
    pub(crate) egress: bool,
    /// `tcp`, `udp`, `icmp`, `-1` for all.
    pub(crate) protocol: String,
    /// Both ends inclusive; none for all protocols.
    pub(crate) ports: Option<(i32, i32)>,
    /// The other side.
    pub(crate) peer: RulePeer,
}

impl Permission {
    /// The rule that every new group has: anything to anywhere.
    pub(crate) fn is_default_egress(&self) -> bool {
        self.egress && self.protocol == "-1" && self.peer == RulePeer::Cidr("0.0.0.0/0".to_owned())
    }
}

impl fmt::Display for Permission {
    /// `peer: sg-1, TCP, from port: 5432, to port: 5432, ALLOW`, as EC2's errors say it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (RulePeer::Group(peer) | RulePeer::Cidr(peer) | RulePeer::Cidr6(peer) | RulePeer::PrefixList(peer)) =
            &self.peer;
        match self.ports {
            Some((from, to)) => {
                let protocol = self.protocol.to_uppercase();
                write!(formatter, "peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
            }
            None => write!(formatter, "peer: {peer}, ALL, ALLOW"),
        }
    }
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RulePeer {
    /// Members of a group.
    Group(String),
    /// An IPv4 block.
    Cidr(String),
    /// An IPv6 block.
    Cidr6(String),
    /// A managed prefix list.
    PrefixList(String),
}

/// A permission to be added, with what is attached to the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRule {
    /// What passes.
    pub(crate) permission: Permission,
    /// Free text.
    pub(crate) description: Option<String>,
    /// Tags of the rule.
    pub(crate) tags: Tags,
}

/// A list of a permission, the member of its entries that names the peer, and the peer's kind.
type PeerList = (&'static str, &'static str, fn(String) -> RulePeer);

/// Reads the permissions of an Authorize or Revoke request: `IpPermissions.N`, or the flat form of one permission.
pub(crate) fn read(params: &Params, egress: bool) -> Result<Vec<NewRule>, AwsError> {
    let tags = params.tag_specification("security-group-rule");
    let mut rules = Vec::new();
    let listed = params.members("IpPermissions");
    if listed.is_empty() && params.get("IpProtocol").is_some() {
        let peer = match (params.get("SourceSecurityGroupId"), params.get("CidrIp")) {
            (Some(group), _) => RulePeer::Group(group.to_owned()),
            (None, Some(cidr)) => RulePeer::Cidr(cidr.to_owned()),
            (None, None) => return Err(missing_peer()),
        };
        return Ok(vec![NewRule { permission: permission(params, egress, peer)?, description: None, tags }]);
    }
    for item in &listed {
        let peers: [PeerList; 4] = [
            ("Groups", "GroupId", RulePeer::Group),
            ("IpRanges", "CidrIp", RulePeer::Cidr),
            ("Ipv6Ranges", "CidrIpv6", RulePeer::Cidr6),
            ("PrefixListIds", "PrefixListId", RulePeer::PrefixList),
        ];
        let before = rules.len();
        for (list, member, peer) in peers {
            for entry in item.members(list) {
                let Some(name) = entry.get(member) else { return Err(missing_peer()) };
                rules.push(NewRule {
                    permission: permission(item, egress, peer(name.to_owned()))?,
                    description: entry.get("Description").map(str::to_owned),
                    tags: tags.clone(),
                });
            }
        }
        if rules.len() == before {
            return Err(missing_peer());
        }
    }
    if rules.is_empty() {
        return Err(AwsError::new(
            "MissingParameter",
            "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.",
        ));
    }
    Ok(rules)
}

fn missing_peer() -> AwsError {
    AwsError::new("MissingParameter", "The request must contain a source or destination: a CIDR block or a group id")
}

fn permission(params: &Params, egress: bool, peer: RulePeer) -> Result<Permission, AwsError> {
    let protocol = match params.required("IpProtocol")? {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "all" => "-1",
        other => other,
    }
    .to_owned();
    let ports = match (params.parsed::<i32>("FromPort")?, params.parsed::<i32>("ToPort")?) {
        _ if protocol == "-1" => None,
        (Some(from), Some(to)) if from <= to || protocol == "icmp" => Some((from, to)),
        (Some(from), Some(to)) => {
            return Err(AwsError::new("InvalidParameterValue", format!("Invalid TCP/UDP port range ({from}:{to})")));
        }
        _ => {
            return Err(AwsError::new(
                "InvalidParameterValue",
                "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
            ));
        }
    };
    if let RulePeer::Cidr(cidr) = &peer
        && !is_cidr(cidr)
    {
        return Err(AwsError::new("InvalidParameterValue", format!("CIDR block {cidr} is malformed")));
    }
    Ok(Permission { egress, protocol, ports, peer })
}

fn is_cidr(cidr: &str) -> bool {
    cidr.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_of_every_item_is_a_rule() {
        let params = Params::parse(
            "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=5432&IpPermissions.1.ToPort=5432\
             &IpPermissions.1.Groups.1.GroupId=sg-1&IpPermissions.1.Groups.1.Description=why\
             &IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8&IpPermissions.2.IpProtocol=-1&IpPermissions.2.IpRanges.1.CidrIp=0.0.0.0/0",
        );
        let rules = read(&params, true).unwrap();
        let peers: Vec<_> = rules.iter().map(|rule| (rule.permission.peer.clone(), rule.permission.ports)).collect();
        assert_eq!(
            peers,
            [
                (RulePeer::Group("sg-1".into()), Some((5432, 5432))),
                (RulePeer::Cidr("10.0.0.0/8".into()), Some((5432, 5432))),
                (RulePeer::Cidr("0.0.0.0/0".into()), None),
            ]
        );
        assert_eq!(rules[0].description.as_deref(), Some("why"));
        assert!(rules.iter().all(|rule| rule.permission.egress));
    }

    #[test]
    fn malformed_permissions_are_refused() {
        for (form, code) in [
            ("GroupId=sg-1", "MissingParameter"),
            ("IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=2", "MissingParameter"),
            ("IpProtocol=tcp&CidrIp=10.0.0.0/8", "InvalidParameterValue"),
            ("IpProtocol=tcp&FromPort=2&ToPort=1&CidrIp=10.0.0.0/8", "InvalidParameterValue"),
            ("IpProtocol=tcp&FromPort=1&ToPort=2&CidrIp=10.0.0/8", "InvalidParameterValue"),
        ] {
            assert_eq!(read(&Params::parse(form), false).unwrap_err().code, code, "{form}");
        }
    }
}
