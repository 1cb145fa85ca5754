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

mod failure;

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
    let nearness = |network: &Prepared<'_>| match network.availability_zone {
        zone @ Some(_) if zone == availability_zone => 0,
        None => 1,
        Some(_) => 2,
    };
    (0..prepared.len()).min_by_key(|&index| {
        let network = &prepared[index];
        (nearness(network), network.availability_zone)
    })
}

/// Subnets that have to be described before [`place`] can decide: the prepared one, or those of the subnet group.
pub fn subnets_in_question(
    prepared: &[Prepared<'_>],
    database: &DatabasePlace<'_>,
    subnet_group: &[String],
) -> Vec<String> {
    let network = prepared_for(prepared, database.availability_zone).map(|index| prepared[index]);
    match network.and_then(|network| network.subnet_id) {
        Some(subnet_id) => vec![subnet_id.to_owned()],
        None => subnet_group.to_vec(),
    }
}

/// Where the database's worker is launched, given the subnets in question as they are now.
///
/// # Errors
/// Says why there is no place for it.
pub fn place(
    prepared: &[Prepared<'_>],
    database: &DatabasePlace<'_>,
    subnets: &[SubnetPlace],
) -> Result<Placement, Unplaced> {
    let index = prepared_for(prepared, database.availability_zone);
    let network = index.map(|index| prepared[index]).unwrap_or_default();
    let subnet = match network.subnet_id {
        Some(subnet_id) => by_configuration(subnet_id, network.permanent_pair, database, subnets)?,
        None => by_rule(database, subnets)?,
    };
    Ok(Placement {
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        prepared: index,
    })
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

fn by_rule<'s>(database: &DatabasePlace<'_>, subnets: &'s [SubnetPlace]) -> Result<&'s SubnetPlace, Unplaced> {
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
    match inside.iter().find(|subnet| subnet.free_addresses > 0) {
        Some(subnet) => Ok(subnet),
        None => Err(Unplaced::Full { subnets: inside.iter().map(|subnet| subnet.id.clone()).collect() }),
    }
}

#[cfg(test)]
mod tests;
