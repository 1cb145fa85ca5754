//! Who logs in to the database, as the assignment says; every password on the way is made known to the redactor.

use std::sync::Arc;

use async_trait::async_trait;
use haulier_domain::failure::Failure;
use haulier_domain::secret::SecretString;

use super::ports::Ports;
use super::work::{LoginMethod, Source};
use crate::mover::login::{IamLogin, Login, LoginProvider, SecretLogin, TokenSource};
use crate::redact::Redactor;
use crate::session::Task;

/// The login that an assignment asks for.
pub(super) async fn provider(ports: &Arc<dyn Ports>, task: &Task, source: &Source) -> Arc<dyn LoginProvider> {
    let inner: Arc<dyn LoginProvider> = match &source.login {
        LoginMethod::Secret(arn) => {
            Arc::new(SecretLogin::new(ports.secrets(&task.credentials, &source.region).await, arn.clone()))
        }
        LoginMethod::Iam(user) => {
            let tokens = Tokens {
                ports: ports.clone(),
                task: task.clone(),
                host: source.instance.host.clone(),
                port: source.instance.port,
                user: user.clone(),
                region: source.region.clone(),
            };
            Arc::new(IamLogin::new(Arc::new(tokens), user.clone()))
        }
    };
    Arc::new(Known { inner, redactor: task.redactor.clone() })
}

/// A login whose passwords the redactor knows.
struct Known {
    inner: Arc<dyn LoginProvider>,
    redactor: Redactor,
}

#[async_trait]
impl LoginProvider for Known {
    async fn login(&self, refused: bool) -> Result<Login, Failure> {
        let login = self.inner.login(refused).await?;
        self.redactor.learn(&login.password);
        Ok(login)
    }
}

/// Signs database tokens with the session's credentials.
struct Tokens {
    ports: Arc<dyn Ports>,
    task: Task,
    host: String,
    port: u16,
    user: String,
    region: String,
}

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self) -> Result<SecretString, Failure> {
        self.ports.database_token(&self.task.credentials, &self.host, self.port, &self.user, &self.region).await
    }
}
