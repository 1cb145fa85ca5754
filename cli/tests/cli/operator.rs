//! What an operator must not be left in the dark about.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use haulier_cli::Io;

use crate::fake::{Coordinator, Ran};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_repeated_key_is_told_and_one_of_another_request_is_refused() {
    let coordinator = Coordinator::start();
    for command in [
        &["policy", "run", "nightly"][..],
        &["point", "check", "pnt-1"],
        &["point", "verify", "pnt-1", "--restore"],
        &["restore", "database", "--point", "pnt-1", "--database", "shop"],
    ] {
        let with = |key: &str, more: &[&str]| coordinator.run(&[command, &["--idempotency-key", key], more].concat());
        assert!(!with("new", &[]).err.contains("nothing new"), "{command:?}");
        let again = with("used", &[]);
        assert_eq!(again.code, 0, "{command:?}: {}", again.err);
        assert!(again.err.contains("nothing new was started, see ses-"), "{command:?}: {}", again.err);
        assert_eq!(with("used", &["-o", "json"]).json()["repeated_call"], true, "{command:?}");
        assert_eq!(with("new", &["-o", "json"]).json()["repeated_call"], false, "{command:?}");
        let other = with("other", &[]);
        assert_eq!((other.code, other.out.as_str()), (4, ""), "{command:?}");
        assert!(other.err.contains("code:   idempotency-key-reused"), "{command:?}: {}", other.err);
    }
}

#[test]
fn who_waits_is_first_told_for_what() {
    let coordinator = Coordinator::start();
    for command in [
        &["policy", "run", "cancelled", "--wait"][..],
        &["point", "check", "pnt-1", "--wait"],
        &["restore", "database", "--point", "pnt-1", "--wait", "-o", "json"],
    ] {
        let ran = coordinator.run(command);
        let first = lines(&ran.err).iter().position(|line| line.starts_with("== ") || line.contains(" == "));
        let told = lines(&ran.err).iter().position(|line| line.starts_with("waiting for session ses-"));
        assert!(told.is_some() && told < first, "{command:?}: {}", ran.err);
    }
    let both = coordinator.run(&["policy", "run", "cancelled", "--wait"]);
    for id in ["ses-ok", "ses-cancelled"] {
        assert!(both.err.contains(&format!("waiting for session {id}\n")), "{}", both.err);
    }
}

#[test]
fn a_run_that_was_waited_for_ends_with_its_restore_points() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["policy", "run", "nightly", "--wait"]);
    assert_eq!(
        lines(&ran.out),
        ["SESSION  RESOURCE  STATE      RESTORE POINT  TOOK", "ses-ok   shop      succeeded  pnt-1          1:15"]
    );
    let json = coordinator.run(&["policy", "run", "nightly", "--wait", "-o", "json"]).json();
    assert_eq!(json["sessions"][0]["point_id"], "pnt-1");
}

#[test]
fn a_session_with_sql_server_shows_its_place_and_what_rds_has_said() {
    let coordinator = Coordinator::start();
    let shown = coordinator.run(&["session", "show", "ses-native"]).out;
    for part in ["s3://temporary/haulier-1-native", "5 BACKUP_DB of crm: ERROR", "Access Denied"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = coordinator.run(&["session", "show", "ses-native", "-o", "json"]).json();
    assert_eq!(json["tasks"][0]["task_info"], "Access Denied");
}

#[test]
fn a_restore_says_which_database_becomes_which() {
    let coordinator = Coordinator::start();
    let restore = ["restore", "database", "--point", "pnt-1", "--target-instance", "beside"];
    let asked = coordinator.run(&restore);
    assert_eq!(asked.out, "ses-restored\n");
    assert_eq!(
        lines(&asked.err),
        [
            "restoring to instance beside: shop -> shop (or the next free name)",
            "restoring to instance beside: crm -> crm (or the next free name)",
        ]
    );
    let waited = coordinator.run(&[&restore[..], &["--wait"]].concat());
    assert!(waited.out.contains("database: shop -> shop_restored_1 (restored)\n"), "{}", waited.out);
    let shown = coordinator.run(&["session", "show", "ses-restored"]);
    assert!(shown.out.contains("database: shop -> shop_restored_1 (restored)\n"), "{}", shown.out);
    let json = coordinator.run(&["session", "show", "ses-restored", "-o", "json"]).json();
    let want = serde_json::json!([
        {"source": "shop", "target": "shop_restored_1", "on_clash": "suffix", "restored": true}
    ]);
    assert_eq!(json["databases"], want);
    let json = coordinator.run(&[&restore[..], &["-o", "json"]].concat()).json();
    assert_eq!((&json["target_instance"], &json["databases"][1]["source"]), (&"beside".into(), &"crm".into()));
}

#[test]
fn accounts_that_could_not_be_looked_into_are_told_and_what_was_found_is_printed() {
    let coordinator = Coordinator::start();
    coordinator.lock_an_account();
    let ran = coordinator.run(&["resource", "list"]);
    assert_eq!(ran.code, 9);
    assert!(ran.out.contains("shop  111122223333"), "{}", ran.out);
    assert!(ran.err.contains("listing the DB instances of account 444455556666 in eu-central-1"), "{}", ran.err);
    assert!(ran.err.contains("remedy: allow it"), "{}", ran.err);
    let ran = coordinator.run(&["resource", "list", "-o", "json"]);
    assert_eq!((ran.code, &ran.json()[0]["id"]), (9, &"shop".into()));
    let told: Vec<serde_json::Value> = ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["error"]["code"], &told[0]["exit_code"]), (&"cloud-denied".into(), &9.into()));
    assert_eq!(told.len(), 1);
}

#[test]
fn what_was_done_to_have_a_repository_is_told() {
    let coordinator = Coordinator::start();
    for (name, outcome, remark) in [
        ("main", "created", ""),
        ("adopted", "adopted", "adopted: a repository lay there already"),
        ("known", "unchanged", "unchanged: this installation has"),
    ] {
        let create = ["repository", "create", name, "--bucket", "b", "--region", "r", "--kms-key-arn", "k"];
        let ran = coordinator.run(&create);
        assert_eq!(ran.code, 0, "{name}");
        assert!(ran.err.starts_with(remark) && ran.err.is_empty() == remark.is_empty(), "{name}: {}", ran.err);
        let json = coordinator.run(&[&create[..], &["-o", "json"]].concat()).json();
        assert_eq!((&json["outcome"], &json["bucket"]), (&outcome.into(), &"backups".into()), "{name}");
    }
}

#[test]
fn usage_lines_name_what_is_needed_and_not_what_was_given() {
    let coordinator = Coordinator::start();
    for (command, usage) in [
        (&["session", "show"][..], "Usage: haulier session show [OPTIONS] <ID>\n"),
        (&["restore", "database"], "Usage: haulier restore database [OPTIONS] --point <ID>\n"),
        (&["session"], "Usage: haulier session [OPTIONS] <COMMAND>\n"),
        (&["policy", "run", "a", "b"], "Usage: haulier policy run [OPTIONS] <NAME>\n"),
    ] {
        let ran = coordinator.run(command);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains(usage), "{command:?}: {}", ran.err);
        assert!(!ran.err.contains("--ca-file <FILE> --token-file"), "{command:?}: {}", ran.err);
    }
}

/// A pipe that nobody reads.
struct Unread;

impl Write for Unread {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_answer_that_nobody_reads_ends_the_command_without_a_word() {
    let said = tempfile::NamedTempFile::new().unwrap();
    let err = Box::new(said.reopen().unwrap());
    let mut io = Io { out: Box::new(Unread), err, out_is_terminal: false, err_is_terminal: false };
    assert_eq!(haulier_cli::run(["haulier", "completions", "bash"], &mut io), 141);
    assert_eq!(std::fs::read_to_string(said.path()).unwrap(), "");

    let mut child = Command::new(env!("CARGO_BIN_EXE_haulier"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(141), &b""[..]));
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let coordinator = Coordinator::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_haulier"));
    command.args(["session", "list", "--ca-file", &coordinator.path("ca.pem"), "--token-file"]);
    command.args([&coordinator.path("token"), "--config"]);
    let address = format!("coordinator = {:?}\n", coordinator.url());
    command.arg(coordinator.file("with-address.toml", &address)).env("HAULIER_COORDINATOR", "");
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn what_is_wrong_with_the_ca_file_is_said() {
    let coordinator = Coordinator::start();
    let with = |file: &str| -> Ran {
        let arguments = ["session", "list", "--coordinator", coordinator.url(), "--ca-file", file, "--token-file"];
        let rest = [coordinator.path("token"), "--config".to_owned(), coordinator.path("config.toml")];
        crate::fake::run(arguments.iter().map(|argument| (*argument).to_owned()).chain(rest))
    };
    let pem = std::fs::read_to_string(coordinator.path("ca.pem")).unwrap();
    let cut = pem.replace("-----END CERTIFICATE-----", "");
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, content, cause) in [
        ("empty", "", "it is empty"),
        ("text", "secret token", "it is no PEM"),
        ("der", "0\u{1}\u{2}", "perhaps a certificate in DER"),
        ("key", key, "its PEM holds something else"),
        ("cut", cut.as_str(), "its PEM cannot be read"),
        ("hollow", hollow, "its certificate cannot be used"),
    ] {
        let file = coordinator.file(name, content);
        let ran = with(&file);
        assert_eq!(ran.code, 2, "{name}: {}", ran.err);
        assert!(ran.err.contains(cause) && ran.err.contains(&file), "{name}: {}", ran.err);
        assert!(ran.err.contains("ca/ca.pem"), "{name}: {}", ran.err);
    }
    assert_eq!(with(&coordinator.path("ca.pem")).code, 0);
}
