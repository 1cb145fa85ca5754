//! The oracle against a server of its own: it must see what it is there to see, and nothing else.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::process::Command;

use e2e::psql::Database;
use e2e::{dataset, oracle, process};

/// A PostgreSQL server on a Unix socket in a folder of its own, stopped when dropped.
struct Server {
    folder: tempfile::TempDir,
}

const BIN: &str = "/usr/lib/postgresql/15/bin";

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        process::output(Command::new("chown").args(["postgres", path])).unwrap();
        as_postgres(&[&format!("{BIN}/initdb"), "-D", &format!("{path}/data"), "-U", "rdsadmin", "--auth=trust"]);
        let options = format!("-k {path} -c listen_addresses= -c fsync=off");
        let log = format!("{path}/log");
        as_postgres(&[
            &format!("{BIN}/pg_ctl"),
            "-D",
            &format!("{path}/data"),
            "-o",
            &options,
            "-l",
            &log,
            "-w",
            "start",
        ]);
        Self { folder }
    }

    fn database(&self, name: &str) -> Database {
        Database::new(&format!("host={} user=rdsadmin", self.folder.path().display()), name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        as_postgres(&[&format!("{BIN}/pg_ctl"), "-D", data.to_str().unwrap(), "-m", "immediate", "stop"]);
    }
}

fn as_postgres(arguments: &[&str]) {
    // pg_ctl leaves the server behind: its output must not be a pipe that this process waits on.
    let status = Command::new("runuser")
        .args(["-u", "postgres", "--"])
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{arguments:?}");
}

#[test]
fn the_oracle_sees_a_changed_row_a_lost_grant_and_a_missing_index() {
    let server = Server::start();
    let shop = server.database("shop");
    shop.sibling("postgres").execute("CREATE DATABASE shop").unwrap();
    dataset::fill(&shop, 6).unwrap();
    oracle::prove(&shop, &dataset::CONTROLS).unwrap();

    let before = oracle::picture(&shop).unwrap();
    assert_eq!(oracle::differences(&before, &oracle::picture(&shop).unwrap()), Vec::<String>::new());
    assert!(before.keys().any(|aspect| aspect.starts_with("large object")), "large objects are part of the picture");
    assert!(before.keys().any(|aspect| aspect.contains("table \"\"quoted\"\" 'and' more")), "{:?}", before.keys());

    dataset::change(&shop).unwrap();
    let differences = oracle::differences(&before, &oracle::picture(&shop).unwrap());
    for changed in
        ["rows of shop.orders", "rows of shop.customers", "rows of shop.events_2026_0", "sequence shop.orders_id_seq"]
    {
        assert!(differences.iter().any(|line| line.contains(changed)), "{changed} in {differences:?}");
    }
}

#[test]
fn an_oracle_that_sees_nothing_is_reported() {
    let server = Server::start();
    let empty = server.database("empty");
    empty.sibling("postgres").execute("CREATE DATABASE empty").unwrap();
    let error = oracle::prove(&empty, &[("nothing at all", "SELECT 1")]).unwrap_err();
    assert!(error.to_string().contains("nothing at all"), "{error}");
}

#[test]
fn roles_are_compared_with_their_memberships_and_settings() {
    let server = Server::start();
    let postgres = server.database("postgres");
    postgres.execute("CREATE ROLE a; CREATE ROLE b LOGIN; GRANT a TO b").unwrap();
    let before = oracle::roles(&postgres).unwrap();
    for change in [
        "REVOKE a FROM b",
        "GRANT a TO b WITH ADMIN OPTION",
        "ALTER ROLE a SET work_mem = '9MB'",
        "ALTER ROLE b NOLOGIN",
    ] {
        let earlier = oracle::roles(&postgres).unwrap();
        postgres.execute(change).unwrap();
        assert_ne!(oracle::differences(&earlier, &oracle::roles(&postgres).unwrap()), Vec::<String>::new(), "{change}");
    }
    assert_ne!(oracle::differences(&before, &oracle::roles(&postgres).unwrap()), Vec::<String>::new());
}
