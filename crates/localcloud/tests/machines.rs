//! The machine room by itself: servers, instances and the firewall between them are real, and nothing stays behind.
//!
//! Needs root, as the machine room does; without it these tests fail and say so.

#![expect(clippy::expect_used, reason = "these are tests, helpers included")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use haulier_localcloud::machines::{
    Computers as _, Databases as _, DbSpec, Engine, Firewall, InstanceSpec, MachineRoom, Network as _, Peer,
    RoomConfig, Rule, TokenJudge, TokenLogin,
};
use tokio_postgres::NoTls;

const PATIENCE: Duration = Duration::from_secs(30);

/// Lets `ivan` in with one token.
struct OneToken;

impl TokenJudge for OneToken {
    fn admits(&self, login: TokenLogin<'_>, token: &str) -> bool {
        let endpoint = "iam.abcdefghij.eu-central-1.rds.amazonaws.com:5432";
        login == TokenLogin { resource_id: "db-iam", endpoint, user: "ivan" } && token == long_token()
    }
}

/// As long as real ones are.
fn long_token() -> String {
    "0123456789abcdef".repeat(100)
}

async fn room(dir: &Path) -> MachineRoom {
    let config = RoomConfig {
        dir: dir.to_owned(),
        ami: Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder"))
            .join("../../ami"),
        packages: std::env::var_os("HAULIER_POSTGRESQL_PACKAGES").map(Into::into),
        cache: std::env::temp_dir().join("haulier-cloud-tests"),
    };
    MachineRoom::open(&config, Arc::new(OneToken))
        .await
        .expect("the machine room needs root and the tools that its error names")
}

fn db(id: &str) -> DbSpec {
    DbSpec {
        id: id.into(),
        resource_id: format!("db-{id}"),
        engine: Engine::Postgres,
        major: 15,
        master_user: "mary".into(),
        master_password: "pass'word".into(),
        database: Some("shop".into()),
        host_name: format!("{id}.abcdefghij.eu-central-1.rds.amazonaws.com"),
        port: 5432,
        iam_authentication: false,
    }
}

async fn query(dsn: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await?;
    let driver = tokio::spawn(connection);
    let messages = client.simple_query(sql).await;
    drop(client);
    driver.await.expect("the connection's task").ok();
    let rows = messages?.into_iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

async fn one(dsn: &str, sql: &str) -> String {
    query(dsn, sql).await.expect(sql)[0][0].clone().expect("a value")
}

fn psql(dsn: &str, password: &str, sql: &str) -> (bool, String) {
    let output = std::process::Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "-d", dsn, "-c", sql])
        .env("PGPASSWORD", password)
        .output()
        .expect("psql");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text.trim().to_owned())
}

/// Every namespace, interface, mount and process of the host whose name or root belongs to the cloud.
fn traces(prefix: &str, dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for listing in ["/run/netns", "/sys/class/net"] {
        for entry in std::fs::read_dir(listing).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) {
                found.push(format!("{listing}/{name}"));
            }
        }
    }
    let mounts = std::fs::read_to_string("/proc/mounts").expect("the list of mounts");
    let dir = dir.to_string_lossy();
    found.extend(mounts.lines().filter(|line| line.contains(&*dir) || line.contains(prefix)).map(str::to_owned));
    for entry in std::fs::read_dir("/proc").expect("the list of processes").flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if entry.file_name() != *std::process::id().to_string() && arguments.contains(&*dir) {
            found.push(arguments);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_db_instance_looks_like_one_of_rds() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path()).await;
    let (prefix, databases) = (room.network().prefix(), room.databases());
    let address = databases.create(&db("orders")).await.unwrap();
    let administrator = databases.administrator_dsn("orders").await.unwrap().unwrap();

    assert_eq!(one(&administrator, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mary'").await, "f");
    assert_eq!(one(&administrator, "SELECT rolbypassrls FROM pg_roles WHERE rolname = 'mary'").await, "f");
    assert_eq!(
        one(&administrator, "SELECT rolcreatedb AND rolcreaterole FROM pg_roles WHERE rolname = 'mary'").await,
        "t"
    );
    assert_eq!(one(&administrator, "SELECT pg_has_role('mary', 'rds_superuser', 'member')").await, "t");
    let owners = "SELECT string_agg(datname || '=' || pg_get_userbyid(datdba), ' ' ORDER BY datname) FROM pg_database";
    let expected = "postgres=mary rdsadmin=rdsadmin shop=mary template0=rdsadmin template1=mary";
    assert_eq!(one(&administrator, owners).await, expected);

    let master = |database: &str, tls: &str| {
        let authority = room.authority().certificate_file().display();
        format!(
            "host=orders.abcdefghij.eu-central-1.rds.amazonaws.com hostaddr={address} user=mary dbname={database} \
             sslmode={tls} sslrootcert={authority}"
        )
    };
    let password = "pass'word";
    assert_eq!(psql(&master("shop", "verify-full"), password, "SELECT current_user"), (true, "mary".into()));
    let (fine, text) = psql(&master("shop", "disable"), password, "SELECT 1");
    assert!(!fine && text.contains("no encryption"), "{text}");
    let (fine, text) = psql(&master("shop", "require"), "wrong", "SELECT 1");
    assert!(!fine && text.contains("password authentication failed"), "{text}");
    let (fine, text) = psql(&master("rdsadmin", "require"), password, "SELECT 1");
    assert!(!fine && text.contains("rejects connection"), "{text}");
    let (fine, text) = psql(&master("shop", "require"), password, "SELECT * FROM pg_authid");
    assert!(!fine && text.contains("permission denied for table pg_authid"), "{text}");

    databases.set_master_password("orders", "fresh").await.unwrap();
    assert!(!psql(&master("shop", "require"), password, "SELECT 1").0, "the former password must be dead");
    assert!(psql(&master("shop", "require"), "fresh", "SELECT 1").0);

    room.close().await.unwrap();
    assert_eq!(traces(&prefix, folder.path()), Vec::<String>::new());
}

/// The host's PostgreSQL, and all those in the folder that `HAULIER_POSTGRESQL_PACKAGES` names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_major_version_at_hand_serves() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path()).await;
    let databases = room.databases();
    let majors = databases.majors();
    assert!(!majors.is_empty());
    for major in majors {
        let id = format!("v{major}");
        let started = Instant::now();
        let address = databases.create(&DbSpec { major, ..db(&id) }).await.unwrap();
        println!("PostgreSQL {major} after {:?}", started.elapsed());
        let dsn = format!("hostaddr={address} user=mary dbname=shop sslmode=require");
        let (fine, text) = psql(&dsn, "pass'word", "SHOW server_version_num");
        assert!(fine && text.starts_with(&major.to_string()), "{text}");
        let work = "CREATE ROLE clerk; GRANT rds_superuser TO clerk; CREATE ROLE app LOGIN; GRANT clerk TO app; \
                    CREATE TABLE t AS SELECT generate_series(1, 10) AS n; SELECT count(*) FROM t";
        let (fine, text) = psql(&dsn, "pass'word", work);
        assert!(fine && text.ends_with("10"), "{text}");
        databases.snapshot(&id, &id).await.unwrap();
        databases.restore(&id, &DbSpec { major, ..db(&format!("{id}-copy")) }).await.unwrap();
        let copy = databases.administrator_dsn(&format!("{id}-copy")).await.unwrap().unwrap();
        assert_eq!(one(&copy.replace("dbname=postgres", "dbname=shop"), "SELECT count(*) FROM t").await, "10");
    }
    room.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_can_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path()).await;
    room.databases().create(&db("orders")).await.unwrap();
    let dsn = room.databases().administrator_dsn("orders").await.unwrap().unwrap();
    query(&dsn, "CREATE TABLESPACE small LOCATION '/mnt/small'").await.unwrap();
    let fill = "CREATE TABLE t TABLESPACE small AS SELECT repeat(n::text, 50) FROM generate_series(1, 1000000) AS n";
    let error = query(&dsn, fill).await.unwrap_err();
    assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::DISK_FULL));
    room.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_rds_iam_log_in_with_a_token_alone() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path()).await;
    let databases = room.databases();
    let address = databases.create(&DbSpec { iam_authentication: true, ..db("iam") }).await.unwrap();
    let administrator = databases.administrator_dsn("iam").await.unwrap().unwrap();
    let roles = "CREATE ROLE ivan LOGIN PASSWORD 'known'; CREATE ROLE olga LOGIN; GRANT rds_iam TO ivan, olga";
    query(&administrator, roles).await.unwrap();
    let login = |user: &str, password: &str, tls: &str| {
        psql(&format!("hostaddr={address} user={user} dbname=shop sslmode={tls}"), password, "SELECT current_user")
    };
    assert_eq!(login("ivan", &long_token(), "require"), (true, "ivan".into()));
    assert!(!login("ivan", &long_token(), "disable").0, "a token goes over TLS only");
    assert!(!login("ivan", "known", "require").0, "a member of rds_iam has no password login");
    assert!(!login("olga", &long_token(), "require").0, "another's token");
    assert!(login("mary", "pass'word", "require").0, "the master still has its password");
    room.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_under_load_restores_to_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(folder.path()).await;
    let databases = room.databases();
    databases.create(&db("orders")).await.unwrap();
    let administrator = databases.administrator_dsn("orders").await.unwrap().unwrap();
    query(&administrator, "CREATE TABLE pairs (a bigint, b bigint); CREATE INDEX ON pairs (b)").await.unwrap();

    // Both rows of a transfer are in the copy, or neither is; and what was committed before the snapshot is.
    let writer = tokio::spawn({
        let administrator = administrator.clone();
        async move {
            let (client, connection) = tokio_postgres::connect(&administrator, NoTls).await.unwrap();
            tokio::spawn(connection);
            for number in 1_i64.. {
                let pair = format!(
                    "BEGIN; INSERT INTO pairs VALUES ({number}, 1); INSERT INTO pairs VALUES (-{number}, 1); COMMIT"
                );
                if client.batch_execute(&pair).await.is_err() {
                    return;
                }
            }
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while one(&administrator, "SELECT count(*) > 200 FROM pairs").await == "f" {
        assert!(Instant::now() < deadline, "the writer does not write");
    }
    let before: i64 = one(&administrator, "SELECT count(*) FROM pairs").await.parse().unwrap();
    databases.snapshot("orders", "first").await.unwrap();
    let after: i64 = one(&administrator, "SELECT count(*) FROM pairs").await.parse().unwrap();
    let address = databases.restore("first", &DbSpec { master_password: "other".into(), ..db("copy") }).await.unwrap();
    let copy = databases.administrator_dsn("copy").await.unwrap().unwrap();
    let kept: i64 = one(&copy, "SELECT count(*) FROM pairs").await.parse().unwrap();
    assert!((before..=after).contains(&kept), "{before} <= {kept} <= {after}");
    assert_eq!(one(&copy, "SELECT coalesce(sum(a), 0) FROM pairs").await, "0");
    let indexed = "SET enable_seqscan = off; SELECT count(*) FROM pairs WHERE b = 1";
    assert_eq!(one(&copy, indexed).await, kept.to_string());
    assert!(!writer.is_finished(), "the snapshot must not break the source's connections");

    let dsn = format!(
        "host=copy.abcdefghij.eu-central-1.rds.amazonaws.com hostaddr={address} user=mary dbname=shop sslmode=verify-full sslrootcert={}",
        room.authority().certificate_file().display()
    );
    assert_eq!(psql(&dsn, "other", "SELECT current_user"), (true, "mary".into()));
    assert!(databases.snapshot("orders", "first").await.is_err(), "a snapshot is never overwritten");
    databases.delete("orders").await.unwrap();
    databases.delete_snapshot("first").await.unwrap();
    assert!(databases.restore("first", &db("third")).await.is_err());
    assert_eq!(one(&copy, "SELECT count(*) FROM pairs").await, kept.to_string(), "the copy is independent");
    room.close().await.unwrap();
}

/// A stand-in for the agent: a shell script that answers the test's questions on the console.
fn agent(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("agent");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("writing the agent");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    path
}

fn instance(id: &str) -> InstanceSpec {
    let user_data = "haulier_worker = 1\ndeadline = \"2999-01-01T00:00:00Z\"\n";
    let metadata = BTreeMap::from([
        ("meta-data/placement/region".to_owned(), "eu-central-1".to_owned()),
        ("dynamic/instance-identity/document".to_owned(), "{\"region\":\"eu-central-1\"}".to_owned()),
    ]);
    InstanceSpec { id: id.into(), user_data: user_data.into(), metadata }
}

async fn console_shows(room: &MachineRoom, id: &str, wanted: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = room.computers().console(id).await.unwrap_or_default();
        if text.contains(wanted) {
            return text;
        }
        assert!(Instant::now() < deadline, "{wanted:?} is not on the console:\n{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_boots_sees_its_metadata_and_powers_itself_off() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(&folder.path().join("cloud")).await;
    let (prefix, computers) = (room.network().prefix(), room.computers());
    assert!(
        computers
            .boot(&instance("i-0"))
            .await
            .unwrap_err()
            .chain()
            .any(|cause| cause.to_string().contains("worker binary"))
    );
    let script = r#"
echo "arguments $*"; echo "user $(id -un) region $AWS_REGION"; cat "$2"
imds=http://169.254.169.254/latest
echo "without-token $(curl -s -o /dev/null -w '%{http_code}' $imds/meta-data/instance-id)"
token=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
get() { curl -s -H "X-aws-ec2-metadata-token: $token" "$imds/$1"; }
echo "id $(get meta-data/instance-id) region $(get meta-data/placement/region)"
echo "document $(get dynamic/instance-identity/document)"
echo "processes $(ls -d /proc/[0-9]* | wc -l) root [$(ls -A /root /home /srv /mnt 2>/dev/null | grep -v : | tr -d '\n')]"
for command in poweroff reboot systemctl; do $command 2>&1 && echo "$command succeeded"; done
echo b 2>/dev/null >/proc/sysrq-trigger && echo "sysrq written"
echo kept >"$CACHE_DIRECTORY/index" && echo "cache $(cat "$CACHE_DIRECTORY/index") $(stat -c %a "$CACHE_DIRECTORY")"
touch /usr/x 2>/dev/null && echo "usr written"
grep -c . /usr/share/haulier/rds-ca.pem >/dev/null && echo "authority there"
/usr/lib/postgresql/15/bin/pg_dump --version
echo "capabilities $(grep CapBnd /proc/self/status)"
"#;
    computers.set_worker_binary(&agent(folder.path(), script)).unwrap();
    computers.set_environment([("AWS_REGION".to_owned(), "eu-central-1".to_owned())].into());
    computers.boot(&instance("i-1")).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, computers.powered_off()).await.expect("it powers itself off");
    assert_eq!(ended, ["i-1"]);
    let text = computers.console("i-1").await.unwrap();
    for wanted in [
        "arguments --user-data /run/haulier/user-data.toml",
        "user haulier region eu-central-1",
        "haulier_worker = 1",
        "without-token 401",
        "id i-1 region eu-central-1",
        "document {\"region\":\"eu-central-1\"}",
        "root []",
        "poweroff: not on this image",
        "systemctl: not on this image",
        "authority there",
        "cache kept 700",
        "pg_dump (PostgreSQL) 15",
        "capabilities CapBnd:\t0000000000000000",
        "haulier-worker.service has ended with status 0",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is missing on the console:\n{text}");
    }
    assert!(!text.contains("succeeded") && !text.contains("written"), "{text}");
    assert_eq!(traces(&format!("{prefix}m"), &folder.path().join("cloud")), Vec::<String>::new());
    computers.terminate("i-1").await.unwrap();
    room.close().await.unwrap();
    assert_eq!(traces(&prefix, folder.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_firewall_is_felt_and_a_terminated_instance_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(&folder.path().join("cloud")).await;
    let (prefix, computers, databases, network) =
        (room.network().prefix(), room.computers(), room.databases(), room.network());
    let address = databases.create(&db("orders")).await.unwrap();
    let script = r#"
try() { /usr/lib/postgresql/15/bin/pg_isready -q -t 1 -h orders.abcdefghij.eu-central-1.rds.amazonaws.com && echo "$1 in" || echo "$1 out"; }
count=0; while :; do count=$((count + 1)); try "attempt $count"; [ -e /tmp/stop ] || sleep 0.1; done
"#;
    computers.set_worker_binary(&agent(folder.path(), script)).unwrap();
    let worker = computers.boot(&instance("i-1")).await.unwrap();
    let other = InstanceSpec { user_data: instance("i-2").user_data, ..instance("i-2") };
    computers.boot(&other).await.unwrap();
    let text = console_shows(&room, "i-1", "attempt 2").await;
    assert!(text.contains("attempt 1 out") && !text.contains(" in"), "{text}");

    let rule = |peer: &str| Rule { peer: Peer::Machine(peer.into()), ports: Some((5432, 5432)) };
    let mut firewall = Firewall::default();
    firewall.ingress.insert("orders".into(), [rule("i-1")].into());
    network.apply(&firewall).await.unwrap();
    let shut = console_shows(&room, "i-1", "attempt 3 ").await;
    assert!(!shut.contains(" in"), "one direction's rule is not enough: {shut}");
    for id in ["i-1", "i-2"] {
        firewall.egress.insert(id.into(), [rule("orders")].into());
    }
    network.apply(&firewall).await.unwrap();
    console_shows(&room, "i-1", " in\n").await;

    network.cut("i-1", true).await.unwrap();
    let seen = computers.console("i-1").await.unwrap().matches(" out\n").count();
    let deadline = Instant::now() + PATIENCE;
    while computers.console("i-1").await.unwrap().matches(" out\n").count() < seen + 2 {
        assert!(Instant::now() < deadline, "the cut is not felt");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    network.cut("i-1", false).await.unwrap();
    let seen = computers.console("i-1").await.unwrap().matches(" in\n").count();
    while computers.console("i-1").await.unwrap().matches(" in\n").count() <= seen {
        assert!(Instant::now() < deadline, "the network does not mend");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let text = computers.console("i-2").await.unwrap();
    assert!(
        text.contains(" out\n") && !text.contains(" in\n"),
        "the other machine has no rule at the database: {text}"
    );
    assert_ne!(worker, Ipv4Addr::UNSPECIFIED);
    assert_ne!(worker, address);

    assert_eq!(computers.kill_program("i-2", "haulier-worker").unwrap(), 1);
    assert_eq!(tokio::time::timeout(PATIENCE, computers.powered_off()).await.unwrap(), ["i-2"]);
    computers.terminate("i-1").await.unwrap();
    computers.terminate("i-1").await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, computers.powered_off()).await.is_err(), "i-1 was terminated");
    databases.delete("orders").await.unwrap();
    assert_eq!(traces(&format!("{prefix}m"), &folder.path().join("cloud")), Vec::<String>::new());
    room.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clouds_live_side_by_side_and_a_dropped_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (room(&folder.path().join("a")).await, room(&folder.path().join("b")).await);
    assert_ne!(first.gateway(), second.gateway());
    first.databases().create(&db("orders")).await.unwrap();
    second.databases().create(&db("orders")).await.unwrap();
    let prefix = first.network().prefix();
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while !traces(&prefix, &folder.path().join("a")).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", traces(&prefix, &folder.path().join("a")));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let dsn = second.databases().administrator_dsn("orders").await.unwrap().unwrap();
    assert_eq!(one(&dsn, "SELECT 1").await, "1", "the other cloud is not touched");
    second.close().await.unwrap();
}

/// As many as one coordinator has to bear.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_instances_boot_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let room = room(&folder.path().join("cloud")).await;
    let (prefix, computers) = (room.network().prefix(), room.computers());
    computers.set_worker_binary(&agent(folder.path(), "echo ready; exec sleep 1000")).unwrap();
    let started = Instant::now();
    let boots = (0..50).map(|number| {
        let computers = room.computers();
        tokio::spawn(async move { computers.boot(&instance(&format!("i-{number}"))).await })
    });
    let boots: Vec<_> = boots.collect();
    let mut addresses = std::collections::BTreeSet::new();
    for boot in boots {
        addresses.insert(boot.await.unwrap().unwrap());
    }
    assert_eq!(addresses.len(), 50, "each has an address of its own");
    for number in 0..50 {
        console_shows(&room, &format!("i-{number}"), "ready").await;
    }
    println!("50 instances run after {:?}", started.elapsed());
    room.close().await.unwrap();
    assert_eq!(traces(&prefix, folder.path()), Vec::<String>::new());
    println!("and are gone after {:?}", started.elapsed());
}
