//! Connections to an instance: TLS verified to the very name, keepalives, a fresh login for each.

use std::sync::Arc;
use std::time::Duration;

use haulier_domain::failure::Failure;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Stopped};
use super::failures;
use super::job::Instance;
use super::login::{Login, LoginProvider};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request to cancel a query may take: a cancelled session must end within two seconds.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(1000);

/// What a session begins with, whatever the role or the database has been given: no limits of time, and no schema in
/// which somebody could have put a function of a system function's name.
const OPTIONS: &str =
    "-c search_path= -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";

/// The same for settings that not every server knows.
const NEWER_OPTIONS: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
    WHERE name IN ('idle_session_timeout', 'transaction_timeout')";

/// What connections are called on the server.
const APPLICATION: &str = "haulier";

/// Makes connections to one instance.
#[derive(Clone)]
pub(super) struct Connector {
    instance: Arc<Instance>,
    application: Arc<str>,
    login: Arc<dyn LoginProvider>,
    tls: MakeRustlsConnect,
    cancel: CancellationToken,
}

impl Connector {
    pub(super) fn new(instance: &Instance, context: &Context) -> Result<Self, Failure> {
        let path = &context.settings.ca_file;
        let doing = "reading the bundle of RDS certificate authorities";
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failures::local(doing, path, &error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failures::local(doing, path, &error))?;
            roots.add(certificate).map_err(|error| failures::local(doing, path, &error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failures::local("setting up TLS", path, &error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            instance: Arc::new(instance.clone()),
            application: APPLICATION.into(),
            login: Arc::clone(&context.login),
            tls: MakeRustlsConnect::new(config),
            cancel: context.cancel.clone(),
        })
    }

    /// The same connector, obeying another token.
    pub(super) fn obeying(&self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// The same connector, whose connections can be told from others by the key of their work.
    pub(super) fn under(&self, key: &str) -> Self {
        Self { application: format!("{APPLICATION} {key}").into(), ..self.clone() }
    }

    /// What its connections are called on the server.
    pub(super) fn application(&self) -> &str {
        &self.application
    }

    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A login that should work now.
    pub(super) async fn login(&self) -> Result<Login, Failure> {
        self.login.login(false).await
    }

    /// Connects to a database. A refused login is read anew once.
    pub(super) async fn connect(&self, database: &str) -> Result<Session, Stopped> {
        match self.connect_with(database, self.login.login(false).await?).await {
            Err(Stopped::Failed(failure)) if failure.code == "db-auth-failed" => {
                self.connect_with(database, self.login.login(true).await?).await
            }
            other => other,
        }
    }

    async fn connect_with(&self, database: &str, login: Login) -> Result<Session, Stopped> {
        // A host that is a folder is a server of this machine, behind a socket in that folder, where there is no TLS.
        let is_local = self.instance.host.starts_with('/');
        let mut config = Config::new();
        config
            .host(&self.instance.host)
            .port(self.instance.port)
            .user(&login.user)
            .password(login.password.expose())
            .dbname(database)
            .application_name(&*self.application)
            .options(OPTIONS)
            .ssl_mode(if is_local { SslMode::Disable } else { SslMode::Require })
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(30))
            .keepalives_retries(10);
        if let Some(address) = self.instance.address {
            config.hostaddr(address);
        }
        let doing = format!("connecting to database {database:?} of {}", self.instance.id);
        let connected = tokio::select! {
            connected = config.connect(self.tls.clone()) => connected,
            () = self.cancel.cancelled() => return Err(Stopped::Cancelled),
        };
        let (client, connection) = connected.map_err(|error| failures::database(doing, &error))?;
        let driver = tokio::spawn(async move {
            // What breaks a connection is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        let session = Session {
            token: client.cancel_token(),
            client,
            driver: driver.abort_handle(),
            tls: self.tls.clone(),
            cancel: self.cancel.clone(),
        };
        session.execute("lifting a session's limits of time", NEWER_OPTIONS).await?;
        Ok(session)
    }
}

/// A connection to one database. Closed when dropped.
pub(super) struct Session {
    client: Client,
    token: CancelToken,
    driver: AbortHandle,
    tls: MakeRustlsConnect,
    cancel: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// The client, for `COPY`.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Runs statements without parameters.
    pub(super) async fn execute(&self, doing: &str, sql: &str) -> Result<(), Stopped> {
        self.obey(self.client.batch_execute(sql)).await?.map_err(|error| failures::database(doing, &error).into())
    }

    /// Runs a statement whose refusal is not the end: the server's words are the inner result.
    pub(super) async fn attempt(&self, doing: &str, sql: &str) -> Result<Result<(), String>, Stopped> {
        match self.obey(self.client.batch_execute(sql)).await? {
            Ok(()) => Ok(Ok(())),
            Err(error) => match error.as_db_error() {
                Some(refusal) => Ok(Err(refusal.message().to_owned())),
                None => Err(failures::database(doing, &error).into()),
            },
        }
    }

    /// Runs a query.
    pub(super) async fn query(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Stopped> {
        self.obey(self.client.query(sql, parameters)).await?.map_err(|error| failures::database(doing, &error).into())
    }

    /// Runs a query that has one row.
    pub(super) async fn query_one(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Stopped> {
        self.obey(self.client.query_one(sql, parameters))
            .await?
            .map_err(|error| failures::database(doing, &error).into())
    }

    /// `server_version_num`.
    pub(super) async fn server_version(&self, doing: &str) -> Result<u32, Stopped> {
        let row = self.query_one(doing, "SELECT current_setting('server_version_num')::int4", &[]).await?;
        Ok(row.get::<_, i32>(0).unsigned_abs())
    }

    /// Waits for an answer, or for the order to stop: then the server is told to stop as well.
    pub(super) async fn obey<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            done = work => Ok(done),
            () = self.cancel.cancelled() => self.stop().await,
        }
    }

    /// The same for one of millions of small answers, most of which are there already: then the order to stop, for which
    /// every lane would take the same lock, is not looked at. Whoever uses this obeys now and then.
    pub(super) async fn obey_where_waiting<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.cancel.cancelled() => self.stop().await,
        }
    }

    async fn stop<T>(&self) -> Result<T, Stopped> {
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, self.token.cancel_query(self.tls.clone())).await;
        Err(Stopped::Cancelled)
    }
}
