//! A front on a free loopback port, and a caller who signs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::Router;
use bytes::Bytes;
use haulier_localcloud::credentials::CredentialStore;
use haulier_localcloud::front::{Delays, Front, FrontConfig};
use haulier_localcloud::moto;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::doubles::{Echo, Room};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the emulated AWS takes for things.
pub(crate) const DELAY: Duration = Duration::from_secs(1);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Reply {
    /// Text of the first element with a name.
    pub(crate) fn text(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    /// Texts of all elements with a name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.body.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
    }

    /// The code of an error answer.
    pub(crate) fn code(&self) -> String {
        assert!(!self.status.is_success(), "expected an error: {}", self.body);
        if self.body.starts_with('{') {
            return serde_json::from_str::<Value>(&self.body).unwrap()["__type"].as_str().unwrap().to_owned();
        }
        self.text("Code")
    }

    /// The same answer, which must be a success.
    pub(crate) fn ok(self) -> Self {
        assert!(self.status.is_success(), "{}", self.body);
        self
    }
}

/// Keys to sign with.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Keys {
    /// The credentials in AssumeRole's answer.
    pub(crate) fn of(reply: &Reply) -> Self {
        let text = |name: &str| reply.text(name);
        Self { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: Some(text("SessionToken")) }
    }
}

/// Where the emulator is installed: what the local cloud itself uses.
pub(crate) fn moto_dir() -> PathBuf {
    let cache = std::env::var_os("HAULIER_CLOUD_CACHE").unwrap_or_else(|| "/var/cache/haulier-cloud".into());
    PathBuf::from(cache).join("moto")
}

/// A front with doubles around it.
pub(crate) struct Cloud {
    pub(crate) front: Front,
    pub(crate) room: Arc<Room>,
    pub(crate) s3: Arc<Echo>,
    pub(crate) root: Keys,
    _dir: tempfile::TempDir,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut FrontConfig)) -> Self {
        let moto_dir = moto_dir();
        moto::ensure_installed(&moto_dir).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = FrontConfig::new("127.0.0.1".parse().unwrap(), moto_dir, dir.path().join("moto.log"));
        config.vpc_cidr = "10.99.0.0/24".to_owned();
        config.subnet_cidrs = ["10.99.0.0/25".to_owned(), "10.99.0.128/25".to_owned()];
        config.delays = Delays::all(DELAY);
        change(&mut config);
        let (room, s3) = (Arc::new(Room::new()), Arc::new(Echo::default()));
        let credentials = Arc::new(CredentialStore::new("111122223333"));
        let root = credentials.issue_root();
        let front = Front::start(
            config,
            Arc::clone(&room) as _,
            Arc::clone(&room) as _,
            Arc::clone(&room) as _,
            Arc::clone(&s3) as _,
            credentials,
            Router::new(),
        )
        .await
        .unwrap();
        let root = Keys { id: root.access_key_id, secret: root.secret_access_key, token: None };
        Self { front, room, s3, root, _dir: dir }
    }

    /// A query call of the account's root.
    pub(crate) async fn call(&self, service: &str, form: &str) -> Reply {
        self.call_as(&self.root, service, form).await
    }

    /// A query call.
    pub(crate) async fn call_as(&self, keys: &Keys, service: &str, form: &str) -> Reply {
        self.try_call_as(keys, service, form).await.expect("an answer")
    }

    /// A query call that may stay without an answer.
    pub(crate) async fn try_call_as(&self, keys: &Keys, service: &str, form: &str) -> Option<Reply> {
        let version = if service == "ec2" { "2016-11-15" } else { "2014-10-31" };
        let body = format!("{form}&Version={version}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(keys, service, Method::POST, "/", &headers, body.into()).await
    }

    /// A JSON call; `target` is `TrentService.Encrypt`.
    pub(crate) async fn json_as(&self, keys: &Keys, service: &str, target: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.send(keys, service, Method::POST, "/", &headers, body.to_string().into()).await.expect("an answer")
    }

    /// Any signed request; `None` where the connection ended without an answer.
    pub(crate) async fn send(
        &self,
        keys: &Keys,
        service: &str,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<Reply> {
        receive(self.signed(keys, service, method, target, headers, body)).await
    }

    fn signed(
        &self,
        keys: &Keys,
        service: &str,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let uri = format!("{}{target}", self.front.endpoint());
        let mut request = Request::builder().method(method.clone()).uri(&uri);
        request = request.header("host", self.front.address().to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body.clone())).unwrap();
        let identity = Credentials::new(&keys.id, &keys.secret, keys.token.clone(), None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signed = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new(method.as_str(), &uri, signed, SignableBody::Bytes(&body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    /// What arrives of an S3 answer's body before its connection ends, and whether it ended well.
    pub(crate) async fn download(&self, target: &str, body: Bytes) -> (usize, bool) {
        let request = self.signed(&self.root, "s3", Method::GET, target, &[], body);
        let mut body = client().request(request).await.expect("an answer's head").into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (length, false) };
            length += frame.data_ref().map_or(0, Bytes::len);
        }
        (length, true)
    }

    /// A request to the cloud's control.
    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/_cloud{path}", self.front.endpoint()))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let reply = receive(request).await.unwrap();
        assert!(reply.status.is_success(), "{path}: {}", reply.body);
        if reply.body.is_empty() { Value::Null } else { serde_json::from_str(&reply.body).unwrap() }
    }

    /// Repeats a call until its answer is as wanted.
    pub(crate) async fn wait(&self, service: &str, form: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.call(service, form).await;
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < deadline, "still waiting: {}", reply.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A form that launches one instance in the first subnet.
    pub(crate) fn launch_form(&self, extra: &str) -> String {
        let bootstrap = self.front.bootstrap();
        format!(
            "Action=RunInstances&ImageId={}&SubnetId={}&InstanceType=t3.micro&MinCount=1&MaxCount=1\
             &InstanceInitiatedShutdownBehavior=terminate&IamInstanceProfile.Name=haulier-worker{extra}",
            bootstrap.ami_id, bootstrap.subnet_ids[0]
        )
    }

    /// Creates a security group in the cloud's VPC.
    pub(crate) async fn group(&self, name: &str) -> String {
        let vpc = &self.front.bootstrap().vpc_id;
        let form = format!("Action=CreateSecurityGroup&GroupName={name}&GroupDescription=d&VpcId={vpc}");
        self.call("ec2", &form).await.ok().text("groupId")
    }

    /// Creates a DB instance through the control, and waits until it is available.
    pub(crate) async fn database(&self, id: &str, groups: &[&str]) -> Value {
        self.control(Method::POST, "/instances", &serde_json::json!({"id": id, "security_group_ids": groups})).await
    }
}

/// One connection each: a connection that was cut is no other request's matter.
fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
}

async fn receive(request: Request<Full<Bytes>>) -> Option<Reply> {
    let response = client().request(request).await.ok()?;
    let status = response.status();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some(Reply { status, body: String::from_utf8_lossy(&body).into_owned() })
}
