//! Enrolment and the stream over real TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_worker_agent::agent::{Agent, End};
use haulier_worker_agent::desk::Severity;
use haulier_worker_agent::enrol::{EnrolError, enrol};
use haulier_worker_agent::postgres::Stopped;
use haulier_worker_agent::redact::Redactor;
use haulier_worker_agent::session::{Report, Runner, Task};
use haulier_worker_agent::user_data::{Digest, UserData};
use haulier_worker_agent::watchdog::Pulse;
use support::{Authority, Coordinator, Enrolment, TOKEN, TestSigner, credentials, empty_assignment};

async fn enrolled(data: &UserData) -> Result<(), EnrolError> {
    tokio::time::timeout(Duration::from_secs(30), enrol(data, &TestSigner)).await.expect("no end").map(|_| ())
}

#[tokio::test]
async fn a_token_becomes_a_certificate() {
    let coordinator = Coordinator::start(&[]).await;
    enrolled(&coordinator.user_data()).await.unwrap();
    let [request] = &coordinator.requests()[..] else { panic!("not one request") };
    assert_eq!((request.token.as_str(), request.epoch), (TOKEN, 1));
    let identity = request.identity.as_ref().unwrap();
    let digest = Digest::of(&request.certificate_request).to_string();
    assert_eq!(identity.headers["x-haulier-csr-sha256"], digest, "the signature covers the request");
    assert_eq!(identity.instance_id, "i-1");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let coordinator = Coordinator::start(&[Enrolment::LoseAnswer]).await;
    enrolled(&coordinator.user_data()).await.unwrap();
    let [first, second] = &coordinator.requests()[..] else { panic!("not two requests") };
    assert_eq!(first.certificate_request, second.certificate_request);
    assert_eq!(first.token, second.token);
}

#[tokio::test]
async fn a_refusal_is_final() {
    let coordinator = Coordinator::start(&[Enrolment::Refuse]).await;
    let error = enrolled(&coordinator.user_data()).await.unwrap_err();
    assert!(matches!(&error, EnrolError::Refused(reason) if reason == "the token is used"), "{error}");
    assert!(!format!("{error:?}").contains(TOKEN));
}

#[tokio::test]
async fn another_authority_never_sees_the_token() {
    let coordinator = Coordinator::start(&[]).await;
    let data = UserData { ca_sha256: Authority::new().digest(), ..coordinator.user_data() };
    assert!(matches!(enrolled(&data).await, Err(EnrolError::WrongAuthority(_))));
    assert!(coordinator.requests().is_empty());
}

#[tokio::test]
async fn showing_the_right_authority_without_its_signature_is_not_enough() {
    let (right, wrong) = (Arc::new(Authority::new()), Authority::new());
    let (certificate, key) = wrong.server(&["127.0.0.1"]);
    let chain = format!("{certificate}{}", right.0.pem());
    let coordinator = Coordinator::start_with(right, &chain, &key, &[]).await;
    assert!(matches!(enrolled(&coordinator.user_data()).await, Err(EnrolError::WrongAuthority(_))));
    assert!(coordinator.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_enough() {
    let authority = Arc::new(Authority::new());
    let (certificate, key) = authority.server(&["10.9.9.9", "elsewhere.example"]);
    let chain = format!("{certificate}{}", authority.0.pem());
    let coordinator = Coordinator::start_with(authority, &chain, &key, &[]).await;
    assert!(matches!(enrolled(&coordinator.user_data()).await, Err(EnrolError::WrongAuthority(_))));
}

/// Writes one line, waits to be let go, writes another.
struct TwoLines(tokio::sync::Semaphore);

#[async_trait]
impl Runner for TwoLines {
    async fn run(&self, _: wire::Assignment, task: Task) -> Result<Report, Stopped> {
        task.desk.log(Severity::Info, "one");
        self.0.acquire().await.unwrap().forget();
        task.desk.log(Severity::Info, "two planted-secret-key");
        Ok(Report::default())
    }
}

#[tokio::test]
async fn a_worker_lives_from_its_token_to_its_shutdown_through_a_cut() {
    let mut coordinator = Coordinator::start(&[]).await;
    let runner = Arc::new(TwoLines(tokio::sync::Semaphore::new(0)));
    let agent = Agent {
        data: coordinator.user_data(),
        signer: Box::new(TestSigner),
        runner: runner.clone(),
        postgresql_majors: vec![15],
        redactor: Redactor::new(),
        pulse: Arc::new(Pulse::default()),
    };
    let worker = tokio::spawn(agent.live(std::future::pending()));

    let mut stream = coordinator.accept().await;
    assert!(stream.has_client_certificate);
    assert!(!stream.welcome(0, 60).await.has_assignment);
    stream.say(Message::Credentials(credentials())).await;
    stream.say(Message::Assignment(empty_assignment())).await;
    assert_eq!(stream.event().await.sequence, 1);
    drop(stream);

    let mut stream = coordinator.accept().await;
    assert!(stream.welcome(1, 60).await.has_assignment);
    runner.0.add_permits(1);
    let event = stream.event().await;
    assert_eq!(event.sequence, 2);
    assert!(format!("{event:?}").contains("two [redacted]"), "{event:?}");
    assert_eq!(stream.event().await.sequence, 3);
    stream.say(Message::Shutdown(wire::Shutdown {})).await;
    assert_eq!(worker.await.unwrap(), End::Shutdown);
}

#[tokio::test]
async fn a_deadline_ends_even_an_enrolment() {
    let coordinator = Coordinator::start(&[]).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let data = UserData {
        coordinator: format!("https://{nobody}").parse().unwrap(),
        deadline: jiff::Timestamp::now() + jiff::SignedDuration::from_millis(300),
        ..coordinator.user_data()
    };
    let agent = Agent {
        data,
        signer: Box::new(TestSigner),
        runner: Arc::new(TwoLines(tokio::sync::Semaphore::new(0))),
        postgresql_majors: Vec::new(),
        redactor: Redactor::new(),
        pulse: Arc::new(Pulse::default()),
    };
    assert_eq!(agent.live(std::future::pending()).await, End::Otherwise("the deadline has passed".into()));
}
