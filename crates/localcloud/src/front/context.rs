//! What every service of the front works with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{Bootstrap, FrontConfig};
use super::decisions::faults::Switchboard;
use super::decisions::world::World;
use super::s3_handler::S3Handler;
use super::services::iam::Observed;
use super::stale::StaleAnswers;
use super::wire::{AwsError, Element, Params};
use crate::credentials::CredentialStore;
use crate::machines::{Computers, Databases, Network};
use crate::moto::{MotoClient, MotoRequest};

/// Shared by all requests and background tasks.
pub(crate) struct Context {
    pub(crate) config: FrontConfig,
    pub(crate) credentials: Arc<CredentialStore>,
    pub(crate) databases: Arc<dyn Databases>,
    pub(crate) computers: Arc<dyn Computers>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) s3: Arc<dyn S3Handler>,
    pub(crate) moto: MotoClient,
    /// Own tasks: states that take time, machines that end.
    pub(crate) tasks: TaskTracker,
    /// Ends the tasks that would go on for ever.
    pub(crate) stop: CancellationToken,
    pub(crate) iam: Mutex<Observed>,
    pub(crate) faults: Mutex<Switchboard>,
    pub(crate) stale: Mutex<StaleAnswers>,
    pub(crate) bootstrap: Mutex<Option<Bootstrap>>,
    /// One hash per cloud in the host names of DB instances.
    pub(crate) zone_hash: String,
    world: Mutex<World>,
    changed: watch::Sender<u64>,
    /// Serialises what is put into force, so that the newest rules always win.
    firewall: tokio::sync::Mutex<()>,
}

/// The parts of a [`Context`] that come from outside.
pub(crate) struct Parts {
    pub(crate) config: FrontConfig,
    pub(crate) credentials: Arc<CredentialStore>,
    pub(crate) databases: Arc<dyn Databases>,
    pub(crate) computers: Arc<dyn Computers>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) s3: Arc<dyn S3Handler>,
    pub(crate) moto: MotoClient,
}

impl Context {
    /// A front with nothing in it.
    pub(crate) fn new(parts: Parts) -> Self {
        let hash: String =
            super::decisions::ids::new_resource("").to_ascii_lowercase().chars().skip(1).take(12).collect();
        Self {
            config: parts.config,
            credentials: parts.credentials,
            databases: parts.databases,
            computers: parts.computers,
            network: parts.network,
            s3: parts.s3,
            moto: parts.moto,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            iam: Mutex::default(),
            faults: Mutex::default(),
            stale: Mutex::default(),
            bootstrap: Mutex::default(),
            zone_hash: hash,
            world: Mutex::default(),
            changed: watch::Sender::new(0),
            firewall: tokio::sync::Mutex::default(),
        }
    }

    /// Looks at the state or changes it; whoever waits for a change is woken.
    pub(crate) fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let outcome = act(&mut locked(&self.world));
        self.changed.send_modify(|version| *version += 1);
        outcome
    }

    /// Looks at the state only.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&locked(&self.world))
    }

    /// Waits until the state answers.
    pub(crate) async fn wait_for<T>(&self, look: impl Fn(&World) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.read(&look) {
                return found;
            }
            // The sender lives in `self`: this cannot fail while we are here.
            let _ = changes.changed().await;
        }
    }

    /// Puts the newest rules into force.
    pub(crate) async fn apply_firewall(&self) -> Result<(), AwsError> {
        let _turn = self.firewall.lock().await;
        let firewall = self.read(World::firewall);
        self.network.apply(&firewall).await.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "cannot put the security groups into force");
            AwsError::internal(&error)
        })
    }

    /// An ARN of this account and Region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.config.region, self.credentials.account())
    }

    /// An ARN of this account's IAM.
    pub(crate) fn iam_arn(&self, resource: &str) -> String {
        format!("arn:aws:iam::{}:{resource}", self.credentials.account())
    }

    /// Asks the emulator by the query protocol.
    pub(crate) async fn moto_query(&self, service: &str, operation: &str, params: Params) -> Result<Element, AwsError> {
        let mut params = params;
        params.set("Action", operation);
        params.set("Version", if service == "ec2" { "2016-11-15" } else { "2010-05-08" });
        let mut request = moto_request(service, params.encode());
        let form = http::HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        request.headers.insert(http::header::CONTENT_TYPE, form);
        let reply = self.moto.send(request).await.map_err(|error| AwsError::internal(&error))?;
        let text = String::from_utf8_lossy(&reply.body);
        let root = Element::parse(&text)
            .ok_or_else(|| AwsError::internal(&anyhow::anyhow!("the emulator's answer to {operation} is no XML")))?;
        if reply.status.is_success() {
            return Ok(root);
        }
        let error = root.at(&["Errors", "Error"]).or_else(|| root.at(&["Error"]));
        let text = |name: &str| error.and_then(|error| error.text_at(&[name])).unwrap_or("InternalFailure").to_owned();
        Err(AwsError::new(text("Code"), text("Message")).with_status(reply.status.as_u16()))
    }

    /// Asks the emulator by the JSON protocol; `target` is `secretsmanager.CreateSecret`.
    pub(crate) async fn moto_json(&self, service: &str, target: &str, body: &Value) -> Result<Value, AwsError> {
        let mut request = moto_request(service, body.to_string());
        let json = http::HeaderValue::from_static("application/x-amz-json-1.1");
        request.headers.insert(http::header::CONTENT_TYPE, json);
        let target = http::HeaderValue::from_str(target).map_err(|error| AwsError::internal(&error.into()))?;
        request.headers.insert("x-amz-target", target);
        let reply = self.moto.send(request).await.map_err(|error| AwsError::internal(&error))?;
        let value: Value =
            serde_json::from_slice(&reply.body).map_err(|error| AwsError::internal(&anyhow::Error::from(error)))?;
        if reply.status.is_success() {
            return Ok(value);
        }
        let text = |names: [&str; 2]| {
            names.iter().find_map(|name| value.get(name)?.as_str()).unwrap_or("InternalFailure").to_owned()
        };
        Err(AwsError::new(text(["__type", "code"]), text(["message", "Message"])).with_status(reply.status.as_u16()))
    }
}

fn moto_request(service: &str, body: String) -> MotoRequest {
    MotoRequest {
        service: service.to_owned(),
        method: http::Method::POST,
        target: "/".to_owned(),
        headers: http::HeaderMap::new(),
        body: body.into(),
    }
}

/// A lock that outlives a panic of another holder: the state is plain data.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now: the only place where the front looks at the clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// `2026-11-20T12:00:00.000Z`.
pub(crate) fn iso(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
