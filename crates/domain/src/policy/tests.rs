use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::schedule::ScheduleText;

const OWN: &str = "111122223333";

pub(crate) fn policy(name: &str) -> Policy {
    Policy {
        name: name.to_owned(),
        priority: DEFAULT_PRIORITY,
        accounts: Vec::new(),
        regions: vec!["eu-central-1".to_owned()],
        resources: Selection { include: vec![Selector::All], exclude: Vec::new() },
        repository: "main".to_owned(),
        worker: WorkerDefaults::default(),
        configurations: Vec::new(),
        databases: Databases::All,
        credentials: Login::RdsManaged,
        snapshot: true,
        schedule: ScheduleText::Manual,
        concurrency: DEFAULT_CONCURRENCY,
        transfer: Transfer::default(),
        sqlserver: SqlServer::default(),
    }
}

pub(crate) fn configuration(zone: Option<&str>) -> WorkerConfiguration {
    WorkerConfiguration {
        account: None,
        region: "eu-central-1".to_owned(),
        availability_zone: zone.map(str::to_owned),
        subnet_id: Some("subnet-0123456789abcdef0".to_owned()),
        security_groups: Vec::new(),
        permanent_pair: false,
        worker: WorkerDefaults::default(),
    }
}

fn account(id: Option<&str>, role_arn: Option<&str>, external_id: Option<&str>) -> Account {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Account { id: own(id), role_arn: own(role_arn), external_id: own(external_id) }
}

fn resource(id: &str, tags: &[(&str, &str)]) -> Resource {
    Resource {
        account: OWN.to_owned(),
        region: "eu-central-1".to_owned(),
        id: id.to_owned(),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn ids(ids: &[&str]) -> Selector {
    Selector::Ids(ids.iter().map(|id| (*id).to_owned()).collect())
}

fn tags(tags: &[(&str, &[&str])]) -> Selector {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Selector::Tags(tags.iter().map(|(key, wanted)| ((*key).to_owned(), values(wanted))).collect::<BTreeMap<_, _>>())
}

#[test]
fn a_sound_policy_has_no_fault() {
    let mut sound = policy("nightly");
    sound.accounts = vec![account(None, Some("arn:aws:iam::444455556666:role/haulier"), Some("x-1"))];
    sound.configurations = vec![configuration(None), configuration(Some("eu-central-1a"))];
    assert_eq!(faults(&sound), Vec::new());
}

/// One change, and the field and part of the message that it must bring.
type Case = (fn(&mut Policy), &'static str, &'static str);

const CASES: &[Case] = &[
    (|p| p.name = "Nightly!".into(), "name", "is not a name"),
    (|p| p.name = String::new(), "name", "is not a name"),
    (|p| p.name = "-a".into(), "name", "is not a name"),
    (|p| p.priority = 1001, "priority", "too high"),
    (|p| p.accounts = vec![account(Some("12"), None, None)], "accounts[0].id", "not an account number"),
    (|p| p.accounts = vec![account(None, Some("arn:aws:iam::1:role/x"), None)], "accounts[0].role_arn", "not the ARN"),
    (
        |p| p.accounts = vec![account(None, Some("arn:aws:iam::111122223333:user/x"), None)],
        "accounts[0].role_arn",
        "not the ARN",
    ),
    (
        |p| p.accounts = vec![account(Some(OWN), Some("arn:aws:iam::444455556666:role/x"), None)],
        "accounts[0].role_arn",
        "lies in account 444455556666, not in 111122223333",
    ),
    (|p| p.accounts = vec![account(None, None, Some("abc"))], "accounts[0].external_id", "without a role"),
    (
        |p| p.accounts = vec![account(None, Some("arn:aws:iam::111122223333:role/x"), Some("a b"))],
        "accounts[0].external_id",
        "not an external id",
    ),
    (
        |p| p.accounts = vec![account(Some(OWN), None, None), account(Some(OWN), None, None)],
        "accounts[1]",
        "listed twice",
    ),
    (|p| p.regions.clear(), "regions", "names no Region"),
    (|p| p.regions = vec!["Frankfurt".into()], "regions[0]", "not a Region"),
    (|p| p.regions.push("eu-central-1".into()), "regions[1]", "listed twice"),
    (|p| p.resources.include.clear(), "resources.include", "includes nothing"),
    (|p| p.resources.include = vec![ids(&[])], "resources.include[0].ids", "is empty"),
    (|p| p.resources.include = vec![ids(&["a", "1b"])], "resources.include[0].ids[1]", "not a DB instance"),
    (|p| p.resources.include = vec![ids(&["a--b"])], "resources.include[0].ids[0]", "not a DB instance"),
    (|p| p.resources.include = vec![ids(&["a", "a"])], "resources.include[0].ids[1]", "listed twice"),
    (|p| p.resources.exclude = vec![tags(&[])], "resources.exclude[0].tags", "is empty"),
    (|p| p.resources.exclude = vec![tags(&[("env", &[])])], "resources.exclude[0].tags.env", "has no value"),
    (|p| p.resources.exclude = vec![Selector::All], "resources.exclude", "excludes everything"),
    (|p| p.repository = "my repo".into(), "repository", "not a name of a repository"),
    (|p| p.worker.instance_types = vec!["large".into()], "worker.instance_type", "not an instance type"),
    (
        |p| p.worker.instance_types = vec!["m7i.large".into(), "x".into()],
        "worker.instance_type[1]",
        "not an instance type",
    ),
    (|p| p.worker.instance_types = vec!["m7i.large".into(); 2], "worker.instance_type[1]", "listed twice"),
    (
        |p| p.worker.instance_types = (0..11).map(|n| format!("m7i.{n}xlarge")).collect(),
        "worker.instance_type",
        "too many",
    ),
    (|p| p.worker.image_id = Some("latest".into()), "worker.image", "not the id of an image"),
    (|p| p.worker.instance_profile = Some("arn:aws:iam::1:x/y".into()), "worker.instance_profile", "not the name"),
    (|p| p.worker.role_arn = Some("worker".into()), "worker.role_arn", "not the ARN"),
    (|p| drop(p.worker.tags.insert("haulier:x".into(), "y".into())), "worker.tags.haulier:x", "reserved prefix"),
    (|p| drop(p.worker.tags.insert("a".into(), "<".into())), "worker.tags.a", "is not a tag"),
    (
        |p| p.configurations = vec![WorkerConfiguration { region: "us-east-1".into(), ..configuration(None) }],
        "worker.configurations[0].region",
        "does not cover us-east-1",
    ),
    (
        |p| p.configurations = vec![configuration(Some("us-east-1a"))],
        "worker.configurations[0].availability_zone",
        "not an Availability Zone of eu-central-1",
    ),
    (
        |p| p.configurations = vec![WorkerConfiguration { subnet_id: Some("net-1".into()), ..configuration(None) }],
        "worker.configurations[0].subnet",
        "not an id of that kind",
    ),
    (
        |p| p.configurations = vec![configuration(None), configuration(None)],
        "worker.configurations[1]",
        "has a configuration already",
    ),
    (
        |p| p.configurations = vec![WorkerConfiguration { security_groups: vec!["web".into()], ..configuration(None) }],
        "worker.configurations[0].security_groups[0]",
        "not an id of that kind",
    ),
    (
        |p| p.configurations = vec![WorkerConfiguration { permanent_pair: true, ..configuration(None) }],
        "worker.configurations[0].permanent_pair",
        "without security_groups",
    ),
    (|p| p.databases = Databases::Listed(vec![]), "databases", "names no database"),
    (|p| p.databases = Databases::Listed(vec!["a".into(), "rdsadmin".into()]), "databases[1]", "belongs to the server"),
    (|p| p.databases = Databases::Listed(vec!["a".into(), "a".into()]), "databases[1]", "listed twice"),
    (|p| p.credentials = Login::Secret { arn: "hunter".into() }, "credentials.secret_arn", "not the ARN of a secret"),
    (|p| p.credentials = Login::Iam { user: String::new() }, "credentials.iam.user", "not a database user"),
    (
        |p| p.schedule = ScheduleText::Cron { expression: "daily".into(), time_zone: "UTC".into() },
        "schedule.cron",
        "not a cron expression",
    ),
    (
        |p| p.schedule = ScheduleText::Cron { expression: "0 3 * * *".into(), time_zone: "Berlin".into() },
        "schedule.time_zone",
        "not a known time zone",
    ),
    (|p| p.concurrency = 0, "concurrency", "out of range"),
    (|p| p.transfer.parallel_streams = Some(0), "transfer.parallel_streams", "out of range"),
    (|p| p.transfer.parallel_streams = Some(65), "transfer.parallel_streams", "out of range"),
    (|p| p.transfer.compression_level = Some(0), "transfer.compression_level", "not a level"),
    (|p| p.transfer.compression_level = Some(20), "transfer.compression_level", "not a level"),
    (|p| p.transfer.large_table_bytes = Some(8192), "transfer.large_table_bytes", "out of range"),
    (|p| p.transfer.split_table_bytes = Some(1 << 46), "transfer.split_table_bytes", "out of range"),
    (|p| p.transfer.split_table_bytes = Some(1 << 20), "transfer.split_table_bytes", "stand alone from"),
    (|p| p.transfer.large_table_bytes = Some(1 << 40), "transfer.large_table_bytes", "would be split from"),
];

#[test]
fn each_fault_names_its_field_and_a_remedy() {
    for (index, (change, field, message)) in CASES.iter().enumerate() {
        let mut policy = policy("nightly");
        change(&mut policy);
        let found = faults(&policy);
        let [fault] = found.as_slice() else { panic!("case {index} ({field}): {found:?}") };
        assert_eq!(fault.field, *field);
        assert!(fault.message.contains(message), "case {index}: {fault} lacks {message:?}");
        assert!(!fault.remedy.is_empty(), "case {index}: {fault}");
    }
}

#[test]
fn the_bounds_of_a_transfer_are_within_it() {
    for (streams, large, split, level) in [(1, 1 << 20, 1 << 20, 1), (64, 32 << 40, 32 << 40, 19)] {
        let mut good = policy("nightly");
        good.transfer = Transfer {
            parallel_streams: Some(streams),
            large_table_bytes: Some(large),
            split_table_bytes: Some(split),
            compression_level: Some(level),
        };
        assert_eq!(faults(&good), []);
    }
}

#[test]
fn faults_are_named_all_at_once() {
    let mut bad = policy("Nightly!");
    bad.regions.clear();
    bad.concurrency = 0;
    bad.schedule = ScheduleText::Cron { expression: "x".into(), time_zone: "y".into() };
    let fields: Vec<String> = faults(&bad).into_iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["name", "regions", "schedule.cron", "schedule.time_zone", "concurrency"]);
}

#[test]
fn a_selection_is_by_ids_or_tags_and_exclusions_win() {
    let shop = resource("shop", &[("env", "prod"), ("team", "web")]);
    for (include, exclude, named) in [
        (vec![Selector::All], vec![], true),
        (vec![ids(&["SHOP"])], vec![], true),
        (vec![ids(&["other"])], vec![], false),
        (vec![ids(&["other"]), tags(&[("env", &["prod"])])], vec![], true),
        (vec![tags(&[("env", &["test", "prod"])])], vec![], true),
        (vec![tags(&[("env", &["prod"]), ("team", &["data"])])], vec![], false),
        (vec![tags(&[("owner", &["web"])])], vec![], false),
        (vec![Selector::All], vec![ids(&["shop"])], false),
        (vec![ids(&["shop"])], vec![tags(&[("team", &["web"])])], false),
        (vec![Selector::All], vec![tags(&[("team", &["data"])])], true),
    ] {
        let selection = Selection { include, exclude };
        assert_eq!(selection.names(&shop), named, "{selection:?}");
    }
}

#[test]
fn accounts_and_regions_bound_a_policy() {
    let mut elsewhere = resource("shop", &[]);
    elsewhere.account = "444455556666".into();
    let mut abroad = resource("shop", &[]);
    abroad.region = "us-east-1".into();
    let own = policy("own");
    assert!(own.names(&resource("shop", &[]), OWN));
    assert!(!own.names(&elsewhere, OWN));
    assert!(!own.names(&abroad, OWN));
    let mut other = policy("other");
    other.accounts = vec![account(None, Some("arn:aws:iam::444455556666:role/haulier"), None)];
    assert!(other.names(&elsewhere, OWN));
    assert!(!other.names(&resource("shop", &[]), OWN));
    other.accounts.push(account(None, None, None));
    assert!(other.names(&resource("shop", &[]), OWN));
}

#[test]
fn a_configuration_that_names_the_account_comes_before_one_for_all() {
    let of = |account: Option<&str>, region: &str, zone: Option<&str>, subnet: &str| WorkerConfiguration {
        account: account.map(str::to_owned),
        region: region.to_owned(),
        subnet_id: Some(subnet.to_owned()),
        ..configuration(zone)
    };
    let mut policy = policy("p");
    policy.configurations = vec![
        of(Some(OWN), "eu-central-1", None, "own"),
        of(None, "eu-central-1", None, "all"),
        of(None, "eu-central-1", Some("eu-central-1a"), "zone"),
        of(Some("444455556666"), "eu-central-1", Some("eu-central-1b"), "stranger"),
        of(None, "us-east-1", None, "abroad"),
    ];
    let subnets = |account: &str| -> Vec<String> {
        let found = policy.configurations_in(account, "eu-central-1");
        found.into_iter().filter_map(|configuration| configuration.subnet_id.clone()).collect()
    };
    assert_eq!(subnets(OWN), ["own", "zone"]);
    assert_eq!(subnets("777788889999"), ["all", "zone"]);
}

#[test]
fn the_narrower_setting_wins() {
    let shape = |kind: &str, tags: &[(&str, &str)]| WorkerDefaults {
        instance_types: vec![kind.to_owned()],
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..WorkerDefaults::default()
    };
    let wide = WorkerDefaults { role_arn: Some("wide".to_owned()), ..shape("m7i.large", &[("a", "1"), ("b", "1")]) };
    let narrow = wide.narrowed_by(&shape("m7i.xlarge", &[("b", "2")]));
    assert_eq!(narrow.role_arn.as_deref(), Some("wide"));
    assert_eq!(narrow.instance_types, ["m7i.xlarge"]);
    assert_eq!(narrow.tags, shape("", &[("a", "1"), ("b", "2")]).tags);
    assert_eq!(wide.narrowed_by(&WorkerDefaults::default()), wide);
}

fn arbitrary_policy() -> impl Strategy<Value = Policy> {
    let selector = prop_oneof![
        Just(Selector::All),
        prop::sample::subsequence(vec!["a", "b", "c"], 1..=3).prop_map(|names| ids(&names)),
        prop::sample::select(vec!["prod", "test"]).prop_map(|value| tags(&[("env", &[value])])),
    ];
    let selectors = || prop::collection::vec(selector.clone(), 0..3);
    ("[a-d]{1,2}", 0_u32..4, selectors(), selectors()).prop_map(|(name, priority, include, exclude)| Policy {
        priority,
        resources: Selection { include, exclude },
        ..policy(&name)
    })
}

proptest! {
    #[test]
    fn a_resource_belongs_to_the_highest_priority_that_names_it(
        policies in prop::collection::vec(arbitrary_policy(), 0..6),
        id in prop::sample::select(vec!["a", "b", "c", "d"]),
        env in prop::sample::select(vec!["prod", "test", "none"]),
        turn in 0_usize..6,
    ) {
        let resource = resource(id, &[("env", env)]);
        let naming: Vec<&Policy> = policies.iter().filter(|policy| policy.names(&resource, OWN)).collect();
        let owner = owners(&policies, &resource, OWN);
        prop_assert_eq!(owner.is_none(), naming.is_empty());
        if let Some(owner) = &owner {
            prop_assert!(naming.iter().all(|policy| policy.priority <= owner.policy.priority));
            let equals = naming.iter().filter(|policy| policy.priority == owner.policy.priority);
            prop_assert!(equals.clone().all(|policy| owner.policy.name <= policy.name));
            prop_assert_eq!(owner.others.len() + 1, naming.len());
        }
        // The order in which policies are stored decides nothing.
        let mut turned = policies.clone();
        turned.rotate_left(if policies.is_empty() { 0 } else { turn % policies.len() });
        let again = owners(&turned, &resource, OWN);
        prop_assert_eq!(owner.map(|o| o.policy.name.clone()), again.map(|o| o.policy.name.clone()));
    }

    #[test]
    fn an_exclusion_wins_whatever_includes(policy in arbitrary_policy(), id in prop::sample::select(vec!["a", "b"])) {
        let mut policy = policy;
        policy.resources.exclude.push(ids(&[id]));
        prop_assert!(!policy.names(&resource(id, &[("env", "prod")]), OWN));
    }
}
