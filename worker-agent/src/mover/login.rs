//! Who logs in, and with what. Secrets are read when needed and never kept in a file of ours longer than a child runs.

use std::time::Duration;

use std::sync::Arc;

use async_trait::async_trait;
use haulier_cloud::secrets::Secrets;
use haulier_domain::failure::Failure;
use haulier_domain::secret::SecretString;
use serde::Deserialize;
use tokio::sync::Mutex;

/// A user and what proves it.
#[derive(Debug, Clone)]
pub struct Login {
    /// Role name.
    pub user: String,
    /// Password or token.
    pub password: SecretString,
    /// How long the password is good for at the moment of connecting; absent means until it is changed.
    pub valid_for: Option<Duration>,
}

/// Gives logins.
#[async_trait]
pub trait LoginProvider: Send + Sync {
    /// A login that should work now. `refused` says that the last one was refused: read it anew.
    async fn login(&self, refused: bool) -> Result<Login, Failure>;
}

/// A login from a Secrets Manager secret: JSON with `username` and `password`.
pub struct SecretLogin {
    secrets: Arc<dyn Secrets>,
    arn: String,
    cached: Mutex<Option<Login>>,
}

#[derive(Deserialize)]
struct SecretDocument {
    username: String,
    password: String,
}

impl SecretLogin {
    /// Reads this secret when first asked.
    pub fn new(secrets: Arc<dyn Secrets>, arn: impl Into<String>) -> Self {
        Self { secrets, arn: arn.into(), cached: Mutex::new(None) }
    }
}

#[async_trait]
impl LoginProvider for SecretLogin {
    async fn login(&self, refused: bool) -> Result<Login, Failure> {
        let mut cached = self.cached.lock().await;
        if let (Some(login), false) = (cached.as_ref(), refused) {
            return Ok(login.clone());
        }
        let what = format!("reading the database secret {}", self.arn);
        let text = self.secrets.secret(&self.arn).await.map_err(|error| {
            let retryable = error.is_transient();
            let failure = Failure::new(
                "db-secret-unreadable",
                &what,
                crate::cause::chain(&error),
                "check that the secret exists, that the policy names its ARN, and that the session's role may read it",
            );
            if retryable { failure.retryable() } else { failure }
        })?;
        // The parser's own message could quote the secret.
        let document: SecretDocument = serde_json::from_str(text.expose()).map_err(|_| {
            Failure::new(
                "db-secret-malformed",
                &what,
                "it is not a JSON object with the texts \"username\" and \"password\"",
                "store the login as {\"username\": …, \"password\": …}",
            )
        })?;
        let login = Login { user: document.username, password: SecretString::new(document.password), valid_for: None };
        *cached = Some(login.clone());
        Ok(login)
    }
}

/// Makes IAM database tokens.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A fresh token.
    async fn token(&self) -> Result<SecretString, Failure>;
}

/// A login by IAM database authentication: a fresh token for every connection.
pub struct IamLogin {
    source: Arc<dyn TokenSource>,
    user: String,
}

impl IamLogin {
    /// RDS looks at a token when a connection is made, up to 15 minutes after it was signed.
    const VALID_FOR: Duration = Duration::from_secs(15 * 60);

    /// Logs in as this user.
    pub fn new(source: Arc<dyn TokenSource>, user: impl Into<String>) -> Self {
        Self { source, user: user.into() }
    }
}

#[async_trait]
impl LoginProvider for IamLogin {
    async fn login(&self, _refused: bool) -> Result<Login, Failure> {
        Ok(Login { user: self.user.clone(), password: self.source.token().await?, valid_for: Some(Self::VALID_FOR) })
    }
}
