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
mod tests {
    use serde_json::Value;

    use super::*;

    fn scope(writes: bool) -> Scope {
        Scope {
            partition: "aws".into(),
            bucket: "backups".into(),
            domain_prefix: "prod/domains/dom-1".into(),
            writes,
            maintains: false,
            copies_to: None,
            immutability: None,
            temporary: None,
            database: Some(DatabaseAccess::Secret {
                arn: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:orders-AbCdEf".into(),
                region: "eu-central-1".into(),
            }),
        }
    }

    fn statements(scope: &Scope) -> Vec<Value> {
        let document: Value = serde_json::from_str(&document(scope).unwrap()).unwrap();
        document["Statement"].as_array().unwrap().clone()
    }

    fn actions(scope: &Scope) -> Vec<String> {
        let of = |statement: &Value| match &statement["Action"] {
            Value::Array(several) => several.iter().map(|action| action.as_str().unwrap().to_owned()).collect(),
            one => vec![one.as_str().unwrap().to_owned()],
        };
        statements(scope).iter().flat_map(of).collect()
    }

    /// Where an action is allowed, as places in the domain, and under which conditions.
    fn allowed(scope: &Scope, action: &str) -> Vec<(Vec<String>, Value)> {
        let place = |arn: &Value| {
            arn.as_str().unwrap().trim_start_matches("arn:aws:s3:::backups/prod/domains/dom-1/").to_owned()
        };
        let found = statements(scope).into_iter().filter(|statement| statement["Action"] == action);
        found
            .map(|statement| {
                let places = statement["Resource"].as_array().unwrap().iter().map(place).collect();
                (places, statement["Condition"].clone())
            })
            .collect()
    }

    #[test]
    fn nothing_unlocked_gets_into_an_immutable_repository_and_no_lock_is_shortened_or_endless() {
        use RetentionMode::{Compliance, Governance};
        for (mode, word) in [(Governance, "GOVERNANCE"), (Compliance, "COMPLIANCE")] {
            let immutability = Some(Immutability { mode, days: 30 });
            let backup = Scope { immutability, ..scope(true) };
            let [(places, condition)] = allowed(&backup, "s3:PutObject").try_into().unwrap();
            assert_eq!(places, ["packs/*", "index/*", "lists/*"]);
            assert_eq!(condition["Null"]["s3:if-none-match"], "false");
            assert_eq!(condition["StringEquals"][MODE], word);
            assert_eq!(condition["NumericGreaterThanEquals"][REMAINING], "30");
            let [(places, condition)] = allowed(&backup, "s3:PutObjectRetention").try_into().unwrap();
            assert_eq!((places, &condition["StringEquals"][MODE]), (vec!["*".to_owned()], &word.into()));
            assert_eq!(condition["NumericLessThanEquals"][REMAINING], "46");
            let restore = Scope { immutability, ..scope(false) };
            assert_eq!(allowed(&restore, "s3:PutObjectRetention"), []);
            let prune = Scope { maintains: true, database: None, ..restore.clone() };
            for scope in [&backup, &restore, &prune] {
                assert!(!actions(scope).iter().any(|action| action.contains("Bypass") || action.contains("LegalHold")));
                assert!(actions(scope).contains(&"s3:GetObjectRetention".to_owned()));
            }
            let long = Scope { domain_prefix: "x".repeat(100), ..backup };
            assert!(document(&long).is_ok(), "{:?}", document(&long));
        }
    }

    #[test]
    fn maintenance_of_an_immutable_repository_hides_nothing_but_index_objects() {
        let immutability = Some(Immutability { mode: RetentionMode::Governance, days: 30 });
        let scope = Scope { maintains: true, immutability, database: None, ..scope(false) };
        let places = |action: &str| allowed(&scope, action).into_iter().map(|(places, _)| places).collect::<Vec<_>>();
        assert_eq!(places("s3:DeleteObject"), [["index/*"]]);
        assert_eq!(places("s3:DeleteObjectVersion"), [["packs/*", "index/*", "lists/*", "prune/*"]]);
        assert_eq!(places("s3:PutObject"), [vec!["packs/*", "index/*"], vec!["prune/*"]]);
        let long = Scope { domain_prefix: "x".repeat(60), ..scope.clone() };
        assert!(document(&long).is_ok());
    }

    #[test]
    fn a_backup_may_create_data_but_neither_points_nor_deletions() {
        let scope = scope(true);
        let put = statements(&scope).into_iter().find(|statement| statement["Action"] == "s3:PutObject").unwrap();
        let places: Vec<_> = put["Resource"].as_array().unwrap().iter().map(|place| place.as_str().unwrap()).collect();
        assert_eq!(
            places,
            ["packs", "index", "lists"].map(|place| format!("arn:aws:s3:::backups/prod/domains/dom-1/{place}/*"))
        );
        assert_eq!(put["Condition"]["Null"]["s3:if-none-match"], "false");
        assert!(!actions(&scope).iter().any(|action| action.contains("Delete") || action.contains('*')));
    }

    #[test]
    fn maintenance_deletes_in_its_domain_and_never_a_point() {
        let scope = Scope { maintains: true, database: None, ..scope(false) };
        let places = |action: &str| -> Vec<String> {
            let found = statements(&scope).into_iter().find(|statement| statement["Action"] == action).unwrap();
            found["Resource"].as_array().unwrap().iter().map(|place| place.as_str().unwrap().to_owned()).collect()
        };
        let in_domain = |place: &str| format!("arn:aws:s3:::backups/prod/domains/dom-1/{place}/*");
        assert_eq!(places("s3:DeleteObject"), ["packs", "index", "lists", "prune"].map(in_domain));
        assert_eq!(places("s3:PutObject"), ["packs", "index", "prune"].map(in_domain));
        assert_eq!(actions(&scope), ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"]);
        let long = Scope { domain_prefix: "x".repeat(150), ..scope };
        assert!(document(&long).is_ok());
    }

    #[test]
    fn a_copy_reads_its_source_and_stores_in_its_target_alone() {
        let target =
            DomainAccess { bucket: "vault".into(), domain_prefix: "far/domains/dom-1".into(), immutability: None };
        let scope = Scope { copies_to: Some(target), database: None, ..scope(false) };
        let of = |action: &str| -> Vec<Value> {
            let all = statements(&scope).into_iter().filter(|statement| statement["Action"] == action);
            all.map(|statement| statement["Resource"].clone()).collect()
        };
        let places = ["packs", "index", "lists"].map(|place| format!("arn:aws:s3:::vault/far/domains/dom-1/{place}/*"));
        assert_eq!(of("s3:PutObject"), [serde_json::json!(places)]);
        assert_eq!(
            of("s3:GetObject"),
            [
                serde_json::json!(["arn:aws:s3:::backups/prod/domains/dom-1/*"]),
                serde_json::json!(["arn:aws:s3:::vault/far/domains/dom-1/*"])
            ]
        );
        // Each bucket is listed below its own prefix.
        let listings: Vec<_> = statements(&scope).into_iter().filter(|one| one["Action"] == "s3:ListBucket").collect();
        for (listing, bucket, prefix) in
            [(&listings[0], "backups", "prod/domains/dom-1/*"), (&listings[1], "vault", "far/domains/dom-1/*")]
        {
            assert_eq!(listing["Resource"], serde_json::json!([format!("arn:aws:s3:::{bucket}")]));
            assert_eq!(listing["Condition"]["StringLike"]["s3:prefix"], prefix);
        }
        assert!(!actions(&scope).iter().any(|action| action.contains("Delete")));
        let prefix = "x".repeat(120);
        let long = DomainAccess { bucket: "b".repeat(63), domain_prefix: prefix.clone(), immutability: None };
        assert!(document(&Scope { domain_prefix: prefix, copies_to: Some(long), ..scope }).is_ok());
    }

    #[test]
    fn a_native_backup_reads_and_deletes_below_its_own_prefix_and_a_restore_puts_there_too() {
        let temporary = |fills| {
            let (bucket, prefix) = ("haulier-temporary-1".to_owned(), "haulier-1-native".to_owned());
            Some(TemporaryAccess { bucket, prefix, fills })
        };
        for (fills, expected) in [
            (false, serde_json::json!(["s3:GetObject", "s3:DeleteObject"])),
            (true, serde_json::json!(["s3:GetObject", "s3:DeleteObject", "s3:PutObject", "s3:AbortMultipartUpload"])),
        ] {
            let scope = Scope { temporary: temporary(fills), ..scope(!fills) };
            let of_bucket = |statement: &Value| statement["Resource"][0].as_str().unwrap().contains("haulier-temporary-1");
            let [objects, listing] = &statements(&scope).into_iter().filter(of_bucket).collect::<Vec<_>>()[..] else {
                panic!("two statements")
            };
            assert_eq!(objects["Action"], expected);
            assert_eq!(objects["Resource"], serde_json::json!(["arn:aws:s3:::haulier-temporary-1/haulier-1-native/*"]));
            assert_eq!(listing["Action"], "s3:ListBucket");
            assert_eq!(listing["Resource"], serde_json::json!(["arn:aws:s3:::haulier-temporary-1"]));
            assert_eq!(listing["Condition"]["StringLike"]["s3:prefix"], "haulier-1-native/*");
            let long = TemporaryAccess { bucket: "b".repeat(63), prefix: "p".repeat(200), fills };
            let immutability = Some(Immutability { mode: RetentionMode::Compliance, days: 3650 });
            assert!(document(&Scope { temporary: Some(long), immutability, ..scope }).is_ok());
        }
    }

    #[test]
    fn a_restore_writes_nothing() {
        assert!(!actions(&scope(false)).contains(&"s3:PutObject".to_owned()));
    }

    #[test]
    fn iam_login_names_one_user_of_one_instance() {
        let mut scope = scope(false);
        scope.database = Some(DatabaseAccess::Iam {
            region: "eu-central-1".into(),
            account: "111122223333".into(),
            resource_id: "db-ABC".into(),
            user: "haulier".into(),
        });
        let connect = statements(&scope).pop().unwrap();
        assert_eq!(connect["Resource"][0], "arn:aws:rds-db:eu-central-1:111122223333:dbuser:db-ABC/haulier");
        assert!(!actions(&scope).contains(&"kms:Decrypt".to_owned()));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_string() {
        let mut hostile = scope(false);
        hostile.domain_prefix = r#"x"],"Action":"*","Resource":["*"#.into();
        assert!(!actions(&hostile).contains(&"*".to_owned()));
    }

    #[test]
    fn a_wildcard_in_a_name_stands_for_itself() {
        let mut wild = scope(false);
        wild.domain_prefix = "prod*".into();
        assert_eq!(statements(&wild)[0]["Resource"][0], "arn:aws:s3:::backups/prod${*}/*");
    }

    #[test]
    fn a_policy_that_aws_would_refuse_is_refused_here() {
        let mut long = scope(true);
        assert!(document(&long).unwrap().len() <= MAX_LENGTH);
        long.domain_prefix = "x".repeat(900);
        assert!(document(&long).is_err());
    }
}
