//! A policy as an operator writes it.

mod parts;

use haulier_domain::policy::{
    self, Account, DEFAULT_CONCURRENCY, DEFAULT_PRIORITY, Databases, Fault, Login, Policy, Selection, SqlServer,
    Transfer, WorkerDefaults,
};
use haulier_domain::schedule::ScheduleText;

use crate::yaml::{DocumentFault, Faults, Fields, Reader, parse};

const KEYS: &[&str] = &[
    "version",
    "name",
    "priority",
    "accounts",
    "regions",
    "resources",
    "repository",
    "worker",
    "databases",
    "credentials",
    "snapshot",
    "schedule",
    "concurrency",
    "transfer",
    "sqlserver",
];

/// Reads a policy.
///
/// # Errors
/// Every fault of the document, in its order: unknown and missing keys, values of the wrong shape, and what
/// [`policy::faults`] says of the rest.
pub fn read(text: &str) -> Result<Policy, Vec<DocumentFault>> {
    read_with(text, |_| Vec::new())
}

/// Reads a policy, with faults that only the caller can find among those that are told.
///
/// # Errors
/// As [`read`], and what the caller finds.
pub fn read_with(text: &str, further: impl FnOnce(&Policy) -> Vec<Fault>) -> Result<Policy, Vec<DocumentFault>> {
    let document = parse(text).map_err(|fault| vec![fault])?;
    let faults = Faults::default();
    let policy = Reader::new(&document, &faults).fields(KEYS).map(|fields| lenient(&fields));
    if let Some(policy) = &policy {
        faults.add_meant(&document, policy::faults(policy));
        faults.add_meant(&document, further(policy));
    }
    let faults = faults.into_sorted();
    match policy {
        Some(policy) if faults.is_empty() => Ok(policy),
        _ => Err(faults),
    }
}

/// The policy as far as its shape can be read. What cannot has brought a fault, and stands in here with a value whose
/// own faults are not told.
fn lenient(fields: &Fields<'_>) -> Policy {
    if let Some(version) = fields.required("version")
        && version.text().is_some_and(|text| text != "1")
    {
        version.fault("is not a version that this coordinator reads", "write version: 1");
    }
    let text = |key| fields.required(key).and_then(|value: Reader<'_>| value.text()).unwrap_or_default();
    let number = |key, default| {
        fields.optional(key).and_then(|value: Reader<'_>| value.parsed("a whole number")).unwrap_or(default)
    };
    let (worker, configurations) =
        fields.optional("worker").map_or((WorkerDefaults::default(), Vec::new()), parts::worker);
    Policy {
        name: text("name"),
        priority: number("priority", DEFAULT_PRIORITY),
        accounts: fields.optional("accounts").map_or(Vec::new(), accounts),
        regions: fields.required("regions").and_then(|value| value.texts()).unwrap_or_default(),
        resources: fields.required("resources").map_or_else(Selection::default, parts::selection),
        repository: text("repository"),
        worker,
        configurations,
        databases: fields.optional("databases").and_then(|value| databases(&value)).unwrap_or(Databases::All),
        credentials: fields.required("credentials").and_then(login).unwrap_or(Login::RdsManaged),
        snapshot: fields.optional("snapshot").and_then(|value| value.boolean()).unwrap_or(true),
        schedule: fields.required("schedule").and_then(schedule).unwrap_or(ScheduleText::Manual),
        concurrency: number("concurrency", DEFAULT_CONCURRENCY),
        transfer: fields.optional("transfer").map_or_else(Transfer::default, parts::transfer),
        sqlserver: fields.optional("sqlserver").map_or_else(SqlServer::default, parts::sql_server),
    }
}

fn accounts(value: Reader<'_>) -> Vec<Account> {
    let items = value.list().unwrap_or_default();
    if items.is_empty() && value.is_list() {
        value.fault("is empty", "list an account, or remove the key: the coordinator's own account is the default");
    }
    items.into_iter().map(account).collect()
}

fn account(value: Reader<'_>) -> Account {
    let Some(fields) = value.fields(&["id", "role_arn", "external_id"]) else { return Account::default() };
    let text = |key| fields.optional(key).and_then(|value| value.text());
    if !["id", "role_arn", "external_id"].iter().any(|key| fields.has(key)) {
        fields.fault("says nothing", "write an id, a role_arn, or both");
    }
    Account { id: text("id"), role_arn: text("role_arn"), external_id: text("external_id") }
}

fn databases(value: &Reader<'_>) -> Option<Databases> {
    if value.is_list() {
        return value.texts().map(Databases::Listed);
    }
    value.word(&["all"]).map(|_| Databases::All)
}

fn login(value: Reader<'_>) -> Option<Login> {
    if value.is_text() {
        return value.word(&["rds_managed"]).map(|_| Login::RdsManaged);
    }
    let fields = value.fields(&["secret_arn", "iam"])?;
    match (fields.has("secret_arn"), fields.has("iam")) {
        (true, false) => Some(Login::Secret { arn: fields.required("secret_arn")?.text()? }),
        (false, true) => {
            Some(Login::Iam { user: fields.required("iam")?.fields(&["user"])?.required("user")?.text()? })
        }
        _ => {
            fields.fault("does not name one way to log in", "write rds_managed, or one of secret_arn and iam");
            None
        }
    }
}

fn schedule(value: Reader<'_>) -> Option<ScheduleText> {
    if value.is_text() {
        return value.word(&["manual"]).map(|_| ScheduleText::Manual);
    }
    let fields = value.fields(&["cron", "time_zone"])?;
    let expression = fields.required("cron").and_then(|value| value.text());
    let time_zone = match fields.optional("time_zone") {
        Some(value) => value.text(),
        None => Some("UTC".to_owned()),
    };
    Some(ScheduleText::Cron { expression: expression?, time_zone: time_zone? })
}

#[cfg(test)]
mod tests;
