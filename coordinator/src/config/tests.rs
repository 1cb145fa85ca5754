use std::collections::BTreeMap;

use super::*;

fn loaded(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coordinator.yaml");
    std::fs::write(&path, file).unwrap();
    let environment: BTreeMap<_, _> = environment.iter().copied().collect();
    let fixed = ["haulier-coordinator", "--config", path.to_str().unwrap()];
    load(fixed.iter().chain(flags), |name| environment.get(name).map(|value| (*value).to_owned()))
}

fn faults(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Vec<String> {
    match loaded(file, environment, flags) {
        Err(ConfigError::Faulty(faulty)) => faulty
            .faults
            .iter()
            .map(|fault| {
                format!("{}:{} {}: {}", fault.place.line, fault.place.column, fault.fault.field, fault.fault.message)
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

const SMALL: &str = "version: 1\nregion: eu-central-1\nworker_service:\n  advertise: https://10.0.0.5:7443\n";

#[test]
fn a_small_file_is_filled_up_with_defaults() {
    let config = loaded(SMALL, &[], &[]).unwrap();
    assert_eq!(config.state_dir, PathBuf::from("/var/lib/haulier"));
    assert_eq!(config.worker_listen.to_string(), "0.0.0.0:7443");
    assert_eq!(config.worker.image_tag, ("haulier:component".to_owned(), "worker".to_owned()));
    assert_eq!(config.control_names, [""; 0]);
    assert_eq!(config.worker.role_arn, None);
    assert_eq!(config.worker.deadline, Duration::from_secs(86_400));
    assert_eq!(config.max_sessions, 50);
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let file = format!("{SMALL}sessions:\n  max_running: 7\n");
    let running =
        |environment: &[(&str, &str)], flags: &[&str]| loaded(&file, environment, flags).unwrap().max_sessions;
    assert_eq!(loaded(SMALL, &[], &[]).unwrap().max_sessions, 50);
    assert_eq!(running(&[], &[]), 7);
    assert_eq!(running(&[("HAULIER_MAX_SESSIONS", "8")], &[]), 8);
    assert_eq!(running(&[("HAULIER_MAX_SESSIONS", "8")], &["--max-sessions", "9"]), 9);
    assert_eq!(running(&[("HAULIER_MAX_SESSIONS", "")], &[]), 7);
}

#[test]
fn every_setting_can_be_given_by_variable_and_flag() {
    let values: BTreeMap<&str, &str> = [
        ("state_dir", "/tmp/x"),
        ("region", "us-east-1"),
        ("worker_service.listen", "127.0.0.1:1"),
        ("worker_service.advertise", "https://h:2"),
        ("control_service.listen", "127.0.0.1:3"),
        ("control_service.names", "haulier.example,10.0.0.5"),
        ("installation_key.kms_key_arn", "arn:aws:kms:eu-central-1:111122223333:key/k"),
        ("worker.attempts", "4"),
        ("pace.poll_milliseconds", "51"),
        ("pace.heartbeat_milliseconds", "101"),
        ("pace.settle_seconds", "1"),
        ("pace.boot_seconds", "11"),
        ("pace.cancel_seconds", "2"),
        ("pace.outage_seconds", "3"),
        ("pace.available_seconds", "4"),
        ("pace.capacity_seconds", "6"),
        ("pace.schedule_seconds", "5"),
        ("log.format", "json"),
        ("log.filter", "debug"),
        ("worker.role_arn", "arn:aws:iam::111122223333:role/w"),
        ("worker.instance_profile", "w"),
        ("worker.instance_type", "c7i.large, m7i.large"),
        ("worker.launch_rounds", "2"),
        ("worker.image_tag", "a=b"),
        ("worker.patience_seconds", "31"),
        ("worker.deadline_hours", "2"),
        ("reaper.interval_seconds", "11"),
        ("sessions.max_running", "3"),
        ("prune.grace_seconds", "7"),
    ]
    .into();
    assert_eq!(values.len(), SETTINGS.len());
    let by_variable: Vec<_> = SETTINGS.iter().map(|setting| (setting.variable, values[setting.key])).collect();
    let flags: Vec<String> =
        SETTINGS.iter().map(|setting| format!("--{}={}", setting.flag, values[setting.key])).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let config = loaded("version: 1\n", &by_variable, &[]).unwrap();
    assert_eq!(config, loaded("version: 1\n", &[], &flags).unwrap());
    assert_eq!(config.pace.poll, Duration::from_millis(51));
    assert_eq!(config.pace.available, Duration::from_secs(4));
    assert_eq!(config.worker.instance_types, ["c7i.large", "m7i.large"]);
    assert_eq!((config.worker.launch_rounds, config.pace.capacity), (2, Duration::from_secs(6)));
    assert_eq!(config.prune_grace, Duration::from_secs(7));
    assert_eq!(config.control_names, ["haulier.example", "10.0.0.5"]);
    assert_eq!(config.log, Log { format: LogFormat::Json, filter: "debug".to_owned() });
    assert_eq!(config.worker.role_arn.as_deref(), Some("arn:aws:iam::111122223333:role/w"));
}

#[test]
fn every_fault_is_told_at_once_with_its_line_or_its_layer() {
    let file = "version: 2\nregion: Frankfurt\nworker_service:\n  lisen: 0.0.0.0:1\n  advertise: http://x\n\
                log:\n  format: xml\nworker: [1]\nsessions:\n  max_running: 0\n";
    assert_eq!(
        faults(file, &[("HAULIER_REAPER_INTERVAL_SECONDS", "soon")], &["--control-listen", "here"]),
        [
            "0:0 --control-listen: \"here\" does not fit",
            "0:0 HAULIER_REAPER_INTERVAL_SECONDS: \"soon\" does not fit",
            "1:1 version: is not a version that this coordinator reads",
            "2:1 region: \"Frankfurt\" does not fit",
            "4:3 worker_service.lisen: unknown key \"lisen\"",
            "5:3 worker_service.advertise: \"http://x\" does not fit",
            "7:3 log.format: \"xml\" does not fit",
            "8:1 worker: is a list",
            "10:3 sessions.max_running: \"0\" does not fit",
        ]
    );
}

#[test]
fn what_is_needed_is_asked_for_by_all_its_names() {
    let Err(ConfigError::Faulty(faulty)) = loaded("version: 1\n", &[], &[]) else { panic!() };
    let text = faulty.to_string();
    assert!(text.contains("region: is missing (set region in the file, HAULIER_REGION, or --region)"), "{text}");
    assert_eq!(faulty.faults.len(), 2);
}

#[test]
fn a_file_that_is_not_there_is_an_error_and_without_one_there_are_defaults() {
    let error = load(["haulier-coordinator", "--config", "/nonexistent/x.yaml"], |_| None).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    let flags = ["haulier-coordinator", "--region=eu-central-1", "--worker-advertise=https://h:1/"];
    assert_eq!(load(flags, |_| None).unwrap().worker_advertise, "https://h:1");
}

#[test]
fn the_example_is_valid_and_names_every_setting() {
    let example = include_str!("../../../docs/examples/coordinator.yaml");
    loaded(example, &[], &[]).unwrap();
    for setting in SETTINGS {
        let last = setting.key.rsplit('.').next().unwrap();
        assert!(example.contains(&format!("{last}:")), "the example lacks {}", setting.key);
    }
}

#[test]
fn every_setting_is_documented_by_all_its_names() {
    let text = include_str!("../../../docs/configuration.md");
    for setting in SETTINGS {
        let row = format!("| `{}` | `{}` | `--{}` |", setting.key, setting.variable, setting.flag);
        assert!(text.contains(&row), "docs/configuration.md lacks {row}");
    }
}
