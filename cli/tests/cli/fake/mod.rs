//! A coordinator that answers from a script, on a loopback port, with TLS and a token like the real one.

mod data;
mod service;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use haulier_cli::Io;
use haulier_proto::control::v1::control_service_server::ControlServiceServer;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Status};

use service::Fake;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running fake, and where its files are.
pub(crate) struct Coordinator {
    folder: tempfile::TempDir,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    locked_out: Arc<AtomicBool>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The answer as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Coordinator {
    /// Starts a fake on a port of its own.
    pub(crate) fn start() -> Self {
        // Both tests and product may install it; the first one wins.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let (authority, chain, key) = certificates();
        std::fs::write(folder.path().join("ca.pem"), authority).unwrap();
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        std::fs::write(folder.path().join("config.toml"), "").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let locked_out = Arc::new(AtomicBool::new(false));
        let fake = Fake::new(asked.clone(), locked_out.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            Server::builder()
                .tls_config(ServerTlsConfig::new().identity(Identity::from_pem(chain, key)))
                .unwrap()
                .add_service(ControlServiceServer::with_interceptor(fake, check))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { folder, url, asked, locked_out, runtime: Some(runtime) }
    }

    /// Runs a command against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_on(false, arguments)
    }

    /// Runs a command against it, on a terminal or not.
    pub(crate) fn run_on(&self, terminal: bool, arguments: &[&str]) -> Ran {
        let connection = [
            "--coordinator",
            &self.url,
            "--ca-file",
            &self.path("ca.pem"),
            "--token-file",
            &self.path("token"),
            "--config",
            &self.path("config.toml"),
        ]
        .map(str::to_owned);
        run_on(terminal, arguments.iter().map(|argument| (*argument).to_owned()).chain(connection))
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file into its folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }

    /// Address of the service.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on one of the accounts lets nobody in.
    pub(crate) fn lock_an_account(&self) {
        self.locked_out.store(true, Ordering::Relaxed);
    }

    /// What it was asked last.
    pub(crate) fn asked(&self) -> String {
        self.asked.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a command line with its output kept.
pub(crate) fn run(arguments: impl IntoIterator<Item = String>) -> Ran {
    run_on(false, arguments)
}

fn run_on(terminal: bool, arguments: impl IntoIterator<Item = String>) -> Ran {
    let (out, err) = (Kept::default(), Kept::default());
    let mut io = Io {
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        out_is_terminal: terminal,
        err_is_terminal: terminal,
    };
    let code = haulier_cli::run(std::iter::once("haulier".to_owned()).chain(arguments), &mut io);
    Ran { code, out: out.text(), err: err.text() }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check(request: Request<()>) -> Result<Request<()>, Status> {
    match request.metadata().get("authorization").and_then(|value| value.to_str().ok()) {
        Some(shown) if shown == format!("Bearer {TOKEN}") => Ok(request),
        _ => Err(Status::unauthenticated("the operator's token is not the right one")),
    }
}

fn certificates() -> (String, String, String) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let own = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    (certificate.pem(), leaf.pem(), own.serialize_pem())
}

/// A folder of the repository, for files that tests read.
pub(crate) fn repository_file(path: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..").join(path)
}
