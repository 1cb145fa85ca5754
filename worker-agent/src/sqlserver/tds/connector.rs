//! Connections to an instance: TLS verified to the very name, keepalives, a login that is read anew where it is refused.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haulier_domain::failure::Failure;
use socket2::{SockRef, TcpKeepalive};
use tiberius::error::Error;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};

use crate::mover::Instance;
use crate::mover::login::{Login, LoginProvider};
use crate::sqlserver::failures;

/// A connection.
pub(super) type Connection = Client<Compat<TcpStream>>;

/// How long a server may take to accept a connection, and again to greet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may be silent in the middle of an answer. Tasks are carried out later, so nothing takes long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Networks forget a connection that has been idle for 300 seconds or so.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Probes without an answer after which a connection is dead.
const PROBES: u32 = 10;

/// Message of SQL Server: login failed.
const LOGIN_FAILED: u32 = 18456;

/// Makes connections to one instance.
pub(super) struct Connector {
    instance: Instance,
    login: Arc<dyn LoginProvider>,
    authorities: Vec<u8>,
    application: String,
}

impl Connector {
    pub(super) fn new(
        instance: Instance,
        login: Arc<dyn LoginProvider>,
        ca_bundle: &Path,
        key: &str,
    ) -> Result<Self, Failure> {
        let authorities = std::fs::read(ca_bundle).map_err(|error| {
            Failure::new(
                "worker-environment",
                "reading the bundle of RDS certificate authorities",
                format!("{}: {error}", ca_bundle.display()),
                "use a worker image that is built as `ami/` describes",
            )
        })?;
        Ok(Self { instance, login, authorities, application: format!("haulier {key}") })
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Connects. A refused login is read anew once.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        match self.connect_with(self.login.login(false).await?).await {
            Err(failure) if failure.code == "db-auth-failed" => self.connect_with(self.login.login(true).await?).await,
            other => other,
        }
    }

    async fn connect_with(&self, login: Login) -> Result<Connection, Failure> {
        let Instance { id, host, address, port } = &self.instance;
        let what = format!("connecting to {id}");
        let mut config = Config::new();
        config.host(host);
        config.port(*port);
        config.authentication(AuthMethod::sql_server(&login.user, login.password.expose()));
        config.encryption(EncryptionLevel::Required);
        config.trust_cert_ca_bundle(self.authorities.clone());
        config.application_name(&self.application);
        config.handshake_timeout(Some(CONNECT_TIMEOUT));
        config.command_timeout(Some(ANSWER_TIMEOUT));
        let dialling = async {
            match address {
                Some(address) => TcpStream::connect((*address, *port)).await,
                None => TcpStream::connect((host.as_str(), *port)).await,
            }
        };
        let dialled =
            timeout(CONNECT_TIMEOUT, dialling).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let socket = dialled.and_then(prepared).map_err(|error| unreachable(&what, &error.to_string()))?;
        Client::connect(config, socket.compat_write()).await.map_err(|error| refused(&what, &error))
    }
}

fn prepared(socket: TcpStream) -> std::io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(PROBES);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    Ok(socket)
}

fn unreachable(what: &str, cause: &str) -> Failure {
    Failure::new(
        "db-connection-lost",
        what,
        cause,
        "check the instance's events, its security groups and the network, then run again",
    )
    .retryable()
}

fn refused(what: &str, error: &Error) -> Failure {
    match error {
        Error::Server(refusal) if refusal.code() == LOGIN_FAILED => {
            Failure::new("db-auth-failed", what, refusal.message(), "check user and password in the database secret")
        }
        Error::Server(refusal) => failures::refused(what, refusal.code(), refusal.message()),
        Error::Tls(text) => {
            // What the client advises besides is to trust what should not be.
            let cause = text.split(" To connect anyway").next().unwrap_or(text);
            let remedy =
                "renew the worker image's bundle of RDS authorities, and connect by the instance's own endpoint";
            Failure::new("db-certificate", what, cause, remedy)
        }
        error => unreachable(what, &error.to_string()),
    }
}
