//! The command line's grammar: what is asked of the coordinator, what is refused before it is asked.

use crate::fake::{Coordinator, repository_file, run};

fn alone(arguments: &[&str]) -> crate::fake::Ran {
    run(arguments.iter().map(|argument| (*argument).to_owned()))
}

#[test]
fn usage_errors_end_with_two_and_say_why() {
    for arguments in [
        &["polciy"][..],
        &["session", "list", "--state", "lost"],
        &["session", "list", "--output", "xml"],
        &["repository", "create", "main", "--bucket", "b", "--region", "r"],
        &[
            "repository",
            "create",
            "main",
            "--bucket",
            "b",
            "--region",
            "r",
            "--kms-key-arn",
            "k",
            "--passphrase-secret-arn",
            "s",
        ],
        &["restore", "database", "--point", "p", "--database", "=x"],
        &["restore", "database", "--point", "p", "--secret-arn", "a", "--iam-user", "u"],
        &["restore", "database", "--point", "p", "--data-file-volume", "C:"],
        &["restore", "database"],
        &["session", "show"],
        &["point", "export", "pnt-1", "--bucket", "b", "--region", "r"],
        &["point", "export", "pnt-1", "--to", "folder"],
        &["point", "list", "--bucket", "b"],
        &["point", "list", "--passphrase-file", "f"],
        &["point", "list", "--bucket", "b", "--region", "r", "--repository", "main"],
        &["point", "show", "pnt-1", "--region", "r"],
    ] {
        let ran = alone(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains("error: "), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["restore", "database", "--help"], &["--version"]] {
        let ran = alone(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.out.contains("haulier"), "{}", ran.out);
    }
}

#[test]
fn completions_need_no_coordinator() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = alone(&["completions", shell]);
        assert_eq!(ran.code, 0, "{shell}");
        assert!(ran.out.contains("tail") && ran.out.contains("haulier"), "{shell}");
    }
}

#[test]
fn without_a_token_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "").unwrap();
    let ran = alone(&["session", "list", "--config", config.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("HAULIER_TOKEN_FILE"), "{}", ran.err);
}

#[test]
fn filters_reach_the_coordinator() {
    let coordinator = Coordinator::start();
    let asked = |arguments: &[&str]| {
        assert_eq!(coordinator.run(arguments).code, 0, "{arguments:?}");
        coordinator.asked()
    };
    let sessions =
        asked(&["session", "list", "--policy", "p", "--resource", "r", "--state", "tearing-down", "--limit", "7"]);
    assert_eq!(sessions, "ListSessionsRequest { policy: \"p\", resource: \"r\", states: [TearingDown], limit: 7 }");
    assert!(asked(&["point", "list", "--repository", "main"]).contains("repository: \"main\""));
    assert!(asked(&["worker", "list", "--all"]).contains("all: true"));
    assert!(asked(&["ledger", "list", "--session", "ses-1", "--open"]).contains("session_id: \"ses-1\", open: true"));
}

#[test]
fn a_repository_is_made_with_either_kind_of_key() {
    let coordinator = Coordinator::start();
    let create = |key: &[&str]| {
        let arguments = [&["repository", "create", "main", "--bucket", "b", "--region", "eu-central-1"], key].concat();
        let ran = coordinator.run(&arguments);
        assert!(ran.out.contains("location:   s3://backups/haulier\n"), "{}", ran.out);
        coordinator.asked()
    };
    assert!(create(&["--kms-key-arn", "arn:k"]).contains("KmsKeyArn(\"arn:k\")"));
    assert!(create(&["--passphrase-secret-arn", "arn:s"]).contains("PassphraseSecretArn(\"arn:s\")"));
    let locked = ["--kms-key-arn", "arn:k", "--object-lock", "compliance", "--retention-days", "14"];
    let asked = create(&locked);
    assert!(asked.contains("mode: Compliance, days: 14"), "{asked}");
    for half in [&locked[..4], &[&locked[..2], &locked[4..]].concat(), &[&locked[..5], &["0"]].concat()] {
        let arguments = [&["repository", "create", "main", "--bucket", "b", "--region", "r"], half].concat();
        assert_eq!(coordinator.run(&arguments).code, 2, "{half:?}");
    }
    let arguments = ["repository", "create", "taken", "--bucket", "b", "--region", "r", "--kms-key-arn", "k"];
    assert_eq!(coordinator.run(&arguments).code, 4);
}

#[test]
fn a_restore_asks_for_what_was_named() {
    let coordinator = Coordinator::start();
    let restore = |more: &[&str]| {
        let ran = coordinator.run(&[&["restore", "database", "--point", "pnt-1"], more].concat());
        assert_eq!((ran.code, ran.out.as_str()), (0, "ses-ok\n"), "{more:?}: {}", ran.err);
        coordinator.asked()
    };
    let plain = restore(&[]);
    assert!(plain.contains("target_instance: \"\", databases: [], without_roles: false, login: None"), "{plain}");
    let full = restore(&[
        "--database",
        "shop=shop_old",
        "--target-instance",
        "crm",
        "--schema",
        "public",
        "--table",
        "public.\"Odd\"",
        "--without-roles",
        "--iam-user",
        "haulier",
    ]);
    for part in [
        "target_instance: \"crm\"",
        "database: \"shop\", target_name: \"shop_old\", on_clash: Refuse",
        "schemas: [\"public\"], tables: [\"public.\\\"Odd\\\"\"]",
        "without_roles: true",
        "IamUser(\"haulier\")",
    ] {
        assert!(full.contains(part), "{full} lacks {part}");
    }
    let native = restore(&["--keep-cdc", "--data-file-volume", "h:", "--log-file-volume=J:"]);
    let asked =
        "NativeRestoreOptions { keep_cdc: true, data_file_volume: \"H:\", log_file_volume: \"J:\", until: None }";
    assert!(native.contains(asked) && plain.contains("native: None"), "{native} {plain}");
    let moment = restore(&["--until", "1970-01-01T01:00:00+00:00"]);
    assert!(moment.contains("until: Some(Timestamp { seconds: 3600, nanos: 0 })"), "{moment}");
    // Which databases an empty list stands for is the coordinator's to say.
    let suffix = restore(&["--on-clash", "suffix"]);
    assert!(suffix.contains("databases: []") && suffix.contains("on_clash: Suffix"), "{suffix}");
}

#[test]
fn replacing_names_what_it_destroys_and_needs_to_be_confirmed() {
    let coordinator = Coordinator::start();
    let replace = ["restore", "database", "--point", "pnt-1", "--on-clash", "replace", "--database", "shop=live"];
    let refused = coordinator.run(&replace);
    assert_eq!(refused.code, 4);
    assert!(
        refused.err.contains("it would drop on instance shop, with everything in them: \"live\""),
        "{}",
        refused.err
    );
    assert!(coordinator.asked().contains("PlanRestoreRequest"), "nothing but a plan was asked for");
    let every = coordinator.run(&["restore", "database", "--point", "pnt-1", "--on-clash", "replace"]);
    assert_eq!(every.code, 4);
    assert!(
        every.err.contains("it would drop on instance shop, with everything in them: \"shop\", \"crm\""),
        "{}",
        every.err
    );
    let confirmed = coordinator.run(&[&replace[..], &["--yes"]].concat());
    assert_eq!(confirmed.code, 0);
    assert!(coordinator.asked().contains("on_clash: Replace"));
}

#[test]
fn a_part_of_a_database_needs_one_database() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["restore", "database", "--point", "pnt-1", "--table", "a.b"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("name exactly one --database"), "{}", ran.err);
}

#[test]
fn waiting_for_a_restore_tells_its_result() {
    let coordinator = Coordinator::start();
    let restore = |target: &str| {
        let arguments =
            ["restore", "database", "--point", "pnt-1", "--target-instance", target, "--wait", "-o", "json"];
        let ran = coordinator.run(&arguments);
        (ran.code, ran.json()["session"]["state"].clone())
    };
    assert_eq!(restore("crm"), (0, "succeeded".into()));
    assert_eq!(restore("broken"), (5, "failed".into()));
}

#[test]
fn every_exit_code_and_command_is_documented() {
    let text = std::fs::read_to_string(repository_file("docs/cli.md")).unwrap();
    for code in (0..=9).chain([141]) {
        assert!(text.contains(&format!("| {code} |")), "exit code {code} is not documented");
    }
    for command in [
        "policy validate",
        "policy apply",
        "policy list",
        "policy show",
        "policy run",
        "policy delete",
        "session list",
        "session show",
        "session tail",
        "session cancel",
        "point list",
        "point show",
        "point check",
        "point verify",
        "restore database",
        "repository create",
        "repository list",
        "repository prune",
        "repository undelete",
        "repository key list",
        "resource list",
        "worker list",
        "ledger list",
        "completions",
    ] {
        assert!(text.contains(&format!("haulier {command}")), "{command} is not documented");
    }
}

#[test]
fn with_a_bucket_no_coordinator_is_asked() {
    let place = ["--bucket", "b", "--region", "r", "--passphrase-file", "/nowhere/passphrase"];
    for command in
        [&["point", "list"][..], &["point", "show", "pnt-1"], &["point", "export", "pnt-1", "--to", "/nowhere/x"]]
    {
        let ran = alone(&[command, &place[..], &["--coordinator", "nonsense"]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{command:?}: {}", ran.err);
        assert!(ran.err.contains("code:   file-unreadable") && ran.err.contains("s3://b/"), "{command:?}: {}", ran.err);
    }
}
