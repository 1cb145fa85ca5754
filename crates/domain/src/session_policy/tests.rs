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
    let place =
        |arn: &Value| arn.as_str().unwrap().trim_start_matches("arn:aws:s3:::backups/prod/domains/dom-1/").to_owned();
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
    let target = DomainAccess { bucket: "vault".into(), domain_prefix: "far/domains/dom-1".into(), immutability: None };
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
        let of_bucket: Vec<_> = statements(&scope).into_iter().filter(of_bucket).collect();
        let [objects, listing] = &of_bucket[..] else { panic!("two statements") };
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
