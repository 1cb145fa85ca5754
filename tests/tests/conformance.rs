//! The real adapters, against the local cloud, through the suites that the doubles pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adapters;

use anyhow::{Context, Result};
use aws_credential_types::provider::SharedCredentialsProvider;
use e2e::cloud::Cloud;
use haulier_cloud::aws::{AwsCloud, SharedCredentials};
use haulier_cloud::doubles::conformance::{self, BucketHand, ComputeFixture, DatabasesFixture};
use haulier_cloud::identity::AssumeRole;
use haulier_cloud::roles::Role;

/// A cloud, and the adapters as its administrator.
struct Scene {
    cloud: Cloud,
    aws: AwsCloud,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("haulier-ports-").tempdir_in("/var/tmp")?;
        let path = folder.path().join("cloud");
        let cloud = tokio::task::spawn_blocking(move || Cloud::start(&path)).await??;
        let aws = adapters::of_administrator(&cloud);
        Ok(Self { cloud, aws, _folder: folder })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_kms_and_secrets_manager_conform() -> Result<()> {
    let scene = Scene::set().await?;
    let facts = scene.cloud.facts();
    scene.cloud.create_bucket("ports")?;
    conformance::object_store(scene.aws.object_store("ports", &facts.region).as_ref(), "some/prefix").await;
    scene.cloud.create_locked_bucket("kept")?;
    let kept = scene.aws.object_store("kept", &facts.region);
    conformance::object_lock(kept.as_ref(), "some/prefix", async |ahead| {
        scene.cloud.set_s3_clock_ahead(ahead.as_secs()).unwrap();
    })
    .await;
    let arn = scene.cloud.create_secret("ports/login", "a text")?;
    let unknown = arn.replace("ports/login", "ports/nothing");
    conformance::secrets(scene.aws.secrets(&facts.region).as_ref(), &arn, "a text", &unknown).await;
    let other = scene.cloud.create_key()?;
    conformance::keys(scene.aws.keys(&facts.region).as_ref(), &facts.kms_key_arn, &other).await;
    Ok(())
}

/// What the port to buckets does not do.
struct Hand(aws_sdk_s3::Client);

#[async_trait::async_trait]
impl BucketHand for Hand {
    async fn put(&self, bucket: &str, key: &str) {
        self.0.put_object().bucket(bucket).key(key).send().await.unwrap();
    }

    async fn begin_upload(&self, bucket: &str, key: &str) {
        self.0.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    }

    async fn keys(&self, bucket: &str) -> Vec<String> {
        let objects = self.0.list_objects_v2().bucket(bucket).send().await.unwrap();
        let uploads = self.0.list_multipart_uploads().bucket(bucket).send().await.unwrap();
        let objects = objects.contents().iter().filter_map(|object| object.key());
        objects.chain(uploads.uploads().iter().filter_map(|upload| upload.key())).map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_iam_conform() -> Result<()> {
    let scene = Scene::set().await?;
    let facts = scene.cloud.facts();
    let hand = Hand(adapters::s3_of_administrator(&scene.cloud));
    let buckets = scene.aws.buckets(&facts.account, &facts.region);
    conformance::buckets(buckets.as_ref(), &hand, "haulier-temporary-conformance").await;
    let arn = facts.worker_role_arn.clone();
    let name = arn.rsplit('/').next().context("a role's name")?.to_owned();
    let root = format!("arn:aws:iam::{}:root", facts.account);
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"},
    });
    conformance::roles(scene.aws.roles().as_ref(), &name, &Role { arn, trust: trust.to_string() }).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ec2_and_rds_conform() -> Result<()> {
    let scene = Scene::set().await?;
    let facts = scene.cloud.facts().clone();
    let compute = scene.aws.compute(&facts.region);
    // An agent that looks for a coordinator where there is none: it stays up until its deadline.
    let deadline = in_ten_minutes();
    let user_data = format!(
        "haulier_worker = 1\ncoordinator = \"https://{}:9\"\nca_sha256 = \"{}\"\nworker_id = \"wrk-1\"\nsession_id = \"ses-1\"\n\
         epoch = 1\ntoken = \"none\"\nregion = \"{}\"\ndeadline = \"{deadline}\"\n",
        facts.gateway,
        "0".repeat(64),
        facts.region,
    );
    let fixture = ComputeFixture {
        vpc_id: facts.vpc_id.clone(),
        subnet_id: facts.subnet_ids.first().context("a subnet")?.clone(),
        image_id: facts.ami_id.clone(),
        instance_type: "t3.small".to_owned(),
        instance_profile: Some(facts.worker_instance_profile.clone()),
        user_data,
        prefix: "ports".to_owned(),
    };
    conformance::compute(compute.as_ref(), &fixture).await;

    scene.cloud.create_instance("ports-db", "a-master-password")?;
    let spare = compute.create_security_group(&facts.vpc_id, "spare", "a group to join", &Default::default()).await?;
    let fixture = DatabasesFixture {
        instance_id: "ports-db".into(),
        spare_group_id: spare,
        option_group: None,
        prefix: "ports".into(),
    };
    conformance::databases(scene.aws.databases(&facts.region).as_ref(), &fixture).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assumed_role_is_who_it_says_and_does_no_more_than_its_policy() -> Result<()> {
    let scene = Scene::set().await?;
    let facts = scene.cloud.facts();
    scene.cloud.create_bucket("ports")?;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::ports/open/*"}]}"#;
    let request = AssumeRole {
        role_arn: facts.worker_role_arn.clone(),
        session_name: "ports".to_owned(),
        external_id: None,
        policy: Some(policy.to_owned()),
        duration_seconds: 900,
    };
    let owner = scene.aws.object_store("ports", &facts.region);
    for key in ["open/a", "closed/a"] {
        owner.put_new(key, bytes::Bytes::from_static(b"a")).await?;
    }
    let credentials = scene.aws.identity().assume(&request).await?;
    let narrowed = adapters::with(&scene.cloud, SharedCredentialsProvider::new(SharedCredentials::new(credentials)));
    assert!(narrowed.identity().caller().await?.arn.ends_with("assumed-role/haulier-session/ports"));
    let store = narrowed.object_store("ports", &facts.region);
    assert_eq!(store.get("open/a").await?.as_ref(), b"a");
    assert_eq!(store.get("closed/a").await.unwrap_err().kind, haulier_cloud::ErrorKind::Denied);
    assert_eq!(store.delete("open/a").await.unwrap_err().kind, haulier_cloud::ErrorKind::Denied);
    Ok(())
}

fn in_ten_minutes() -> String {
    let now = jiff::Timestamp::now();
    (now + jiff::SignedDuration::from_mins(10)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
