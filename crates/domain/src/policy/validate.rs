//! Every fault of a policy at once.

use std::collections::BTreeSet;

use super::fault::Fault;
use super::model::{Account, Databases, Login, Policy, Selection, Selector};
use super::{Arn, sql_server, transfer, worker};
use crate::schedule::{InvalidSchedule, Schedule};

/// Priority of a policy that does not say.
pub const DEFAULT_PRIORITY: u32 = 100;
/// Workers at once of a policy that does not say.
pub const DEFAULT_CONCURRENCY: u32 = 4;

const MAX_PRIORITY: u32 = 1000;
const MAX_CONCURRENCY: u32 = 1000;
/// Characters of the longest name of a database: SQL Server's. PostgreSQL takes 63 bytes.
const MAX_DATABASE: usize = 128;

/// Everything that is wrong with a policy. Empty means it can be stored.
pub fn faults(policy: &Policy) -> Vec<Fault> {
    let mut found = Faults::default();
    if !is_resource_name(&policy.name) {
        found.add("name", format!("{:?} is not a name", policy.name), NAME_REMEDY);
    }
    if policy.priority > MAX_PRIORITY {
        found.add("priority", format!("{} is too high", policy.priority), "write a number from 0 to 1000");
    }
    for (index, account) in policy.accounts.iter().enumerate() {
        check_account(&mut found, &format!("accounts[{index}]"), account);
    }
    for (index, account) in repeated(policy.accounts.iter().map(|account| account.number())) {
        let number = account.unwrap_or_else(|| "the coordinator's own account".to_owned());
        found.add(format!("accounts[{index}]"), format!("{number} is listed twice"), "list each account once");
    }
    check_regions(&mut found, &policy.regions);
    check_selection(&mut found, &policy.resources);
    if !is_resource_name(&policy.repository) {
        found.add("repository", format!("{:?} is not a name of a repository", policy.repository), NAME_REMEDY);
    }
    worker::check(&mut found, policy);
    check_databases(&mut found, &policy.databases);
    check_login(&mut found, &policy.credentials);
    for error in Schedule::parse(&policy.schedule).err().unwrap_or_default() {
        let (field, remedy) = match &error {
            InvalidSchedule::Expression { .. } => (
                "schedule.cron",
                "write five fields: minute, hour, day of month, month, day of week; \"0 3 * * *\" is daily at 03:00",
            ),
            InvalidSchedule::Never { .. } => ("schedule.cron", "name a day that the calendar has"),
            InvalidSchedule::TimeZone { .. } => {
                ("schedule.time_zone", "write a name of the IANA time zone database, such as Europe/Berlin or UTC")
            }
        };
        found.add(field, error.to_string(), remedy);
    }
    if !(1..=MAX_CONCURRENCY).contains(&policy.concurrency) {
        found.add("concurrency", format!("{} workers are out of range", policy.concurrency), "write 1 to 1000");
    }
    transfer::check(&mut found, &policy.transfer);
    sql_server::check(&mut found, &policy.sqlserver, &policy.regions);
    found.0
}

/// Faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    #[cfg(test)]
    pub(super) fn fields(&self) -> Vec<String> {
        self.0.iter().map(|fault| fault.field.clone()).collect()
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> Vec<String> {
        self.0.iter().map(|fault| fault.message.clone()).collect()
    }

    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Fault::new(field, message, remedy));
    }
}

const NAME_REMEDY: &str = "use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends";

/// Whether the text may name a policy or a repository.
pub fn is_resource_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether the text is shaped like a Region: `eu-central-1`.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [first, middle @ .., last] => {
            first.len() == 2
                && word(first)
                && !middle.is_empty()
                && middle.iter().all(word)
                && matches!(last.as_bytes(), [digit] if digit.is_ascii_digit())
        }
        _ => false,
    }
}

/// Values that occurred before, with the place of the later occurrence.
pub(super) fn repeated<T: Ord + Clone>(values: impl IntoIterator<Item = T>) -> Vec<(usize, T)> {
    let mut seen = BTreeSet::new();
    values.into_iter().enumerate().filter(|(_, value)| !seen.insert(value.clone())).collect()
}

fn check_account(found: &mut Faults, at: &str, account: &Account) {
    let digits = |id: &str| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(id) = account.id.as_deref().filter(|id| !digits(id)) {
        found.add(format!("{at}.id"), format!("{id:?} is not an account number"), "write twelve digits, in quotes");
    }
    if let Some(role) = &account.role_arn {
        check_role(found, &format!("{at}.role_arn"), role, account.id.as_deref());
    }
    if let Some(external_id) = &account.external_id {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
        if !(2..=1224).contains(&external_id.len()) || !external_id.bytes().all(fits) {
            found.add(
                format!("{at}.external_id"),
                "is not an external id",
                "use 2 to 1224 letters, digits and any of _ + = , . @ : / -",
            );
        }
        if account.role_arn.is_none() {
            found.add(
                format!("{at}.external_id"),
                "stands without a role, where it does nothing",
                "add the role_arn that it belongs to, or remove it",
            );
        }
    }
}

/// Checks a role's ARN, and that it lies in the account where one is known.
pub(super) fn check_role(found: &mut Faults, field: &str, role: &str, account: Option<&str>) {
    match role.parse::<Arn>() {
        Ok(arn) if arn.is_role() => {
            if let Some(account) = account.filter(|account| *account != arn.account) {
                found.add(
                    field,
                    format!("the role lies in account {}, not in {account}", arn.account),
                    format!("name a role of account {account}"),
                );
            }
        }
        _ => found.add(field, format!("{role:?} is not the ARN of a role"), "write arn:aws:iam::<account>:role/<name>"),
    }
}

fn check_regions(found: &mut Faults, regions: &[String]) {
    if regions.is_empty() {
        found.add("regions", "names no Region", "list at least one, such as eu-central-1");
    }
    for (index, region) in regions.iter().enumerate().filter(|(_, region)| !is_region(region)) {
        found.add(format!("regions[{index}]"), format!("{region:?} is not a Region"), "write it as in eu-central-1");
    }
    for (index, region) in repeated(regions) {
        found.add(format!("regions[{index}]"), format!("{region} is listed twice"), "list each Region once");
    }
}

fn check_selection(found: &mut Faults, selection: &Selection) {
    if selection.include.is_empty() {
        found.add("resources.include", "includes nothing", "write all, or list ids or tags");
    }
    for (side, selectors) in [("include", &selection.include), ("exclude", &selection.exclude)] {
        for (index, selector) in selectors.iter().enumerate() {
            check_selector(found, &format!("resources.{side}[{index}]"), selector);
        }
    }
    if selection.exclude.contains(&Selector::All) {
        found.add("resources.exclude", "excludes everything", "list ids or tags, or remove it");
    }
}

fn check_selector(found: &mut Faults, at: &str, selector: &Selector) {
    match selector {
        Selector::All => {}
        Selector::Ids(ids) => {
            if ids.is_empty() {
                found.add(format!("{at}.ids"), "is empty", "list at least one DB instance identifier");
            }
            for (index, id) in ids.iter().enumerate().filter(|(_, id)| !is_instance_id(id)) {
                found.add(
                    format!("{at}.ids[{index}]"),
                    format!("{id:?} is not a DB instance identifier"),
                    "use 1 to 63 letters, digits and '-', beginning with a letter, without \"--\" or a '-' at the end",
                );
            }
            for (index, id) in repeated(ids) {
                found.add(format!("{at}.ids[{index}]"), format!("{id} is listed twice"), "list each id once");
            }
        }
        Selector::Tags(tags) => {
            if tags.is_empty() {
                found.add(format!("{at}.tags"), "is empty", "write at least one tag and its value");
            }
            for (key, values) in tags {
                if key.is_empty() || key.chars().count() > 128 {
                    found.add(format!("{at}.tags.{key}"), "is not a tag key", "use 1 to 128 characters");
                }
                if values.is_empty() {
                    found.add(format!("{at}.tags.{key}"), "has no value", "write a value, or a list of values");
                }
                if values.iter().any(|value| value.chars().count() > 256) {
                    found.add(format!("{at}.tags.{key}"), "has a value that is too long", "use 256 characters at most");
                }
            }
        }
    }
}

fn is_instance_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.ends_with('-')
        && !text.contains("--")
}

fn check_databases(found: &mut Faults, databases: &Databases) {
    let Databases::Listed(names) = databases else { return };
    if names.is_empty() {
        found.add("databases", "names no database", "write all, or list at least one");
    }
    for (index, name) in names.iter().enumerate() {
        let at = format!("databases[{index}]");
        if name.is_empty() || name.chars().count() > MAX_DATABASE || name.contains('\0') {
            found.add(&at, format!("{name:?} is not a database name"), "use 1 to 128 characters");
        }
        if ["rdsadmin", "template0", "template1"].contains(&name.as_str()) {
            found.add(&at, format!("{name} belongs to the server and is never backed up"), "remove it from the list");
        }
    }
    for (index, name) in repeated(names) {
        found.add(format!("databases[{index}]"), format!("{name:?} is listed twice"), "list each database once");
    }
}

fn check_login(found: &mut Faults, login: &Login) {
    match login {
        Login::Secret { arn } if !arn.parse::<Arn>().is_ok_and(|arn| arn.is_secret()) => found.add(
            "credentials.secret_arn",
            format!("{arn:?} is not the ARN of a secret"),
            "write arn:aws:secretsmanager:<region>:<account>:secret:<name>; never the password itself",
        ),
        Login::Iam { user } if user.is_empty() || user.len() > 63 => {
            found.add("credentials.iam.user", format!("{user:?} is not a database user"), "use 1 to 63 bytes");
        }
        Login::Secret { .. } | Login::Iam { .. } | Login::RdsManaged => {}
    }
}
