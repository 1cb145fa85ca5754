//! The nested parts of a policy: which resources, which workers, and how they read and store.

use std::str::FromStr;

use haulier_domain::policy::{
    Selection, Selector, SqlServer, TemporaryBucket, Transfer, WorkerConfiguration, WorkerDefaults,
};

use crate::yaml::{Fields, Reader};

/// Reads `resources`.
pub(super) fn selection(value: Reader<'_>) -> Selection {
    let Some(fields) = value.fields(&["include", "exclude"]) else { return Selection::default() };
    Selection {
        include: fields.required("include").map_or(Vec::new(), include),
        exclude: fields.optional("exclude").map_or(Vec::new(), |value| selectors(&value)),
    }
}

fn include(value: Reader<'_>) -> Vec<Selector> {
    if value.is_text() {
        return value.word(&["all"]).map(|_| Selector::All).into_iter().collect();
    }
    selectors(&value)
}

fn selectors(value: &Reader<'_>) -> Vec<Selector> {
    // What cannot be read leaves a stand-in, so that the places of the others stay theirs.
    let items = value.list().unwrap_or_default();
    items.into_iter().map(|item| selector(item).unwrap_or(Selector::All)).collect()
}

fn selector(value: Reader<'_>) -> Option<Selector> {
    let fields = value.fields(&["ids", "tags"])?;
    match (fields.has("ids"), fields.has("tags")) {
        (true, false) => Some(Selector::Ids(fields.required("ids")?.texts()?)),
        (false, true) => Some(Selector::Tags(fields.required("tags")?.map_of(Reader::text_or_texts)?)),
        _ => {
            fields.fault("must say ids or tags", "give each of them a list item of its own");
            None
        }
    }
}

/// Reads `worker`.
pub(super) fn worker(value: Reader<'_>) -> (WorkerDefaults, Vec<WorkerConfiguration>) {
    const KEYS: &[&str] = &["role_arn", "instance_profile", "instance_type", "image", "tags", "configurations"];
    let Some(fields) = value.fields(KEYS) else { return Default::default() };
    let items = fields.optional("configurations").and_then(|value| value.list()).unwrap_or_default();
    (shape(&fields), items.into_iter().map(configuration).collect())
}

const CONFIGURATION: &[&str] = &[
    "account",
    "region",
    "availability_zone",
    "subnet",
    "security_groups",
    "permanent_pair",
    "role_arn",
    "instance_profile",
    "instance_type",
    "image",
    "tags",
];

fn configuration(value: Reader<'_>) -> WorkerConfiguration {
    let Some(fields) = value.fields(CONFIGURATION) else { return WorkerConfiguration::default() };
    let text = |key| fields.optional(key).and_then(|value: Reader<'_>| value.text());
    WorkerConfiguration {
        account: text("account"),
        region: fields.required("region").and_then(|value| value.text()).unwrap_or_default(),
        availability_zone: text("availability_zone"),
        subnet_id: text("subnet"),
        security_groups: fields.optional("security_groups").and_then(|value| value.texts()).unwrap_or_default(),
        permanent_pair: fields.optional("permanent_pair").and_then(|value| value.boolean()).unwrap_or_default(),
        worker: shape(&fields),
    }
}

fn instance_types(value: Reader<'_>) -> Option<Vec<String>> {
    let types = value.text_or_texts()?;
    if types.is_empty() {
        value.fault("is empty", "list at least one instance type, or remove the key");
    }
    Some(types)
}

fn number<T: FromStr>(fields: &Fields<'_>, key: &'static str) -> Option<T> {
    fields.optional(key).and_then(|value| value.parsed("a whole number"))
}

/// Reads `sqlserver`.
pub(super) fn sql_server(value: Reader<'_>) -> SqlServer {
    const KEYS: &[&str] = &["files", "full_every_days", "kms_key", "log_kms_key", "temporary_buckets", "log_backups"];
    let Some(fields) = value.fields(KEYS) else { return SqlServer::default() };
    let buckets = fields.optional("temporary_buckets").and_then(|value| value.list()).unwrap_or_default();
    let texts = |key| fields.optional(key).and_then(|value| value.text_or_texts()).unwrap_or_default();
    SqlServer {
        files: number(&fields, "files"),
        kms_key: texts("kms_key"),
        log_kms_key: texts("log_kms_key"),
        full_every_days: number(&fields, "full_every_days"),
        log_backups: fields.optional("log_backups").and_then(|value| value.boolean()).unwrap_or_default(),
        temporary_buckets: buckets.into_iter().map(temporary_bucket).collect(),
    }
}

fn temporary_bucket(value: Reader<'_>) -> TemporaryBucket {
    let Some(fields) = value.fields(&["account", "region", "bucket", "prefix"]) else {
        return TemporaryBucket::default();
    };
    let text = |key| fields.optional(key).and_then(|value: Reader<'_>| value.text());
    let needed = |key| fields.required(key).and_then(|value: Reader<'_>| value.text()).unwrap_or_default();
    TemporaryBucket {
        account: text("account"),
        region: needed("region"),
        bucket: needed("bucket"),
        prefix: text("prefix"),
    }
}

/// Reads `transfer`.
pub(super) fn transfer(value: Reader<'_>) -> Transfer {
    const KEYS: &[&str] = &["parallel_streams", "large_table_bytes", "split_table_bytes", "compression_level"];
    let Some(fields) = value.fields(KEYS) else { return Transfer::default() };
    Transfer {
        parallel_streams: number(&fields, "parallel_streams"),
        large_table_bytes: number(&fields, "large_table_bytes"),
        split_table_bytes: number(&fields, "split_table_bytes"),
        compression_level: number(&fields, "compression_level"),
    }
}

fn shape(fields: &Fields<'_>) -> WorkerDefaults {
    let text = |key| fields.optional(key).and_then(|value: Reader<'_>| value.text());
    WorkerDefaults {
        role_arn: text("role_arn"),
        instance_profile: text("instance_profile"),
        instance_types: fields.optional("instance_type").and_then(instance_types).unwrap_or_default(),
        image_id: text("image"),
        tags: fields.optional("tags").and_then(|value| value.map_of(Reader::text)).unwrap_or_default(),
    }
}
