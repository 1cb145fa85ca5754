//! The suite against moto's server, where moto is right.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use aws_sdk_s3::config::Credentials;
use haulier_localcloud::moto::{MotoServer, ensure_installed};

use crate::target::{ACCOUNT, Target};

/// One check of the suite.
pub(crate) type Check = Box<dyn Fn(Target) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Runs every check against one server and names those that fail and are no exceptions. An exception that passes is an
/// error as well, so that the list of them stays true.
pub(crate) async fn run(checks: Vec<(&'static str, Option<&'static str>, Check)>) {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment();
    ensure_installed(&environment).await.unwrap();
    let server = MotoServer::start(&environment, &folder.path().join("moto.log"), ACCOUNT).await.unwrap();
    let target = Target {
        endpoint: format!("http://{}", server.address()),
        credentials: Credentials::new("AKIAMOTO", "secret", None, None, "conformance"),
    };
    let (mut right, mut wrong, mut needless) = (Vec::new(), Vec::new(), Vec::new());
    for (name, exception, check) in checks {
        let passed = tokio::spawn(check(target.clone())).await.is_ok();
        match (passed, exception) {
            (true, None) => right.push(name),
            (false, None) => wrong.push(name),
            (true, Some(reason)) => needless.push(format!("{name}: {reason}")),
            (false, Some(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "moto disagrees: {wrong:?}");
    assert!(needless.is_empty(), "no exceptions any more: {needless:?}");
    assert!(right.len() >= 20, "the suite has lost its second opinion: {right:?}");
}

/// The emulator's virtual environment, shared with the rest of the local cloud's tests.
fn environment() -> PathBuf {
    let cache = std::env::var_os("HAULIER_CLOUD_CACHE").map(PathBuf::from);
    cache.unwrap_or_else(|| PathBuf::from("/var/cache/haulier-cloud")).join("moto")
}
