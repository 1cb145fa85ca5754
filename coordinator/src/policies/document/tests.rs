use haulier_domain::policy::{Selector, Tags};
use proptest::prelude::*;

use super::*;

const SMALL: &str = "version: 1\nname: nightly\nregions: [eu-central-1]\nresources: {include: all}\n\
                     repository: main\ncredentials: rds_managed\nschedule: manual\n";

fn told(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(|f| format!("{} {}: {}", f.place.line, f.fault.field, f.fault.message)).collect()
}

#[test]
fn a_small_policy_is_filled_up_with_defaults() {
    let policy = read(SMALL).unwrap();
    assert_eq!(policy.priority, 100);
    assert_eq!(policy.concurrency, 4);
    assert!(policy.snapshot);
    assert_eq!(policy.databases, Databases::All);
    assert_eq!(policy.accounts, []);
}

#[test]
fn the_example_is_valid_and_names_every_key() {
    let text = include_str!("../../../../docs/examples/policy.yaml");
    let policy = read(text).unwrap();
    assert_eq!(policy.name, "production-nightly");
    assert_eq!(policy.accounts[0].number().as_deref(), Some("111122223333"));
    assert_eq!(policy.resources.include[1], Selector::Ids(vec!["billing".into(), "shop".into()]));
    assert_eq!(policy.worker.tags, Tags::from([("cost-center".into(), "4711".into())]));
    assert_eq!(policy.configurations[0].subnet_id.as_deref(), Some("subnet-0123456789abcdef0"));
    assert_eq!(policy.configurations[0].worker.instance_types, ["m7i.xlarge", "m6i.xlarge"]);
    assert_eq!((policy.sqlserver.files, policy.sqlserver.full_every_days), (Some(4), Some(7)));
    assert_eq!(policy.sqlserver.temporary_buckets[0].bucket, "my-native-backups");
    let keys = |region: &String| (policy.sqlserver.key_in(region), policy.sqlserver.log_key_in(region));
    assert!(policy.regions.iter().all(|region| matches!(keys(region), (Some(_), Some(_)))), "{:?}", policy.sqlserver);
    for key in KEYS {
        assert!(text.contains(&format!("\n{key}:")), "the example lacks {key}");
    }
}

#[test]
fn each_way_to_log_in_and_to_schedule_is_read() {
    let with = |from: &str, to: &str| read(&SMALL.replace(from, to)).unwrap();
    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-a1b2c3";
    let secret = with("credentials: rds_managed", &format!("credentials: {{secret_arn: \"{arn}\"}}"));
    assert_eq!(secret.credentials, Login::Secret { arn: arn.into() });
    let iam = with("credentials: rds_managed", "credentials:\n  iam:\n    user: haulier");
    assert_eq!(iam.credentials, Login::Iam { user: "haulier".into() });
    let cron = with("schedule: manual", "schedule: {cron: 0 3 * * *}");
    assert_eq!(cron.schedule, ScheduleText::Cron { expression: "0 3 * * *".into(), time_zone: "UTC".into() });
    let listed = with("repository: main", "repository: main\ndatabases: [a, 007]");
    assert_eq!(listed.databases, Databases::Listed(vec!["a".into(), "007".into()]));
}

/// A document's line or lines that replace one of the small policy, and the faults that must be told.
const CASES: &[(&str, &str, &[&str])] = &[
    ("version: 1", "version: 2", &["1 version: is not a version that this coordinator reads"]),
    ("version: 1", "# nothing", &["2 version: is missing"]),
    ("name: nightly", "name: [a]", &["2 name: is a list"]),
    ("name: nightly", "nam: nightly", &["1 name: is missing", "2 nam: unknown key \"nam\""]),
    ("name: nightly", "name: nightly\nname: other", &["3 : the key \"name\" stands here twice"]),
    ("name: nightly", "name:", &["2 name: has no value"]),
    ("repository: main", "repository: main\npriority: high", &["6 priority: \"high\" is not a whole number"]),
    (
        "repository: main",
        "repository: main\nsqlserver: {files: 11, temporary_buckets: [{bucket: fine-name, kms: x}]}",
        &[
            "6 sqlserver.files: 11 files are out of range",
            "6 sqlserver.temporary_buckets[0].region: is missing",
            "6 sqlserver.temporary_buckets[0].kms: unknown key \"kms\"",
        ],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver:\n  files: 11",
        &["7 sqlserver.files: 11 files are out of range"],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver:\n  log_backups: true",
        &["7 sqlserver.log_backups: log backups stand on a full one, and RDS keeps them for seven days"],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver:\n  full_every_days: 8\n  log_backups: true",
        &["8 sqlserver.log_backups: log backups stand on a full one, and RDS keeps them for seven days"],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver:\n  log_backups: often",
        &["7 sqlserver.log_backups: \"often\" is not true or false"],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver:\n  files: 1\n  kms_key: arn:aws:kms:eu-west-1:111122223333:key/x",
        &["8 sqlserver.kms_key: no key of eu-central-1 is named"],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver: {kms_key: [alias/mine]}",
        &[
            "6 sqlserver.kms_key: \"alias/mine\" is not the ARN of a KMS key",
            "6 sqlserver.kms_key: no key of eu-central-1 is named",
        ],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver:\n  log_kms_key:\n    - arn:aws:kms:eu-west-1:111122223333:key/x",
        &[
            "7 sqlserver.log_kms_key: no key of eu-central-1 is named",
            "7 sqlserver.log_kms_key: it is for log backups, and sqlserver.log_backups does not ask for any",
        ],
    ),
    (
        "repository: main",
        "repository: main\nsqlserver: {full_every_days: 7, log_backups: true, log_kms_key: alias/mine}",
        &[
            "6 sqlserver.log_kms_key: \"alias/mine\" is not the ARN of a KMS key",
            "6 sqlserver.log_kms_key: no key of eu-central-1 is named",
        ],
    ),
    ("repository: main", "repository: main\npriority: 5000", &["6 priority: 5000 is too high"]),
    ("repository: main", "repository: main\nretention: 30", &["6 retention: unknown key \"retention\""]),
    ("repository: main", "repository: main\nsnapshot: maybe", &["6 snapshot: \"maybe\" is not true or false"]),
    ("regions: [eu-central-1]", "regions: eu-central-1", &["3 regions: is a single value"]),
    (
        "regions: [eu-central-1]",
        "regions:\n  - eu-central-1\n  - Frankfurt",
        &["5 regions[1]: \"Frankfurt\" is not a Region"],
    ),
    ("resources: {include: all}", "resources: all", &["4 resources: is a single value"]),
    ("resources: {include: all}", "resources: {include: al}", &["4 resources.include: \"al\" is not known"]),
    ("resources: {include: all}", "resources: {exclude: []}", &["4 resources.include: is missing"]),
    (
        "resources: {include: all}",
        "resources:\n  include:\n    - ids: [a]\n      tags: {a: b}\n    - ids: [1x]\n    - idz: [y]",
        &[
            "6 resources.include[0]: must say ids or tags",
            "8 resources.include[1].ids[0]: \"1x\" is not a DB instance identifier",
            "9 resources.include[2]: must say ids or tags",
            "9 resources.include[2].idz: unknown key \"idz\"",
        ],
    ),
    (
        "credentials: rds_managed",
        "credentials: {password: hunter2}",
        &["6 credentials: does not name one way to log in", "6 credentials.password: unknown key \"password\""],
    ),
    ("credentials: rds_managed", "credentials: {iam: haulier}", &["6 credentials.iam: is a single value"]),
    ("credentials: rds_managed", "credentials: rds-managed", &["6 credentials: \"rds-managed\" is not known"]),
    (
        "schedule: manual",
        "schedule:\n  cron: nightly\n  time_zone: Mars",
        &[
            "8 schedule.cron: \"nightly\" is not a cron expression",
            "9 schedule.time_zone: \"Mars\" is not a known time zone",
        ],
    ),
    ("schedule: manual", "schedule: {time_zone: UTC}", &["7 schedule.cron: is missing"]),
    (
        "repository: main",
        "repository: main\nworker:\n  configurations:\n    - availability_zone: eu-central-1a\n      vpc: vpc-1\n    \
         - region: eu-central-1\n      subnet: net\n      permanent_pair: true",
        &[
            "8 worker.configurations[0].region: is missing",
            "9 worker.configurations[0].vpc: unknown key \"vpc\"",
            "11 worker.configurations[1].subnet: \"net\" is not an id of that kind",
            "12 worker.configurations[1].permanent_pair: stands without security_groups",
        ],
    ),
    ("repository: main", "repository: main\naccounts: []", &["6 accounts: is empty"]),
    ("repository: main", "repository: main\naccounts:\n  - {}", &["7 accounts[0]: says nothing"]),
    (
        "repository: main",
        "repository: main\naccounts:\n  - id: 1\n    external_id: x-1",
        &["7 accounts[0].id: \"1\" is not an account number", "8 accounts[0].external_id: stands without a role"],
    ),
];

#[test]
fn every_fault_is_told_with_its_line() {
    for (from, to, want) in CASES {
        let text = SMALL.replace(from, to);
        let told = told(&text);
        assert_eq!(told.len(), want.len(), "{text}\n{told:#?}");
        for (told, want) in told.iter().zip(*want) {
            assert!(told.starts_with(want), "{text}\n{told:?} does not start with {want:?}");
        }
    }
}

#[test]
fn faults_of_shape_and_meaning_are_told_together_in_order() {
    let text = "version: 1\nname: No!\nregoins: [eu-central-1]\nresources: {include: [{ids: [a--b]}]}\n\
                repository: main\ncredentials: rds_managed\nschedule: {cron: \"61 * * * *\"}\nconcurrency: 0\n";
    let lines: Vec<String> = told(text).iter().map(|told| told.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(
        lines,
        ["1 regions", "2 name", "3 regoins", "4 resources.include[0].ids[0]", "7 schedule.cron", "8 concurrency"]
    );
}

#[test]
fn no_fault_repeats_what_may_be_a_secret() {
    let told = told(&SMALL.replace("credentials: rds_managed", "credentials: {password: hunter2}"));
    assert!(!told.join("\n").contains("hunter2"), "{told:?}");
}

proptest! {
    #[test]
    fn a_mangled_document_is_told_its_faults_and_never_more(
        line in 0_usize..200,
        change in 0_u8..4,
        text in "\\PC{0,16}",
    ) {
        let example = include_str!("../../../../docs/examples/policy.yaml");
        let mut lines: Vec<&str> = example.lines().collect();
        let line = line % lines.len();
        match change {
            0 => drop(lines.remove(line)),
            1 => lines.insert(line, lines[line]),
            2 => lines[line] = &text,
            _ => lines.insert(line, &text),
        }
        if let Err(faults) = read(&lines.join("\n")) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.place.line as usize <= lines.len() + 1, "{fault}");
                prop_assert!(!fault.fault.message.is_empty() && !fault.fault.remedy.is_empty(), "{fault}");
            }
        }
    }
}
