//! Commands against a scripted coordinator: what they ask, what they print, how they end.

use crate::fake::{Coordinator, run};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn lists_are_tables_for_people() {
    let coordinator = Coordinator::start();
    let table = |arguments: &[&str]| {
        let ran = coordinator.run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
        ran.out
    };
    assert_eq!(
        table(&["session", "list"]),
        "ID          KIND    RESOURCE  POLICY   STATE              CREATED               TOOK\n\
         ses-run     backup  shop      nightly  running: transfer  2026-11-20 14:00:00Z\n\
         ses-failed  backup  shop      nightly  failed             2026-11-20 14:00:00Z  1:15\n"
    );
    assert_eq!(
        table(&["policy", "list"]),
        "NAME     REPOSITORY  SCHEDULE                 NEXT RUN              APPLIED\n\
         nightly  main        0 3 * * * Europe/Berlin  2026-11-21 02:00:00Z  2026-11-20 14:00:00Z\n"
    );
    assert_eq!(
        table(&["point", "list"]),
        "ID     RESOURCE  REPOSITORY  CONSISTENT AT         DATABASES     READ      NEW     STORED  COPY OF\n\
         pnt-1  shop      main        2026-11-20 14:00:04Z          2  6.0 MiB  1.0 MiB  293.0 KiB\n"
    );
    assert_eq!(
        table(&["repository", "list"]),
        "NAME  LOCATION              REGION        POINTS  OBJECT LOCK          CREATED\n\
         main  s3://backups/haulier  eu-central-1       2  governance, 30 days  2026-11-20 14:00:00Z\n"
    );
    assert_eq!(
        table(&["resource", "list"]),
        "ID    ACCOUNT       REGION        ENGINE          STATUS     POLICY   LAST POINT\n\
         shop  111122223333  eu-central-1  postgres 15.18  available  nightly\n"
    );
    assert_eq!(
        table(&["worker", "list"]),
        "ID     SESSION  INSTANCE  REGION        STATE     VERSION  LAST SEEN\n\
         wrk-1  ses-ok   i-0abc    eu-central-1  attached  0.1.0    2026-11-20 14:00:05Z\n"
    );
    assert_eq!(
        table(&["ledger", "list"]),
        "SESSION  KIND            RESOURCE  NAME          REGION        STATE    INTENDED              REMOVED\n\
         ses-ok   security-group  sg-1      haulier-1-db  eu-central-1  removed  2026-11-20 14:00:01Z  2026-11-20 14:01:15Z\n"
    );
}

#[test]
fn lists_are_json_for_programs() {
    let coordinator = Coordinator::start();
    for (arguments, field, value) in [
        (["session", "list"], "state", "running"),
        (["policy", "list"], "next_run", "2026-11-21T02:00:00Z"),
        (["point", "list"], "engine", "postgres 15.18"),
        (["repository", "list"], "prefix", "haulier"),
        (["resource", "list"], "status", "available"),
        (["worker", "list"], "instance_id", "i-0abc"),
        (["ledger", "list"], "removed_at", "2026-11-20T14:01:15Z"),
    ] {
        let ran = coordinator.run(&[&arguments[..], &["--output", "json"]].concat());
        assert_eq!(ran.json()[0][field], value, "{arguments:?}: {}", ran.out);
    }
}

#[test]
fn a_session_in_json_has_every_field_under_its_stable_name() {
    let coordinator = Coordinator::start();
    let session = coordinator.run(&["session", "show", "ses-failed", "-o", "json"]).json();
    let want = serde_json::json!({
        "id": "ses-failed", "kind": "backup", "state": "failed", "policy": "nightly", "resource": "shop", "step": null,
        "epoch": 1,
        "progress": {
            "phase": "data", "current": "shop.public.orders", "bytes_read": 512, "bytes_new": 256, "bytes_stored": 128,
            "bytes_total": 1024, "rate": 2048, "eta_seconds": 61, "at": "2026-11-20T14:00:03Z"
        },
        "failure": {
            "code": "database-auth-failed", "what": "logging in to shop", "cause": "password authentication failed",
            "remedy": "correct the secret", "retryable": false
        },
        "warnings": [], "point_id": "pnt-1", "created_at": "2026-11-20T14:00:00Z", "started_at": "2026-11-20T14:00:01Z",
        "ended_at": "2026-11-20T14:01:16Z", "cancel_requested": false, "report": {"restored": ["shop"]}, "databases": [],
        "temporary_place": null, "tasks": []
    });
    assert_eq!(session, want);
}

#[test]
fn one_thing_is_shown_as_names_and_values() {
    let coordinator = Coordinator::start();
    let session = coordinator.run(&["session", "show", "ses-failed"]).out;
    assert!(session.contains("state:    failed\n"), "{session}");
    assert!(session.contains("remedy:   correct the secret\n"), "{session}");
    let point = coordinator.run(&["point", "show", "pnt-1"]).out;
    assert!(point.contains("remark:     databases are not consistent with each other\n"), "{point}");
    assert!(point.contains("shop           2026-11-20 14:00:04Z      12  3.0 MiB\n"), "{point}");
    for words in ["proof:      verified except 1 entry", "RESTORED AND COMPARED", "EXTENSION aws_s3"] {
        assert!(point.contains(words), "{words:?} is not in {point}");
    }
    assert!(!point.contains('\u{1b}'), "a name moves the cursor: {point:?}");
    let document = coordinator.run(&["policy", "show", "nightly"]).out;
    assert_eq!(document, "version: 1\nname: nightly\n");
}

#[test]
fn policies_are_validated_and_applied_with_every_fault() {
    let coordinator = Coordinator::start();
    let (good, bad) = (coordinator.file("good.yaml", "name: x\n"), coordinator.file("bad.yaml", "name: bad\n"));
    let ran = coordinator.run(&["policy", "validate", &good]);
    assert_eq!((ran.code, ran.out), (0, format!("{good}: valid\n")));
    for verb in ["validate", "apply"] {
        let ran = coordinator.run(&["policy", verb, &bad]);
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{verb}");
        assert_eq!(
            lines(&ran.err),
            [
                &*format!("{bad}:2:3: name: is wrong"),
                "  remedy: write it right",
                &*format!("{bad}:5:3: regions[0]: is wrong"),
                "  remedy: write it right",
                "error: 2 faults found; nothing was stored",
            ]
        );
        let json = coordinator.run(&["policy", verb, &bad, "-o", "json"]);
        assert_eq!(json.code, 4);
        assert_eq!(json.json()["faults"][1]["line"], 5);
    }
    assert_eq!(coordinator.run(&["policy", "apply", &good]).out, "policy nightly created\n");
    assert_eq!(
        coordinator.run(&["policy", "delete", "nightly"]).out,
        "policy nightly deleted; its restore points stay\n"
    );
}

#[test]
fn a_run_tells_its_sessions_and_what_was_skipped() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["policy", "run", "nightly"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "ses-ok\n"));
    assert_eq!(ran.err, "skipped crm: belongs to policy other of priority 200\n");
    let json = coordinator.run(&["policy", "run", "nightly", "--idempotency-key", "k-1", "-o", "json"]);
    assert_eq!(json.json()["session_ids"], serde_json::json!(["ses-ok"]));
    assert!(coordinator.asked().contains("idempotency_key: \"k-1\""), "{}", coordinator.asked());
    let nothing = coordinator.run(&["policy", "run", "empty", "--wait"]);
    assert_eq!(nothing.code, 4);
    assert!(nothing.err.contains("code:   policy-names-nothing"), "{}", nothing.err);
}

#[test]
fn a_prune_tells_its_sessions_and_its_figures() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["repository", "prune", "main", "--dry-run"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "ses-prune\n"));
    assert!(coordinator.asked().contains("name: \"main\", dry_run: true"), "{}", coordinator.asked());
    let waited = coordinator.run(&["repository", "prune", "main", "--wait", "-o", "json"]);
    assert_eq!(waited.json()["sessions"][0]["kind"], "maintenance");
    let shown = coordinator.run(&["session", "show", "ses-prune"]).out;
    for line in ["dry run", "no", "freed now", "1.0 MiB in 3 objects", "freed later", "copied", "2026-11-27T14:00:00Z"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let nothing = coordinator.run(&["repository", "prune", "empty"]);
    assert_eq!(nothing.code, 4);
    assert!(
        nothing.err.contains("skipped dom-1: no network") && nothing.err.contains("prune-nothing"),
        "{}",
        nothing.err
    );
}

#[test]
fn a_copy_is_started_or_found_and_names_its_origin() {
    let coordinator = Coordinator::start();
    let started = coordinator.run(&["point", "copy", "pnt-1", "--to-repository", "vault"]);
    assert_eq!((started.code, started.out.as_str()), (0, "ses-ok\n"));
    assert!(coordinator.asked().contains("repository: \"vault\""), "{}", coordinator.asked());
    let waited = coordinator.run(&["point", "copy", "pnt-1", "--to-repository", "vault", "--wait", "-o", "json"]);
    assert_eq!((&waited.json()["copy_id"], &waited.json()["session"]["id"]), (&"pnt-copy".into(), &"ses-ok".into()));
    let found = coordinator.run(&["point", "copy", "pnt-copied", "--to-repository", "vault", "--wait"]);
    assert_eq!((found.code, found.out.as_str()), (0, "pnt-copy\n"));
    assert!(found.err.contains("has been copied to vault already"), "{}", found.err);
    let json = coordinator.run(&["point", "copy", "pnt-copied", "--to-repository", "vault", "-o", "json"]).json();
    assert_eq!((&json["already_copied"], &json["session_id"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(coordinator.run(&["point", "copy", "pnt-1", "--to-repository", "none"]).code, 3);
    assert_eq!(coordinator.run(&["point", "copy", "pnt-1"]).code, 2);
    for (id, origin) in
        [("pnt-copy", "copy of:    pnt-1 in main"), ("pnt-copy-from-afar", "copy of:    pnt-1 in rep-1")]
    {
        let shown = coordinator.run(&["point", "show", id]).out;
        assert!(shown.contains(origin), "{shown}");
    }
}

#[test]
fn an_import_tells_what_it_added_and_what_it_could_not_read() {
    let coordinator = Coordinator::start();
    let place = ["--bucket", "backups", "--region", "eu-central-1", "--kms-key-arn", "arn:aws:kms:x"];
    let ran = coordinator.run(&[&["repository", "import", "main"], &place[..]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, "domain 1 of 1, dom-1: 3 of 3 restore points\n"));
    for line in ["points added: 2", "points known: 1", "proofs added: 1"] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert!(coordinator.asked().contains("bucket: \"backups\""), "{}", coordinator.asked());

    let damaged = coordinator.run(&["repository", "import", "damaged", "-o", "json"]);
    assert_eq!(damaged.code, 9);
    assert_eq!((&damaged.json()["points_added"], &damaged.json()["missed"]), (&1.into(), &1.into()));
    assert!(damaged.err.contains("\"code\":\"repository-damaged\""), "{}", damaged.err);
    let told = coordinator.run_on(true, &["repository", "import", "damaged"]);
    assert_eq!(told.code, 9);
    assert!(told.err.contains("cause:  it is cut off") && told.err.contains("1 could not be read"), "{}", told.err);
    assert_ne!(coordinator.run(&["repository", "import", "cut"]).code, 0);
    assert_eq!(coordinator.run(&["repository", "import", "none"]).code, 3);
    for half in [&["--bucket", "b"][..], &["--region", "r"], &["--kms-key-arn", "a"], &["--prefix", "p"]] {
        assert_eq!(coordinator.run(&[&["repository", "import", "main"], half].concat()).code, 2, "{half:?}");
    }
}

#[test]
fn keys_are_listed_added_removed_and_replaced() {
    let coordinator = Coordinator::start();
    let listed = coordinator.run(&["repository", "key", "list", "main"]).out;
    let words: Vec<Vec<&str>> = lines(&listed).iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["ID", "KIND", "DETAIL", "CREATED", "IN", "USE"]);
    assert_eq!(words[1][..3], ["0a1b", "kms", "arn:aws:kms:eu-central-1:111122223333:key/1"]);
    assert!(words[1].ends_with(&["by", "the", "coordinator"]) && words[2][..2] == ["2c3d", "passphrase"], "{listed}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    std::fs::write(&file, "correct horse battery\nnot this line\n").unwrap();
    let file = file.display().to_string();
    let added = coordinator.run(&["repository", "key", "add", "main", "--passphrase-file", &file]);
    assert_eq!((added.code, added.out.as_str()), (0, "key key of 21 characters added\n"));
    assert!(!coordinator.asked().contains("correct horse"), "{}", coordinator.asked());
    let absent = coordinator.run(&["repository", "key", "add", "main", "--passphrase-file", "/nonexistent"]);
    assert_eq!(absent.code, 2);
    let both = coordinator.run(&["repository", "key", "add", "main", "--kms-key-arn", "a", "--passphrase-file", &file]);
    assert_eq!(both.code, 2);

    let unsure = coordinator.run(&["repository", "key", "remove", "main", "2c3d"]);
    assert_eq!(unsure.code, 4);
    assert!(unsure.err.contains("2c3d") && unsure.err.contains("--yes"), "{}", unsure.err);
    assert!(!coordinator.asked().contains("RemoveRepositoryKeyRequest"));
    assert_eq!(coordinator.run(&["repository", "key", "remove", "main", "2c3d", "--yes"]).out, "key 2c3d removed\n");
    let rotated = coordinator.run(&["repository", "key", "rotate", "main", "-o", "json"]).json();
    assert_eq!(rotated, serde_json::json!({"id": "new", "removed": ["old"], "locked_until": null}));
    let opened = coordinator.run(&["repository", "key", "rotate", "main", "--open-with-passphrase-file", &file]);
    assert!(opened.code == 0 && !coordinator.asked().contains("correct horse"), "{}", coordinator.asked());
    // In an immutable repository it is said that the former one is there for a while.
    let rotated = coordinator.run(&["repository", "key", "rotate", "locked"]);
    assert!(rotated.err.contains("stay locked until 2026-11-20 14:00:00Z"), "{}", rotated.err);
}

#[test]
fn what_is_hidden_is_told_and_brought_back() {
    let coordinator = Coordinator::start();
    let told = coordinator.run(&["repository", "undelete", "main", "--dry-run"]);
    assert_eq!((told.code, told.err.as_str()), (0, "1 objects are hidden\n"));
    assert_eq!(told.out, "KEY          SIZE  HIDDEN SINCE\nrds/format  200 B  2026-11-20 14:00:00Z\n");
    assert!(coordinator.asked().contains("all: false, dry_run: true"));
    let done = coordinator.run(&["repository", "undelete", "main", "-o", "json"]);
    assert_eq!(done.json()[0]["key"], "rds/format");
    let none = coordinator.run(&["repository", "undelete", "main", "--all"]);
    assert_eq!((none.code, none.err.as_str()), (0, "nothing is hidden\n"));
}

#[test]
fn waiting_ends_with_the_gravest_result() {
    let coordinator = Coordinator::start();
    for (name, code) in [("nightly", 0), ("cancelled", 6), ("mixed", 5)] {
        assert_eq!(coordinator.run(&["policy", "run", name, "--wait"]).code, code, "{name}");
    }
    let ran = coordinator.run(&["policy", "run", "mixed", "--wait", "-o", "json"]);
    let states: Vec<_> = ran.json()["sessions"].as_array().unwrap().iter().map(|s| s["state"].clone()).collect();
    assert_eq!(states, ["succeeded", "cancelled", "failed"]);
    assert!(ran.err.contains("ses-failed    cause:  password authentication failed"), "{}", ran.err);
    let check = coordinator.run(&["point", "check", "pnt-1", "--full", "--wait"]);
    assert_eq!(check.code, 0);
    assert!(check.out.contains("warning:  role app needs a password"), "{}", check.out);
}

#[test]
fn a_sample_is_a_part_of_a_point_and_goes_with_nothing_that_reads_more() {
    let coordinator = Coordinator::start();
    for twice in [["--full", "--sample=5"], ["--restore", "--sample=5"], ["--sample=0", "--wait"]] {
        let refused = coordinator.run(&[&["point", "verify", "pnt-1"], &twice[..]].concat());
        assert_eq!(refused.code, 2, "{twice:?}");
    }
    assert_eq!(coordinator.run(&["point", "verify", "pnt-1", "--sample", "5"]).code, 0);
}

#[test]
fn a_tail_shows_history_progress_and_the_end() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["session", "tail", "ses-failed"]);
    assert_eq!((ran.code, ran.err.as_str()), (5, ""));
    assert_eq!(
        lines(&ran.out),
        [
            "== running: transfer",
            "2026-11-20 14:00:02Z info     snapshot taken",
            "2026-11-20 14:00:02Z warning  row security is on",
            ".. schema 9% 100 B read, 256 B new, 128 B stored, 2.0 KiB/s, 1:01 to go (shop.public.orders)",
            ".. data 50% 512 B read, 256 B new, 128 B stored, 2.0 KiB/s, 1:01 to go (shop.public.orders)",
            "2026-11-20 14:00:02Z info     done",
            "== failed",
            "   logging in to shop [database-auth-failed]",
            "   cause:  password authentication failed",
            "   remedy: correct the secret",
        ]
    );
}

#[test]
fn on_a_terminal_a_bar_takes_the_place_of_progress_lines() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run_on(true, &["session", "tail", "ses-warning"]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        lines(&ran.out),
        [
            "2026-11-20 14:00:02Z info     snapshot taken",
            "2026-11-20 14:00:02Z warning  row security is on",
            "2026-11-20 14:00:02Z info     done",
            "== warning",
            "   warning: role app needs a password",
        ]
    );
    assert_eq!(coordinator.run_on(true, &["policy", "run", "mixed", "--wait"]).code, 5);
}

#[test]
fn a_tail_in_json_is_one_object_a_line() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["session", "tail", "ses-ok", "--after", "1", "-o", "json"]);
    assert_eq!(ran.code, 0);
    let events: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["session", "log", "progress", "progress", "progress", "log", "session"]);
    assert_eq!(events[1]["sequence"], 2);
    assert_eq!(events[1]["log"]["severity"], "warning");
    assert_eq!(events[6]["session"]["state"], "succeeded");
}

#[test]
fn a_stream_that_is_cut_is_taken_up_after_the_last_line() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["session", "tail", "ses-cut"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let count = |text: &str| ran.out.matches(text).count();
    assert_eq!((count("snapshot taken"), count("done"), count("== succeeded")), (1, 1, 1), "{}", ran.out);
    assert!(ran.out.contains("!! connection lost, trying again (the coordinator is shutting down)"), "{}", ran.out);
    assert!(coordinator.asked().contains("after_sequence: 2"), "{}", coordinator.asked());
}

#[test]
fn a_cancel_succeeds_when_it_cancels() {
    let coordinator = Coordinator::start();
    let asked = coordinator.run(&["session", "cancel", "ses-cancelled", "--reason", "window"]);
    assert_eq!(asked.code, 0);
    assert!(asked.out.contains("state:    running: transfer, to be cancelled"), "{}", asked.out);
    assert!(coordinator.asked().contains("reason: \"window\""));
    assert_eq!(coordinator.run(&["session", "cancel", "ses-cancelled", "--wait"]).code, 0);
    assert_eq!(coordinator.run(&["session", "cancel", "ses-ok"]).code, 0);
    let late = coordinator.run(&["session", "cancel", "ses-ok", "--wait"]);
    assert_eq!(late.code, 4);
    assert!(late.err.contains("session-ended-before"), "{}", late.err);
}

#[test]
fn errors_have_cause_remedy_and_a_code_of_their_own() {
    let coordinator = Coordinator::start();
    let ran = coordinator.run(&["session", "show", "ses-none"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert_eq!(
        ran.err,
        "error: showing session ses-none\n  cause:  there is none\n  remedy: list them\n  code:   session-unknown\n"
    );
    let json = coordinator.run(&["point", "show", "pnt-none", "-o", "json"]);
    let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!((&error["error"]["code"], &error["exit_code"]), (&"point-unknown".into(), &3.into()));
    assert_eq!(coordinator.run(&["session", "tail", "ses-none"]).code, 3);
    let busy = coordinator.run(&["restore", "database", "--point", "pnt-1", "--target-instance", "busy"]);
    assert_eq!(busy.code, 1, "{}", busy.err);
}

#[test]
fn a_coordinator_that_cannot_be_reached_or_refuses_the_token_is_told_apart() {
    let coordinator = Coordinator::start();
    let with = |url: &str, ca: &str, token: &str| {
        let arguments = ["session", "list", "--coordinator", url, "--ca-file", ca, "--token-file", token];
        let config = ["--config".to_owned(), coordinator.path("config.toml")];
        run(arguments.iter().map(|argument| (*argument).to_owned()).chain(config))
    };
    let (ca, token) = (coordinator.path("ca.pem"), coordinator.path("token"));
    assert_eq!(with(coordinator.url(), &ca, &token).code, 0);
    // Port 1 of loopback: nobody listens there.
    let away = with("https://127.0.0.1:1", &ca, &token);
    assert_eq!(away.code, 7, "{}", away.err);
    assert!(away.err.contains("refused"), "{}", away.err);
    let stranger = Coordinator::start();
    assert_eq!(with(coordinator.url(), &stranger.path("ca.pem"), &token).code, 7);
    let wrong = with(coordinator.url(), &ca, &coordinator.file("wrong", "ffffffffffffffffffffffffffffffff"));
    assert_eq!(wrong.code, 8, "{}", wrong.err);
    assert!(wrong.err.contains("code:   token-refused") && !wrong.err.contains("ffff"), "{}", wrong.err);
    assert_eq!(with(coordinator.url(), &ca, "/nonexistent").code, 2);
    assert_eq!(with("http://127.0.0.1:1", &ca, &token).code, 2);
}
