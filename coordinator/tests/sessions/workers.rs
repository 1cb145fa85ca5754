//! Workers that die, fail, break the protocol, or are not who they say they are.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haulier_cloud::compute::Compute as _;
use haulier_coordinator::ledger::{TAG_EPOCH, TAG_SESSION};
use haulier_coordinator::workflows::observer::Moment;
use haulier_domain::id::Epoch;
use haulier_domain::session::SessionState;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::worker_service_client::WorkerServiceClient;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tonic::Code;
use tonic::transport::Identity;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::support::observer::Observer;
use crate::support::worker::{Script, UserData, channel, enrol, enrolment};
use crate::support::{Scene, groups_of};

#[test]
fn a_lost_worker_is_replaced_under_a_new_epoch() {
    let scene = Scene::new(Script::DiesUpTo(2));
    let before = groups_of(&scene.access.memory, "orders");
    let running = scene.start();
    let id = running.backup("orders");
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.epoch, Epoch(3));
    let epochs: Vec<_> =
        scene.access.memory.compute().launches().into_iter().map(|(_, spec)| spec.tags[TAG_EPOCH].clone()).collect();
    assert_eq!(epochs, ["1", "2", "3"]);
    assert_eq!(scene.leftovers(&[&id]), [""; 0]);
    assert_eq!(groups_of(&scene.access.memory, "orders"), before);
}

#[test]
fn a_worker_of_an_epoch_that_is_over_is_not_heard() {
    let scene = Scene::new(Script::DiesUpTo(1));
    let (observer, frozen) = Observer::freezing("publish", Moment::Before);
    let running = scene.start_with(scene.settings(), Arc::new(observer));
    let id = running.backup("orders");
    assert!(frozen.wait());
    let launched = scene.access.memory.compute().launches();
    let older = launched.iter().find(|(_, spec)| spec.tags[TAG_EPOCH] == "1").unwrap().1.clone();
    let told = user_data(&older.user_data);
    let (certificate, key) = scene.fleet.log().certificate_of(&told.worker_id);
    let authority = scene.settings().state_dir.join("ca/ca.pem");
    running.run(async move {
        let channel = channel(&authority, &told, Some(Identity::from_pem(certificate, key))).await.unwrap();
        let message = Some(wire::attach_request::Message::Hello(wire::Hello {
            worker_id: told.worker_id.clone(),
            ..wire::Hello::default()
        }));
        let hello = wire::AttachRequest { session_id: told.session_id, epoch: told.epoch, message };
        let opened = WorkerServiceClient::new(channel).attach(tokio_stream::once(hello)).await.unwrap();
        let refused = opened.into_inner().message().await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
    });
    frozen.release();
    let session = running.assert_state(&id, SessionState::Succeeded);
    assert_eq!(session.epoch, Epoch(2));
}

#[test]
fn a_session_that_uses_up_its_workers_fails_and_leaves_nothing() {
    let scene = Scene::new(Script::DiesUpTo(9));
    let running = scene.start();
    let id = running.backup("orders");
    let session = running.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "worker-lost");
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn what_a_worker_reports_is_what_the_operator_reads() {
    let scene = Scene::new(Script::Fails);
    let running = scene.start();
    let id = running.backup("orders");
    let session = running.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "db-auth-failed");
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn done_without_a_point_is_not_done() {
    let scene = Scene::new(Script::Idle);
    let running = scene.start();
    let id = running.backup("orders");
    let session = running.assert_state(&id, SessionState::Failed);
    assert_eq!(session.failure().unwrap().code, "worker-broke-protocol");
    assert!(!scene.access.bucket.keys().iter().any(|key| key.contains("/points/")));
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn a_coordinator_that_comes_back_finds_its_worker_at_work() {
    let scene = Scene::new(Script::Endless);
    let running = scene.start();
    let id = running.backup("orders");
    let fleet = scene.fleet.log();
    let assigned = move || fleet.assignments.load(Ordering::SeqCst) == 1;
    running.until(&id, "its worker's assignment", move |_| assigned());
    running.kill();
    let again = scene.start();
    let fleet = scene.fleet.log();
    let attached = move || fleet.attachments.load(Ordering::SeqCst) >= 2;
    again.until(&id, "its worker's return", move |_| attached());
    let (sessions, of) = (again.sessions.clone(), id.clone());
    again.run(async move { sessions.cancel(&of, "enough").await.unwrap() });
    again.assert_state(&id, SessionState::Cancelled);
    assert_eq!(scene.fleet.log().assignments.load(Ordering::SeqCst), 1);
    assert_eq!(scene.access.memory.compute().launches().len(), 1);
    assert_eq!(scene.leftovers(&[]), [""; 0]);
}

#[test]
fn secrets_stay_out_of_the_state() {
    let scene = Scene::new(Script::Obedient);
    let running = scene.start();
    let id = running.backup("orders");
    running.assert_state(&id, SessionState::Succeeded);
    let mut planted = scene.fleet.log().secrets.lock().unwrap().clone();
    planted
        .extend(scene.access.memory.compute().launches().into_iter().map(|(_, spec)| user_data(&spec.user_data).token));
    assert!(planted.len() >= 3);
    drop(running);
    let mut files = 0;
    for entry in std::fs::read_dir(scene.settings().state_dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in &planted {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a secret", path.display());
            }
        }
    }
    assert!(files >= 3);
}

#[test]
fn a_token_is_good_for_one_key_of_one_instance() {
    let scene = Scene::new(Script::Endless);
    let running = scene.start();
    let id = running.backup("orders");
    running.until(&id, "transfer", |session| session.step == "transfer");
    let (instance, spec) = scene.access.memory.compute().launches().pop().unwrap();
    assert_eq!(spec.tags[TAG_SESSION], id.to_string());
    let told = user_data(&spec.user_data);
    let authority = scene.settings().state_dir.join("ca/ca.pem");
    let access = scene.access.clone();
    running.run(async move {
        let key = KeyPair::generate().unwrap();
        let stolen = enrol(&access, &authority, &told, &instance, &key).await;
        assert_eq!(stolen.unwrap_err().code(), Code::PermissionDenied, "another key");
        let guessed = UserData { token: "guess".into(), ..told.clone() };
        let guessed = enrol(&access, &authority, &guessed, &instance, &key).await;
        assert_eq!(guessed.unwrap_err().code(), Code::PermissionDenied, "another token");
        let older = UserData { epoch: 0, ..told.clone() };
        let older = enrol(&access, &authority, &older, &instance, &key).await;
        assert_eq!(older.unwrap_err().code(), Code::PermissionDenied, "another epoch");
        let bare = channel(&authority, &told, None).await.unwrap();
        let silent = WorkerServiceClient::new(bare).attach(tokio_stream::empty()).await;
        assert_eq!(silent.unwrap_err().code(), Code::Unauthenticated, "no certificate");
    });
}

#[test]
fn an_instance_that_was_not_launched_for_the_worker_is_refused() {
    let scene = Scene::new(Script::Mute);
    let running = scene.start();
    let id = running.backup("orders");
    running.until(&id, "transfer", |session| session.step == "transfer");
    let (instance, spec) = scene.access.memory.compute().launches().pop().unwrap();
    let told = user_data(&spec.user_data);
    let authority = scene.settings().state_dir.join("ca/ca.pem");
    let (access, memory) = (scene.access.clone(), scene.access.memory.clone());
    running.run(async move {
        let mut foreign = spec.clone();
        foreign.client_token = "somebody-else".into();
        foreign.tags.insert(TAG_EPOCH.to_owned(), "7".to_owned());
        let foreign = memory.compute().launch(&foreign).await.unwrap();
        let key = KeyPair::generate().unwrap();
        let refused = enrol(&access, &authority, &told, &foreign.id, &key).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "another instance");
        let csr = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
        let mut unbound = enrolment(&told, &instance, csr);
        let other = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
        unbound.certificate_request = other;
        let client = channel(&authority, &told, None).await.unwrap();
        let refused = WorkerServiceClient::new(client).enrol(unbound).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied, "another request");
        enrol(&access, &authority, &told, &instance, &key).await.expect("the right instance and key");
    });
}

#[test]
fn a_certificate_lives_as_long_as_its_worker_may() {
    let scene = Scene::new(Script::Endless);
    let mut settings = scene.settings();
    settings.pace.session = Duration::from_secs(72 * 3600);
    let running = scene.start_with(settings, Arc::new(Observer::default()));
    let id = running.backup("orders");
    running.until(&id, "transfer", |session| session.step == "transfer");
    let (_, spec) = scene.access.memory.compute().launches().pop().unwrap();
    let told: toml::Table = toml::from_str(&spec.user_data).unwrap();
    let deadline: Timestamp = told["deadline"].as_str().unwrap().parse().unwrap();
    let fleet = scene.fleet.log();
    let enrolled = move || fleet.attachments.load(Ordering::SeqCst) >= 1;
    running.until(&id, "its worker", move |_| enrolled());
    let (certificate, _) = scene.fleet.log().certificate_of(told["worker_id"].as_str().unwrap());
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&leaf).unwrap();
    let ends = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap();
    assert!(ends >= deadline, "{ends} is before {deadline}");
    assert!(ends.duration_since(deadline) <= SignedDuration::from_hours(1), "{ends} is long after {deadline}");
}

fn user_data(text: &str) -> UserData {
    toml::from_str(text).unwrap()
}
