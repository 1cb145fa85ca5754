//! Where a worker is launched: next to its database, by a rule that gives the same answer for the same facts.
//!
//! 1. A worker configuration of the policy decides where there is one for the account and Region: the one for the
//!    database's Availability Zone first, then the one for the whole Region, then one for another zone. Whoever has
//!    prepared a network for a Region wants it used, even after a failover to a zone that was not thought of.
//! 2. Without one, the subnets of the database's subnet group: those in its VPC with a free address, in its zone
//!    rather than elsewhere (traffic between zones costs money), the one with the most free addresses, and among equals
//!    the first by id.
//!
//! A worker in another VPC than its database could not be let through to it by security groups of one VPC, so that is
//! refused, except where the operator has prepared a permanent pair of groups.
//!
//! A configuration may leave the subnet open: then the rule chooses it, and the configuration's groups hold all the same.
//!
//! The answer is a list, best first: where EC2 has no capacity in one place, the worker goes to the next (see
//! [`next_candidate`]). Places after the first lie in its VPC and need the same groups, so that what was made for the
//! worker serves it wherever it ends up.

mod candidate;
mod failure;

pub use candidate::{Candidate, Obstacle, Refused, candidates, next_candidate, no_capacity, worth_waiting};
pub use failure::Unplaced;

/// What is known of a database instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabasePlace<'a> {
    /// `DBInstanceIdentifier`, for messages.
    pub id: &'a str,
    /// Region.
    pub region: &'a str,
    /// VPC of its subnet group.
    pub vpc_id: Option<&'a str>,
    /// Zone it runs in.
    pub availability_zone: Option<&'a str>,
}

/// What is known of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetPlace {
    /// `subnet-...`.
    pub id: String,
    /// VPC.
    pub vpc_id: String,
    /// Zone.
    pub availability_zone: String,
    /// Free addresses.
    pub free_addresses: u32,
}

/// A network that the operator has prepared, as the worker configuration of one Availability Zone names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prepared<'a> {
    /// Zone of the databases it is for; `None` means each of the Region's.
    pub availability_zone: Option<&'a str>,
    /// Subnet; `None` means by rule.
    pub subnet_id: Option<&'a str>,
    /// Whether its groups reach the database already.
    pub permanent_pair: bool,
}

/// Where a worker is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// VPC.
    pub vpc_id: String,
    /// Subnet.
    pub subnet_id: String,
    /// Zone of the subnet.
    pub availability_zone: String,
    /// Which of the prepared networks it is; `None` where the rule alone decided.
    pub prepared: Option<usize>,
}

/// Which of the networks prepared for a Region is for a database in this zone.
pub fn prepared_for(prepared: &[Prepared<'_>], availability_zone: Option<&str>) -> Option<usize> {
    in_order(prepared, availability_zone).first().copied()
}

/// The prepared networks for a database in this zone, best first.
fn in_order(prepared: &[Prepared<'_>], availability_zone: Option<&str>) -> Vec<usize> {
    let nearness = |network: &Prepared<'_>| match network.availability_zone {
        zone @ Some(_) if zone == availability_zone => 0,
        None => 1,
        Some(_) => 2,
    };
    let mut order: Vec<usize> = (0..prepared.len()).collect();
    order.sort_by_key(|&index| (nearness(&prepared[index]), prepared[index].availability_zone));
    order
}

/// Subnets that have to be described before [`places`] can decide: the prepared ones, and those of the subnet group
/// where the rule has a say.
pub fn subnets_in_question(prepared: &[Prepared<'_>], subnet_group: &[String]) -> Vec<String> {
    let named = prepared.iter().filter_map(|network| network.subnet_id).map(str::to_owned);
    let by_rule = prepared.is_empty() || prepared.iter().any(|network| network.subnet_id.is_none());
    let group = subnet_group.iter().filter(|_| by_rule).cloned();
    let mut ids: Vec<String> = Vec::new();
    for id in named.chain(group) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Where the database's worker may be launched, best first and at least one place, given the subnets in question as they
/// are now.
///
/// # Errors
/// Says why there is no place for it. A fault in the configuration that is meant for the database is told, and not made
/// up for by another one.
pub fn places(
    prepared: &[Prepared<'_>],
    database: &DatabasePlace<'_>,
    subnets: &[SubnetPlace],
) -> Result<Vec<Placement>, Unplaced> {
    let order = in_order(prepared, database.availability_zone);
    let networks: Vec<Option<usize>> =
        if order.is_empty() { vec![None] } else { order.into_iter().map(Some).collect() };
    let mut found: Vec<(bool, Placement)> = Vec::new();
    let mut problem = None;
    for (rank, index) in networks.into_iter().enumerate() {
        let network = index.map(|index| prepared[index]).unwrap_or_default();
        let usable = match network.subnet_id {
            Some(subnet_id) => {
                by_configuration(subnet_id, network.permanent_pair, database, subnets).map(|it| vec![it])
            }
            None => by_rule(database, subnets),
        };
        match usable {
            Ok(usable) => found.extend(usable.into_iter().map(|subnet| {
                let (vpc_id, subnet_id) = (subnet.vpc_id.clone(), subnet.id.clone());
                let availability_zone = subnet.availability_zone.clone();
                (network.permanent_pair, Placement { vpc_id, subnet_id, availability_zone, prepared: index })
            })),
            Err(full @ Unplaced::Full { .. }) => problem = problem.or(Some(full)),
            Err(fault) if rank == 0 => return Err(fault),
            Err(_) => {}
        }
    }
    let Some((permanent_pair, vpc_id)) = found.first().map(|(pair, first)| (*pair, first.vpc_id.clone())) else {
        return Err(problem.unwrap_or_else(|| Unplaced::NoVpc { database: database.id.to_owned() }));
    };
    found.retain(|(pair, place)| *pair == permanent_pair && place.vpc_id == vpc_id);
    let mut places: Vec<Placement> = Vec::new();
    for (_, place) in found {
        if !places.iter().any(|earlier| earlier.subnet_id == place.subnet_id) {
            places.push(place);
        }
    }
    Ok(places)
}

fn by_configuration<'s>(
    subnet_id: &str,
    permanent_pair: bool,
    database: &DatabasePlace<'_>,
    subnets: &'s [SubnetPlace],
) -> Result<&'s SubnetPlace, Unplaced> {
    let Some(subnet) = subnets.iter().find(|subnet| subnet.id == subnet_id) else {
        return Err(Unplaced::NoSuchSubnet { subnet_id: subnet_id.to_owned(), region: database.region.to_owned() });
    };
    let needed = database.vpc_id.filter(|needed| *needed != subnet.vpc_id && !permanent_pair);
    if let Some(needed) = needed {
        return Err(Unplaced::OtherVpc {
            subnet_id: subnet_id.to_owned(),
            vpc_id: subnet.vpc_id.clone(),
            needed: needed.to_owned(),
            database: database.id.to_owned(),
        });
    }
    if subnet.free_addresses == 0 {
        return Err(Unplaced::Full { subnets: vec![subnet_id.to_owned()] });
    }
    Ok(subnet)
}

fn by_rule<'s>(database: &DatabasePlace<'_>, subnets: &'s [SubnetPlace]) -> Result<Vec<&'s SubnetPlace>, Unplaced> {
    let id = || database.id.to_owned();
    let vpc_id = database.vpc_id.ok_or_else(|| Unplaced::NoVpc { database: id() })?;
    let mut inside: Vec<&SubnetPlace> = subnets.iter().filter(|subnet| subnet.vpc_id == vpc_id).collect();
    if inside.is_empty() {
        return Err(Unplaced::NoSubnet { database: id(), vpc_id: vpc_id.to_owned() });
    }
    let elsewhere = |subnet: &SubnetPlace| Some(subnet.availability_zone.as_str()) != database.availability_zone;
    inside.sort_by(|a, b| {
        elsewhere(a)
            .cmp(&elsewhere(b))
            .then_with(|| b.free_addresses.cmp(&a.free_addresses))
            .then_with(|| a.id.cmp(&b.id))
    });
    let free: Vec<&SubnetPlace> = inside.iter().copied().filter(|subnet| subnet.free_addresses > 0).collect();
    if free.is_empty() {
        return Err(Unplaced::Full { subnets: inside.iter().map(|subnet| subnet.id.clone()).collect() });
    }
    Ok(free)
}

#[cfg(test)]
mod tests;
