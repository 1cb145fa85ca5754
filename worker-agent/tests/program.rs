//! The program itself, as the image's boot script starts it: with a document, a metadata service, and a power-off command
//! that only leaves a mark.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_proto::worker::v1::event::Event;
use haulier_worker_agent::user_data::UserData;
use jiff::{SignedDuration, Timestamp};
use support::{Coordinator, TOKEN, credentials, empty_assignment};
use tokio::process::{Child, Command};

/// A machine: a scratch folder with everything the program is given.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new(data: &UserData, lifetime: SignedDuration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Self { dir };
        let deadline = Timestamp::now() + lifetime;
        let document = format!(
            "haulier_worker = 1\ncoordinator = \"{}\"\nca_sha256 = \"{}\"\nworker_id = \"{}\"\nsession_id = \"{}\"\n\
             epoch = {}\ntoken = \"{}\"\nregion = \"{}\"\ndeadline = \"{deadline}\"\n",
            data.coordinator,
            data.ca_sha256,
            data.worker_id,
            data.session_id,
            data.epoch,
            data.token.expose(),
            data.region
        );
        std::fs::write(machine.path("user-data.toml"), document).unwrap();
        let script = format!("#!/bin/sh\necho off >> '{}'\n", machine.path("powered-off").display());
        std::fs::write(machine.path("power-off"), script).unwrap();
        std::fs::set_permissions(machine.path("power-off"), std::fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, metadata: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_haulier-worker"))
            .env_clear()
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "instance-profile-secret")
            .arg("--user-data")
            .arg(self.path("user-data.toml"))
            .arg("--power-off")
            .arg(self.path("power-off"))
            .arg("--cache-dir")
            .arg(self.path("cache"))
            .arg("--private-dir")
            .arg(self.path("private"))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn powered_off(&self) -> bool {
        self.path("powered-off").exists()
    }
}

/// A metadata service that knows a token and an instance id.
fn metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            let body = if request.contains("/latest/api/token") { "metadata-token" } else { "i-0abc" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            );
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

async fn ended(child: Child) -> (Option<i32>, String) {
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    let output = output.expect("the program goes on").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn it_enrols_serves_and_powers_off_when_told_to() {
    let mut coordinator = Coordinator::start(&[]).await;
    let machine = Machine::new(&coordinator.user_data(), SignedDuration::from_hours(1));
    let child = machine.start(&metadata());
    let mut stream = coordinator.accept().await;
    stream.welcome(0, 60).await;
    assert!(!machine.path("user-data.toml").exists(), "the token is still there to be read");
    stream.say(Message::Credentials(credentials())).await;
    stream.say(Message::Assignment(empty_assignment())).await;
    let Some(Event::Finished(wire::Finished { result: Some(wire::finished::Result::Failure(failure)) })) =
        stream.event().await.event
    else {
        panic!("an empty assignment did not fail")
    };
    assert_eq!(failure.code, "assignment-invalid");
    assert!(!machine.powered_off());
    stream.say(Message::Shutdown(wire::Shutdown {})).await;
    let (code, log) = ended(child).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(machine.powered_off());
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    assert!(log.contains("\"session_id\":\"ses-1\"") && log.contains("\"worker_id\":\"wrk-1\""), "{log}");
    for secret in [TOKEN, "instance-profile-secret", "planted-secret-key", "planted-session-token"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let identity = coordinator.requests()[0].identity.clone().unwrap();
    assert_eq!(identity.instance_id, "i-0abc");
}

#[tokio::test]
async fn it_powers_off_when_its_coordinator_stays_away() {
    let mut coordinator = Coordinator::start(&[]).await;
    let machine = Machine::new(&coordinator.user_data(), SignedDuration::from_hours(1));
    let child = machine.start(&metadata());
    let mut stream = coordinator.accept().await;
    stream.welcome(0, 1).await;
    drop(stream);
    drop(coordinator);
    let (code, log) = ended(child).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the coordinator is lost"), "{log}");
    assert!(machine.powered_off());
}

#[tokio::test]
async fn it_powers_off_at_its_deadline_and_when_it_cannot_read_its_document() {
    let coordinator = Coordinator::start(&[]).await;
    let machine = Machine::new(&coordinator.user_data(), SignedDuration::from_millis(100));
    // Nobody answers at the metadata address: it cannot even prove who it is.
    let (code, log) = ended(machine.start("http://127.0.0.1:1")).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the deadline has passed"), "{log}");
    assert!(machine.powered_off());

    let machine = Machine::new(&coordinator.user_data(), SignedDuration::from_hours(1));
    std::fs::write(machine.path("user-data.toml"), format!("haulier_worker = 1\ntoken = \"{TOKEN}\"\n")).unwrap();
    let (code, log) = ended(machine.start("http://127.0.0.1:1")).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
    assert!(machine.powered_off());
}
