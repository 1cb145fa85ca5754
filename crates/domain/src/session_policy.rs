//! The inline policy of a session's credentials: what one worker may do, and nothing else.
//!
//! The worker's role can do this for every session; the policy cuts it down to one. It reads and lists its own domain of
//! the repository, creates packs, index tables and lists there (never over an existing object: `s3:if-none-match` must be
//! sent), and cannot delete or publish anything: `points/` is written by the coordinator alone. A maintenance session may delete
//! in its domain, but never a point, and stores nothing of its own. AWS takes 2,048
//! characters, so statements are merged where they can be.
//!
//! Of an immutable repository, S3 itself takes nothing from the worker that is not locked for the repository's days, and
//! lets it lock nothing for longer than an honest worker would. It may extend locks; what would shorten or bypass one
//! (`s3:BypassGovernanceRetention`) is never granted. A maintenance session destroys versions, which S3 refuses while they are
//! locked, and cannot hide anything under a delete marker but index objects, which it replaces.
//!
//! In a temporary bucket a worker has one session's prefix: it reads and deletes there, and puts objects there where it
//! restores. What RDS itself does in the bucket, RDS does as another role.

use std::fmt::Write as _;

use crate::immutability::{Immutability, RetentionMode};

/// AWS's limit on an inline session policy, in characters.
pub const MAX_LENGTH: usize = 2048;

/// What a session may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// AWS partition: `aws`, `aws-cn`.
    pub partition: String,
    /// Bucket of the repository.
    pub bucket: String,
    /// Prefix of the repository's domain within the bucket, no leading and no trailing slash.
    pub domain_prefix: String,
    /// Whether it stores data, or reads only.
    pub writes: bool,
    /// Whether it keeps the domain tidy: it deletes, and creates nothing that a restore point names directly.
    pub maintains: bool,
    /// The domain of another repository that it copies to: there it reads and stores data, as a backup does.
    pub copies_to: Option<DomainAccess>,
    /// Immutability of the repository, where it has any.
    pub immutability: Option<Immutability>,
    /// Where native backups pass, where the session has such a place.
    pub temporary: Option<TemporaryAccess>,
    /// The database, where the session has one.
    pub database: Option<DatabaseAccess>,
}

/// A domain of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainAccess {
    /// Bucket of the repository.
    pub bucket: String,
    /// Prefix of the domain within the bucket, no leading and no trailing slash.
    pub domain_prefix: String,
    /// Immutability of the repository, where it has any.
    pub immutability: Option<Immutability>,
}

/// A session's place in a temporary bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryAccess {
    /// The bucket.
    pub bucket: String,
    /// Prefix that only this session uses, no leading and no trailing slash.
    pub prefix: String,
    /// Whether it puts files there, for RDS to read.
    pub fills: bool,
}

/// How the session logs in to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseAccess {
    /// It reads this secret. Its key may be used through Secrets Manager of the Region, and in no other way.
    Secret {
        /// ARN of the secret.
        arn: String,
        /// Region of the secret.
        region: String,
    },
    /// It makes IAM tokens for one user of one instance.
    Iam {
        /// Region of the instance.
        region: String,
        /// Account of the instance.
        account: String,
        /// `DbiResourceId`.
        resource_id: String,
        /// User name in the database.
        user: String,
    },
}

/// A scope whose policy AWS would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the session policy has {length} characters, AWS takes {MAX_LENGTH}: shorten the repository's prefix")]
pub struct TooLong {
    /// Its length.
    pub length: usize,
}

/// The policy document, JSON without spaces.
///
/// # Errors
/// Where it would be longer than AWS takes.
pub fn document(scope: &Scope) -> Result<String, TooLong> {
    let Scope { partition, bucket, domain_prefix, .. } = scope;
    let domain = Domain::new(partition, bucket, domain_prefix, scope.immutability);
    let mut statements = domain.reading();
    let new_only = conditions(&[NEW]);
    if scope.writes {
        statements.extend(domain.writing(&DATA));
    }
    if scope.maintains && domain.immutability.is_some() {
        statements.extend(domain.writing(&["packs", "index"]));
        statements.push(allow(&["s3:PutObject"], &domain.places(&["prune"]), Some(&new_only)));
        statements.push(allow(&["s3:DeleteObjectVersion"], &domain.places(&KEPT_TIDY), None));
        statements.push(allow(&["s3:DeleteObject"], &domain.places(&["index"]), None));
    } else if scope.maintains {
        statements.push(allow(&["s3:PutObject"], &domain.places(&["packs", "index", "prune"]), Some(&new_only)));
        statements.push(allow(&["s3:DeleteObject"], &domain.places(&KEPT_TIDY), None));
    }
    if let Some(DomainAccess { bucket, domain_prefix, immutability }) = &scope.copies_to {
        let target = Domain::new(partition, bucket, domain_prefix, *immutability);
        statements.extend(target.reading());
        statements.extend(target.writing(&DATA));
    }
    if let Some(temporary) = &scope.temporary {
        statements.extend(temporary.statements(partition));
    }
    match &scope.database {
        Some(DatabaseAccess::Secret { arn, region }) => {
            statements.push(allow(&["secretsmanager:GetSecretValue"], std::slice::from_ref(arn), None));
            let through =
                conditions(&[("StringEquals", "kms:ViaService", &format!("secretsmanager.{region}.amazonaws.com"))]);
            statements.push(allow(&["kms:Decrypt"], &["*".to_owned()], Some(&through)));
        }
        Some(DatabaseAccess::Iam { region, account, resource_id, user }) => {
            let user_arn = format!("arn:{partition}:rds-db:{region}:{account}:dbuser:{resource_id}/{}", literal(user));
            statements.push(allow(&["rds-db:connect"], &[user_arn], None));
        }
        None => {}
    }
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let length = document.chars().count();
    if length > MAX_LENGTH { Err(TooLong { length }) } else { Ok(document) }
}

impl TemporaryAccess {
    fn statements(&self, partition: &str) -> [String; 2] {
        let (bucket, prefix) = (format!("arn:{partition}:s3:::{}", self.bucket), literal(&self.prefix));
        let mut actions = vec!["s3:GetObject", "s3:DeleteObject"];
        if self.fills {
            actions.extend(["s3:PutObject", "s3:AbortMultipartUpload"]);
        }
        let within = conditions(&[("StringLike", "s3:prefix", &format!("{prefix}/*"))]);
        let objects = allow(&actions, &[format!("{bucket}/{prefix}/*")], None);
        [objects, allow(&["s3:ListBucket"], &[bucket], Some(&within))]
    }
}

/// Where whoever stores data may create objects: never a point.
const DATA: [&str; 3] = ["packs", "index", "lists"];

/// Where a maintenance session deletes.
const KEPT_TIDY: [&str; 4] = ["packs", "index", "lists", "prune"];
/// What every write must bring: it replaces nothing.
const NEW: (&str, &str, &str) = ("Null", "s3:if-none-match", "false");

/// A domain in IAM's words.
struct Domain {
    bucket_arn: String,
    prefix: String,
    immutability: Option<Immutability>,
}

impl Domain {
    fn new(partition: &str, bucket: &str, domain_prefix: &str, immutability: Option<Immutability>) -> Self {
        let bucket_arn = format!("arn:{partition}:s3:::{bucket}");
        Self { bucket_arn, prefix: literal(domain_prefix), immutability }
    }

    fn places(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("{}/{}/{name}/*", self.bucket_arn, self.prefix)).collect()
    }

    fn whole(&self) -> String {
        format!("{}/{}/*", self.bucket_arn, self.prefix)
    }

    /// A second action comes with the first where the repository is immutable.
    fn with(&self, plain: &'static str, of_locks: &'static str) -> Vec<&'static str> {
        if self.immutability.is_some() { vec![plain, of_locks] } else { vec![plain] }
    }

    fn reading(&self) -> Vec<String> {
        let within = conditions(&[("StringLike", "s3:prefix", &format!("{}/*", self.prefix))]);
        vec![
            allow(&self.with("s3:GetObject", "s3:GetObjectRetention"), &[self.whole()], None),
            allow(
                &self.with("s3:ListBucket", "s3:ListBucketVersions"),
                std::slice::from_ref(&self.bucket_arn),
                Some(&within),
            ),
        ]
    }

    /// Creates objects at these places; where the repository is immutable, none without a lock, and may extend locks.
    fn writing(&self, names: &[&str]) -> Vec<String> {
        let places = self.places(names);
        let Some(terms) = self.immutability else {
            return vec![allow(&["s3:PutObject"], &places, Some(&conditions(&[NEW])))];
        };
        let most = terms.most_days().to_string();
        let bounds = [("StringEquals", MODE, mode(terms)), ("NumericLessThanEquals", REMAINING, most.as_str())];
        vec![
            allow(&["s3:PutObject"], &places, Some(&locked_puts(NEW, terms))),
            allow(&["s3:PutObjectRetention"], &[self.whole()], Some(&conditions(&bounds))),
        ]
    }
}

/// The text with IAM's wildcards and variables taken by the letter: a prefix or a user name may contain them.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => {
                let _ = write!(out, "${{{character}}}");
            }
            other => out.push(other),
        }
    }
    out
}

const MODE: &str = "s3:object-lock-mode";
const REMAINING: &str = "s3:object-lock-remaining-retention-days";

fn mode(terms: Immutability) -> &'static str {
    match terms.mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// What every write of data must bring: a lock that does.
fn locked_puts(new: (&str, &str, &str), terms: Immutability) -> String {
    let least = terms.days.to_string();
    conditions(&[new, ("StringEquals", MODE, mode(terms)), ("NumericGreaterThanEquals", REMAINING, least.as_str())])
}

fn allow(actions: &[&str], resources: &[String], condition: Option<&str>) -> String {
    let list = |texts: Vec<String>| texts.join(",");
    let action = match actions {
        [one] => quoted(one),
        several => format!("[{}]", list(several.iter().map(|action| quoted(action)).collect())),
    };
    let resources = list(resources.iter().map(|resource| quoted(resource)).collect());
    let mut statement = format!(r#"{{"Effect":"Allow","Action":{action},"Resource":[{resources}]"#);
    if let Some(condition) = condition {
        let _ = write!(statement, r#","Condition":{condition}"#);
    }
    statement.push('}');
    statement
}

/// Conditions, each with an operator of its own.
fn conditions(all: &[(&str, &str, &str)]) -> String {
    let each: Vec<String> = all
        .iter()
        .map(|(operator, key, value)| format!("{}:{{{}:{}}}", quoted(operator), quoted(key), quoted(value)))
        .collect();
    format!("{{{}}}", each.join(","))
}

/// A JSON string. The texts are ARNs and names; quotes, backslashes and control characters are escaped all the same.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            control if (control as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
