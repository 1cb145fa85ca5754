//! The emulator's process.

use std::time::{Duration, Instant};

use haulier_localcloud::moto::{MotoServer, StartError, ensure_installed};
use tokio::net::TcpStream;

use super::cloud::moto_dir;

#[tokio::test]
async fn it_answers_when_it_is_started_and_is_gone_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    ensure_installed(&moto_dir()).await.unwrap();
    let server = MotoServer::start(&moto_dir(), &dir.path().join("log"), "111122223333").await.unwrap();
    let address = server.address();
    TcpStream::connect(address).await.unwrap();
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_does_not_start_names_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // A virtual environment with nothing in it.
    let error = MotoServer::start(dir.path(), &log, "111122223333").await.unwrap_err();
    assert!(matches!(&error, StartError::Silent { log: named } if *named == log), "{error:?}");
    assert!(std::fs::read_to_string(&log).unwrap().contains("python"));
}
