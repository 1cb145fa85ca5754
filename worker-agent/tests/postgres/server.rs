//! Real servers for tests: PostgreSQL 15, TLS with a certificate made for the purpose, and the users of an RDS
//! instance: `rdsadmin`, who may do everything and is only here for the oracle, and `master`, who is no superuser.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, chown};
use tempfile::TempDir;

/// Binaries of the server under test.
pub(crate) const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Name in the servers' certificate.
pub(crate) const HOST: &str = "db.haulier.test";

/// Password of `master`, with everything in it that a password file has to escape.
pub(crate) const PASSWORD: &str = r"pass:w\rd 'x'";

const BOOTSTRAP: &str = r"
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE master LOGIN NOSUPERUSER CREATEDB CREATEROLE PASSWORD 'pass:w\rd ''x''';
GRANT rds_superuser TO master;
ALTER DATABASE postgres OWNER TO master;
ALTER DATABASE template1 OWNER TO master;
";

/// A running server. Gone when dropped.
pub(crate) struct Server {
    folder: TempDir,
    process: Child,
    pub(crate) port: u16,
}

/// As the user of the server: PostgreSQL refuses to run as root.
fn as_server_user(program: &Path) -> Command {
    if !Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT", "--"]).arg(program);
    command
}

fn give_to_server_user(path: &Path) {
    if Uid::effective().is_root() {
        let user = User::from_name("postgres").unwrap().expect("user postgres, of the package postgresql-15");
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A prepared cluster, made once and copied for each server.
fn template() -> PathBuf {
    assert!(Path::new(BIN).join("initdb").is_file(), "these tests need the package postgresql-15");
    let root = std::env::temp_dir().join(format!("haulier-mover-tests-{}", Uid::effective()));
    fs::create_dir_all(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let template = root.join("cluster-15-v1");
    let lock = fs::File::create(root.join("lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
    if template.is_dir() {
        return template;
    }
    let half = tempfile::tempdir_in(&root).unwrap();
    give_to_server_user(half.path());
    let data = half.path().join("data");
    let mut initdb = as_server_user(&Path::new(BIN).join("initdb"));
    run(initdb
        .args(["--username=rdsadmin", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
        .arg(&data));
    let mut alone = as_server_user(&Path::new(BIN).join("postgres"));
    let mut alone = alone
        .args(["--single", "-j", "-c", "standard_conforming_strings=on", "-D"])
        .arg(&data)
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // In this mode an empty line ends a statement.
    let statements = BOOTSTRAP.trim().replace(";\n", ";\n\n");
    alone.stdin.take().unwrap().write_all(format!("{statements}\n\n").as_bytes()).unwrap();
    assert!(alone.wait().unwrap().success());
    fs::rename(data, &template).unwrap();
    template
}

impl Server {
    /// Starts one, with more settings of one's own.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let template = template();
        let folder = tempfile::Builder::new().prefix("haulier-pg-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        run(Command::new("cp").arg("-a").arg(template).arg(&data));
        write_certificates(folder.path());
        fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
            .unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = as_server_user(&Path::new(BIN).join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&data);
        let standard = ["listen_addresses=127.0.0.1", "ssl=on", "fsync=off", "max_connections=60", "autovacuum=off"];
        for setting in standard.iter().chain(settings) {
            command.args(["-c", setting]);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command
            .arg("-c")
            .arg(format!("port={port}"))
            .arg("-c")
            .arg(format!("ssl_cert_file={}", folder.path().join("server.pem").display()))
            .arg("-c")
            .arg(format!("ssl_key_file={}", folder.path().join("server.key").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let server = Self { process: command.spawn().unwrap(), folder, port };
        let ready = || {
            let mut probe = Command::new(Path::new(BIN).join("pg_isready"));
            probe.arg("-q").arg("-h").arg(server.socket()).arg("-p").arg(server.port.to_string());
            probe.status().unwrap().success()
        };
        wait_until("the server accepts connections", ready);
        server
    }

    /// The authority that signed its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs, connecting as this user to this database.
    pub(crate) fn program(&self, program: &str, user: &str, database: &str) -> Command {
        let mut command = Command::new(Path::new(BIN).join(program));
        let database = database.replace('\\', "\\\\").replace('\'', "\\'");
        command
            .env("PGHOST", self.socket())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", user)
            .env("PGCLIENTENCODING", "UTF8")
            .arg(format!("--dbname=dbname='{database}'"));
        command
    }

    /// Runs SQL as somebody; the answer's rows, fields apart by `|`.
    pub(crate) fn sql_as(&self, user: &str, database: &str, sql: &str) -> String {
        let (success, output, errors) = self.try_sql_as(user, database, sql);
        assert!(success, "{errors}\nin {}", sql.chars().take(2000).collect::<String>());
        output
    }

    /// The same; whether it went well, its rows, and what was said.
    pub(crate) fn try_sql_as(&self, user: &str, database: &str, sql: &str) -> (bool, String, String) {
        let mut psql = self.program("psql", user, database);
        let mut psql = psql
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = psql.stdin.take().unwrap();
        let sql = sql.to_owned();
        let feeder = std::thread::spawn(move || {
            let _ = stdin.write_all(sql.as_bytes());
        });
        let output = psql.wait_with_output().unwrap();
        feeder.join().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs SQL as `rdsadmin`.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        self.sql_as("rdsadmin", database, sql)
    }

    /// Creates a database that belongs to `master` and fills it as `master`.
    pub(crate) fn create(&self, database: &str, sql: &str) {
        let quoted = database.replace('"', "\"\"");
        self.sql_as("master", "postgres", &format!("CREATE DATABASE \"{quoted}\" TEMPLATE template0"));
        self.sql_as("master", database, sql);
    }

    /// Its databases, but those every server has.
    pub(crate) fn databases(&self) -> Vec<String> {
        let sql =
            "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1";
        self.sql("postgres", sql).lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGQUIT);
        let _ = self.process.wait();
    }
}

fn write_certificates(folder: &Path) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Haulier test authority");
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec![HOST.to_owned(), "localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    fs::write(folder.join("ca.pem"), authority_certificate.pem()).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    let key_path = folder.join("server.key");
    fs::write(&key_path, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).unwrap();
    give_to_server_user(&key_path);
}

/// Waits for a condition, with a deadline.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
