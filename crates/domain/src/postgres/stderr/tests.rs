use super::*;

const RESTORE: &str = "pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3; 2615 2200 SCHEMA public pg_database_owner
pg_restore: error: could not execute query: ERROR:  schema \"public\" already exists
Command was: CREATE SCHEMA public;


pg_restore: from TOC entry 9; 0 0 COMMENT EXTENSION plpgsql
pg_restore: error: could not execute query: ERROR:  must be owner of extension plpgsql
Command was: COMMENT ON EXTENSION plpgsql IS 'x';
pg_restore: from TOC entry 12; 1259 16400 TABLE orders app
pg_restore: error: could not execute query: ERROR:  type \"mood\" does not exist
LINE 1: CREATE TABLE orders (m mood);
DETAIL:  Something.
Command was: CREATE TABLE orders (m mood);

pg_restore: warning: errors ignored on restore: 3
";

#[test]
fn a_restores_words_become_events() {
    let events = events("pg_restore", RESTORE);
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].entry.as_deref(), Some("3; 2615 2200 SCHEMA public pg_database_owner"));
    let verdicts: Vec<_> = events.iter().map(judge_restore).collect();
    assert!(matches!(verdicts[..], [Verdict::Harmless, Verdict::Forbidden(_), Verdict::Error, Verdict::Harmless]));
    assert_eq!(
        events[2].text(),
        "error: could not execute query: ERROR:  type \"mood\" does not exist; DETAIL:  Something. \
         (entry 12; 1259 16400 TABLE orders app)"
    );
}

#[test]
fn a_restores_errors_are_judged() {
    let judge = |message: &str| {
        judge_restore(&Event {
            entry: Some("7; 1 2 ACL public t app".into()),
            message: format!("error: could not execute query: ERROR:  {message}"),
            more: Vec::new(),
        })
    };
    let forbidden =
        ["permission denied to create event trigger \"x\"", "must be superuser to create an operator class"];
    assert!(forbidden.iter().all(|message| matches!(judge(message), Verdict::Forbidden(_))));
    let errors = ["relation \"t\" already exists", "permission denied for schema app", ""];
    assert!(errors.iter().all(|message| judge(message) == Verdict::Error));
    assert!(matches!(judge("role \"x\" does not exist"), Verdict::Forbidden(_)), "of an ACL entry");
    assert_eq!(judge("unrecognized configuration parameter \"transaction_timeout\""), Verdict::Harmless);
}

#[test]
fn without_its_entry_an_event_is_known_by_its_statement() {
    let text = "pg_restore: error: could not execute query: ERROR:  role \"gone\" does not exist
Command was: GRANT SELECT ON TABLE public.t TO gone;


pg_restore: error: could not execute query: ERROR:  role \"gone\" does not exist
Command was: ALTER TABLE public.t OWNER TO gone;
";
    let events = events("pg_restore", text);
    assert_eq!(events[0].subject(), "GRANT SELECT ON TABLE public.t TO gone");
    assert!(matches!(judge_restore(&events[0]), Verdict::Forbidden(_)));
    assert_eq!(judge_restore(&events[1]), Verdict::Error);
}

#[test]
fn other_failures_of_pg_restore_are_errors() {
    for line in [
        "pg_restore: error: connection to server at \"x\" failed: FATAL:  password authentication failed",
        "pg_restore: error: could not find block ID 7 in archive",
        "pg_restore: error: COPY failed for table \"t\": ERROR:  invalid byte sequence",
        "Segmentation fault",
    ] {
        let events = events("pg_restore", line);
        assert_eq!(events.iter().map(judge_restore).collect::<Vec<_>>(), [Verdict::Error], "{line}");
    }
}

#[test]
fn a_dumps_words_are_judged() {
    let cases = [
        ("pg_dump: warning: there are circular foreign-key constraints on this table:", Verdict::Harmless),
        ("pg_dump: detail: employees", Verdict::Harmless),
        ("WARNING:  database \"x\" has a collation version mismatch\nDETAIL:  a\nHINT:  b", Verdict::Harmless),
        ("WARNING:  something else", Verdict::Error),
        ("pg_dump: error: query failed: ERROR:  permission denied for table t", Verdict::Error),
        ("pg_dump: warning: nobody knows this", Verdict::Error),
        ("unheard of", Verdict::Error),
    ];
    for (text, verdict) in cases {
        let events = events("pg_dump", text);
        assert!(!events.is_empty());
        assert_eq!(judge_dump(&events[0]), verdict, "{text}");
        assert_eq!(events.len(), 1, "{text}");
    }
}

#[test]
fn a_quoted_name_cannot_make_an_error_pass() {
    let text = "pg_restore: error: could not execute query: ERROR:  relation \"x\" exists\nCommand was: CREATE TABLE \"\npg_restore: warning: errors ignored on restore: 1\n\"";
    let verdicts: Vec<_> = events("pg_restore", text).iter().map(judge_restore).collect();
    assert!(verdicts.contains(&Verdict::Error));
}

#[test]
fn what_the_server_said_goes_with_the_failed_copy_and_the_statement_stays_unsaid() {
    let text = "pg_dump: error: Dumping the contents of table \"t\" failed: PQgetResult() failed.\n\
                pg_dump: detail: Error message from server: FATAL:  terminating connection due to administrator command\n\
                SSL connection has been closed unexpectedly\n\
                pg_dump: detail: Command was: COPY public.t (a) TO stdout;";
    let events = events("pg_dump", text);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(judge_dump(&events[0]), Verdict::Error);
    let said = events[0].text();
    assert!(said.contains("terminating connection") && !said.contains("COPY"), "{said}");
    let found = crate::postgres::diagnosis::of_text(&full_text(&events[0])).map(|found| found.code);
    assert_eq!(found, Some("db-connection-lost"));
}
