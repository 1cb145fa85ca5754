//! A cloud in this process, with one instance of SQL Server.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use haulier_localcloud::cloud::{CloudConfig, Description, LocalCloud};
use haulier_localcloud::front::Delays;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::clients::Sql;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The master's password.
pub(crate) const PASSWORD: &str = "local-cloud-password";
/// The bucket that every test has.
pub(crate) const BUCKET: &str = "haulier-native";

/// A cloud.
pub(crate) struct Cloud {
    cloud: LocalCloud,
    pub(crate) facts: Description,
    pub(crate) s3: S3,
    _dir: tempfile::TempDir,
}

/// An instance as the control port shows it.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) endpoint: String,
    pub(crate) address: String,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
        let cache = std::env::var_os("HAULIER_CLOUD_CACHE").unwrap_or_else(|| "/var/cache/haulier-cloud".into());
        let config = CloudConfig {
            dir: dir.path().join("cloud"),
            worker_binary: None,
            ami: Path::new(&package).join("../../ami"),
            region: "eu-central-1".to_owned(),
            packages: None,
            cache: cache.into(),
            delays: Delays::all(Duration::from_millis(200)),
            session_lifetime: None,
        };
        let cloud = LocalCloud::start(config).await.expect("the cloud needs root");
        let facts = cloud.description().clone();
        let s3 = s3(&facts);
        let cloud = Self { cloud, facts, s3, _dir: dir };
        cloud.bucket(BUCKET, "eu-central-1").await;
        cloud
    }

    /// A cloud with one instance, with native backup.
    pub(crate) async fn with_instance() -> (Self, Instance) {
        let cloud = Self::start().await;
        let instance = cloud.instance("shop", &json!({"engine": "sqlserver-se"})).await;
        (cloud, instance)
    }

    /// A cloud with one instance, with native backup and encrypted storage.
    pub(crate) async fn with_encrypted_instance() -> (Self, Instance) {
        let cloud = Self::start().await;
        let more = json!({"engine": "sqlserver-se", "kms_key_arn": cloud.facts.bootstrap.kms_key_arn});
        let instance = cloud.instance("shop", &more).await;
        (cloud, instance)
    }

    pub(crate) async fn close(self) {
        self.cloud.close().await.unwrap();
    }

    /// Creates an instance through the control, and waits until it is available.
    pub(crate) async fn instance(&self, id: &str, more: &Value) -> Instance {
        let mut request = json!({"id": id});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.control(Method::POST, "/instances", &request).await;
        assert_eq!(made["status"], "available", "{made}");
        Self::shown(&made)
    }

    fn shown(value: &Value) -> Instance {
        let text = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned();
        Instance { id: text("id"), endpoint: text("endpoint"), address: text("address") }
    }

    /// An instance that is there.
    pub(crate) async fn look(&self, id: &str) -> Instance {
        Self::shown(&self.control(Method::GET, &format!("/instances/{id}"), &Value::Null).await)
    }

    /// Logs in as the master, by tiberius.
    pub(crate) async fn sql(&self, instance: &Instance) -> Sql {
        Sql::connect(instance, &self.facts.ca_file, "master", PASSWORD).await.unwrap()
    }

    pub(crate) async fn bucket(&self, name: &str, region: &str) {
        use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
        let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region));
        let s3 = S3::from_conf(self.s3.config().to_builder().region(Region::new(region.to_owned())).build());
        s3.create_bucket().bucket(name).create_bucket_configuration(place.build()).send().await.unwrap();
    }

    /// Keys of the bucket, and their sizes.
    pub(crate) async fn objects(&self) -> Vec<(String, i64)> {
        let list = self.s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        let object = |object: &aws_sdk_s3::types::Object| (object.key().unwrap().to_owned(), object.size().unwrap());
        list.contents().iter().map(object).collect()
    }

    pub(crate) async fn download(&self, key: &str) -> Bytes {
        let got = self.s3.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().into_bytes()
    }

    pub(crate) async fn upload(&self, key: &str, bytes: impl Into<Bytes>) {
        self.s3.put_object().bucket(BUCKET).key(key).body(bytes.into().into()).send().await.unwrap();
    }

    /// Uploads that are neither complete nor given up.
    pub(crate) async fn uploads(&self) -> usize {
        self.s3.list_multipart_uploads().bucket(BUCKET).send().await.unwrap().uploads().len()
    }

    /// A request to the cloud's control; it must succeed.
    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, text) = self.try_control(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub(crate) async fn try_control(&self, method: Method, path: &str, body: &Value) -> (StatusCode, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/_cloud{path}", self.facts.endpoint))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        receive(request).await
    }

    /// Makes a database of so many pages from a seed.
    pub(crate) async fn make(&self, instance: &Instance, name: &str, pages: u32) {
        let path = format!("/instances/{}/databases/{name}", instance.id);
        self.control(Method::POST, &path, &json!({"made": {"seed": 7, "pages": pages}})).await;
    }

    /// Changes so many of its pages.
    pub(crate) async fn change(&self, instance: &Instance, name: &str, count: u32) {
        let path = format!("/instances/{}/databases/{name}/pages", instance.id);
        self.control(Method::POST, &path, &json!({"count": count, "seed": 3})).await;
    }

    /// What tells a database from others.
    pub(crate) async fn fingerprint(&self, instance: &Instance, name: &str) -> String {
        let path = format!("/instances/{}/databases/{name}", instance.id);
        self.control(Method::GET, &path, &Value::Null).await["fingerprint"].as_str().unwrap().to_owned()
    }

    /// Orders faults of the service `sqlserver`.
    pub(crate) async fn order_fault(&self, operation: &str, effect: &Value) {
        let rule = json!([{"service": "sqlserver", "operation": operation, "effect": effect}]);
        self.control(Method::PUT, "/faults", &rule).await;
    }

    /// A call of the query protocol by the account's root.
    pub(crate) async fn query(&self, service: &str, form: &str) -> String {
        let (status, text) = self.try_query(service, form).await;
        assert!(status.is_success(), "{form}: {status} {text}");
        text
    }

    pub(crate) async fn try_query(&self, service: &str, form: &str) -> (StatusCode, String) {
        let body = format!("{form}&Version={}", if service == "iam" { "2010-05-08" } else { "2014-10-31" });
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.signed(service, &[kind], body.into()).await
    }

    /// Makes a key of KMS's, and gives its ARN.
    pub(crate) async fn new_key(&self) -> String {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "TrentService.CreateKey")];
        let (status, text) = self.signed("kms", &headers, Bytes::from_static(b"{}")).await;
        assert!(status.is_success(), "{status} {text}");
        let made: Value = serde_json::from_str(&text).unwrap();
        made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    async fn signed(&self, service: &str, headers: &[(&str, &str)], body: Bytes) -> (StatusCode, String) {
        let uri = format!("{}/", self.facts.endpoint);
        let host = uri.trim_start_matches("http://").trim_end_matches('/');
        let mut request = Request::post(&uri).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body.clone())).unwrap();
        let identity =
            Credentials::new(&self.facts.access_key_id, &self.facts.secret_access_key, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.facts.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new("POST", &uri, headers, SignableBody::Bytes(&body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        receive(request).await
    }

    /// Waits until an instance has a status.
    pub(crate) async fn wait_for(&self, id: &str, status: &str) -> String {
        let wanted = format!("<DBInstanceStatus>{status}</DBInstanceStatus>");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let form = format!("Action=DescribeDBInstances&DBInstanceIdentifier={id}");
            let (_, text) = self.try_query("rds", &form).await;
            if text.contains(&wanted) {
                return text;
            }
            assert!(Instant::now() < deadline, "still waiting for {status}: {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn receive(request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn s3(facts: &Description) -> S3 {
    let keys = Credentials::new(&facts.access_key_id, &facts.secret_access_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&facts.endpoint)
        .region(Region::new(facts.region.clone()))
        .credentials_provider(keys)
        .force_path_style(true)
        .build();
    S3::from_conf(config)
}

/// Text of the first element with a name.
pub(crate) fn text<'a>(xml: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let rest = xml.split_once(&open).unwrap_or_else(|| panic!("no {name} in {xml}")).1;
    rest.split_once(&close).unwrap().0
}
