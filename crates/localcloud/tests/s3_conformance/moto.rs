//! The suite against moto's server, where moto is right.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use aws_sdk_s3::config::Credentials;
use haulier_localcloud::moto::{MotoServer, ensure_installed};

use crate::target::{ACCOUNT, Target};

/// One check of the suite.
pub type Check = Box<dyn Fn(Target) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Runs what moto gets right, one check after the other against one server, and names all that failed.
pub async fn run(checks: Vec<(&'static str, Option<&'static str>, Check)>) {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment();
    ensure_installed(&environment).await.unwrap();
    let server = MotoServer::start(&environment, &folder.path().join("moto.log"), ACCOUNT).await.unwrap();
    let target = Target {
        endpoint: format!("http://{}", server.address()),
        credentials: Credentials::new("AKIAMOTO", "secret", None, None, "conformance"),
    };
    let mut failed = Vec::new();
    let mut ran = 0;
    for (name, _, check) in checks.into_iter().filter(|(_, exception, _)| exception.is_none()) {
        ran += 1;
        if tokio::spawn(check(target.clone())).await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{} of {ran} checks failed against moto: {failed:?}", failed.len());
    assert!(ran >= 20, "the suite has lost its second opinion");
}

/// The emulator's virtual environment, shared with the rest of the local cloud's tests.
fn environment() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("haulier/moto")
}
