//! A policy's worker settings: which apply where, and what is wrong with them.

use std::collections::BTreeMap;

use super::model::{Policy, Tags, WorkerConfiguration, WorkerDefaults};
use super::validate::{Faults, check_role, is_region, repeated};

/// Haulier puts up to eight tags of its own on a worker; AWS allows fifty in all.
const MAX_TAGS: usize = 40;
/// Instance types of one list.
const MAX_TYPES: usize = 10;

impl Policy {
    /// Worker configurations for an account and Region, one for each Availability Zone and one for all of them at most:
    /// one that names the account comes before one that is for every account.
    pub fn configurations_in(&self, account: &str, region: &str) -> Vec<&WorkerConfiguration> {
        let mut by_zone: BTreeMap<Option<&str>, &WorkerConfiguration> = BTreeMap::new();
        for configuration in self.configurations.iter().filter(|configuration| configuration.region == region) {
            let zone = configuration.availability_zone.as_deref();
            match configuration.account.as_deref() {
                Some(named) if named == account => drop(by_zone.insert(zone, configuration)),
                None => drop(by_zone.entry(zone).or_insert(configuration)),
                Some(_) => {}
            }
        }
        by_zone.into_values().collect()
    }
}

impl WorkerDefaults {
    /// These settings, but the narrower ones where they say something; tags of both.
    #[must_use]
    pub fn narrowed_by(&self, narrow: &Self) -> Self {
        let pick = |narrow: &Option<String>, wide: &Option<String>| narrow.clone().or_else(|| wide.clone());
        let tags = self.tags.iter().chain(&narrow.tags).map(|(key, value)| (key.clone(), value.clone()));
        Self {
            role_arn: pick(&narrow.role_arn, &self.role_arn),
            instance_profile: pick(&narrow.instance_profile, &self.instance_profile),
            instance_types: if narrow.instance_types.is_empty() {
                &self.instance_types
            } else {
                &narrow.instance_types
            }
            .clone(),
            image_id: pick(&narrow.image_id, &self.image_id),
            tags: tags.collect(),
        }
    }
}

pub(super) fn check(found: &mut Faults, policy: &Policy) {
    check_shape(found, "worker", &policy.worker, None);
    for (index, configuration) in policy.configurations.iter().enumerate() {
        check_configuration(found, &format!("worker.configurations[{index}]"), configuration, policy);
    }
    let places = policy.configurations.iter().map(|configuration| {
        (configuration.account.clone(), configuration.region.clone(), configuration.availability_zone.clone())
    });
    for (index, (_, region, zone)) in repeated(places) {
        found.add(
            format!("worker.configurations[{index}]"),
            format!("{} has a configuration already", zone.unwrap_or(region)),
            "keep one configuration for each account, Region and Availability Zone",
        );
    }
}

fn check_configuration(found: &mut Faults, at: &str, configuration: &WorkerConfiguration, policy: &Policy) {
    let region = &configuration.region;
    if !is_region(region) {
        found.add(format!("{at}.region"), format!("{region:?} is not a Region"), "write it as in eu-central-1");
    } else if !policy.regions.contains(region) {
        found.add(
            format!("{at}.region"),
            format!("the policy does not cover {region}"),
            format!("add {region} to regions, or remove the configuration"),
        );
    }
    if let Some(account) = &configuration.account {
        let numbers: Vec<String> = policy.accounts.iter().filter_map(super::Account::number).collect();
        if !numbers.is_empty() && !numbers.contains(account) {
            found.add(
                format!("{at}.account"),
                format!("the policy does not cover account {account}"),
                "add it to accounts, or remove the configuration",
            );
        }
    }
    if let Some(zone) = configuration.availability_zone.as_ref().filter(|_| is_region(region)) {
        let letter = zone.strip_prefix(region.as_str()).unwrap_or_default();
        if !matches!(letter.as_bytes(), [byte] if byte.is_ascii_lowercase()) {
            found.add(
                format!("{at}.availability_zone"),
                format!("{zone:?} is not an Availability Zone of {region}"),
                format!("write it as in {region}a"),
            );
        }
    }
    let subnet = configuration.subnet_id.iter().map(|id| (format!("{at}.subnet"), "subnet-", id));
    let groups = configuration.security_groups.iter().enumerate();
    let groups = groups.map(|(index, id)| (format!("{at}.security_groups[{index}]"), "sg-", id));
    for (field, prefix, id) in subnet.chain(groups).filter(|(_, prefix, id)| !is_cloud_id(id, prefix)) {
        found.add(
            field,
            format!("{id:?} is not an id of that kind"),
            format!("write {prefix} followed by 8 to 17 hexadecimal digits"),
        );
    }
    if configuration.permanent_pair && configuration.security_groups.is_empty() {
        found.add(
            format!("{at}.permanent_pair"),
            "stands without security_groups, so the worker could not reach the database",
            "list the groups that you have let through to the database, or remove permanent_pair",
        );
    }
    check_shape(found, at, &configuration.worker, configuration.account.as_deref());
}

fn is_cloud_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        (8..=17).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

fn check_shape(found: &mut Faults, at: &str, shape: &WorkerDefaults, account: Option<&str>) {
    if let Some(role) = &shape.role_arn {
        check_role(found, &format!("{at}.role_arn"), role, account);
    }
    for (index, kind) in shape.instance_types.iter().enumerate() {
        let field = if shape.instance_types.len() == 1 {
            format!("{at}.instance_type")
        } else {
            format!("{at}.instance_type[{index}]")
        };
        if !is_instance_type(kind) {
            found.add(field, format!("{kind:?} is not an instance type"), "write it as in m7i.large");
        } else if shape.instance_types[..index].contains(kind) {
            found.add(field, format!("{kind} is listed twice"), "list each type once, the preferred one first");
        }
    }
    if shape.instance_types.len() > MAX_TYPES {
        let message = format!("{} types are too many", shape.instance_types.len());
        found.add(format!("{at}.instance_type"), message, format!("list {MAX_TYPES} at most"));
    }
    if let Some(profile) = shape.instance_profile.as_ref().filter(|profile| !is_profile_name(profile)) {
        found.add(
            format!("{at}.instance_profile"),
            format!("{profile:?} is not the name of an instance profile"),
            "write its name, not its ARN: 1 to 128 letters, digits and any of + = , . @ _ -",
        );
    }
    if let Some(image) = shape.image_id.as_ref().filter(|image| !is_cloud_id(image, "ami-")) {
        found.add(
            format!("{at}.image"),
            format!("{image:?} is not the id of an image"),
            "write ami- followed by 8 to 17 hexadecimal digits",
        );
    }
    check_tags(found, &format!("{at}.tags"), &shape.tags);
}

/// Whether the text is shaped like an EC2 instance type: `m7i.large`.
pub fn is_instance_type(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.split_once('.').is_some_and(|(family, size)| part(family) && part(size))
}

fn is_profile_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(fits)
}

fn check_tags(found: &mut Faults, at: &str, tags: &Tags) {
    if tags.len() > MAX_TAGS {
        found.add(at, format!("{} tags are too many", tags.len()), format!("write {MAX_TAGS} at most"));
    }
    for (key, value) in tags {
        let reserved = ["aws:", "rds:", "haulier:"].iter().any(|prefix| key.starts_with(prefix));
        if reserved {
            found.add(format!("{at}.{key}"), "uses a reserved prefix", "use a key without aws:, rds: or haulier:");
        }
        let fits = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
        if !fits(key) || !fits(value) || key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            found.add(
                format!("{at}.{key}"),
                "is not a tag",
                "use letters, digits, spaces and any of _ . : / = + - @; 128 characters for the key, 256 for the value",
            );
        }
    }
}
