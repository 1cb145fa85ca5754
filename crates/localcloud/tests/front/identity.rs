//! Signatures, roles, session policies, secrets and keys.

use std::time::Duration;

use serde_json::{Value, json};

use super::cloud::{Cloud, Keys};

const WHO: &str = "Action=GetCallerIdentity";

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Makes a role that the account's root may assume, with an external id.
async fn role(cloud: &Cloud, name: &str, statement: &Value) -> String {
    let trust = json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "x-1"}},
    }});
    let form = format!("Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}", encode(&trust.to_string()));
    let arn = cloud.call("iam", &form).await.ok().text("Arn");
    let policy = encode(&json!({"Version": "2012-10-17", "Statement": statement}).to_string());
    let form = format!("Action=PutRolePolicy&RoleName={name}&PolicyName=p&PolicyDocument={policy}");
    cloud.call("iam", &form).await.ok();
    arn
}

#[tokio::test]
async fn only_known_keys_and_good_signatures_pass() {
    let cloud = Cloud::start().await;
    let who = cloud.call("sts", WHO).await.ok();
    assert_eq!(who.text("Arn"), "arn:aws:iam::111122223333:root");
    assert_eq!(who.text("Account"), "111122223333");
    let wrong = Keys { secret: "wrong".to_owned(), ..cloud.root.clone() };
    assert_eq!(cloud.call_as(&wrong, "sts", WHO).await.code(), "SignatureDoesNotMatch");
    assert_eq!(cloud.call_as(&wrong, "ec2", "Action=DescribeVpcs").await.code(), "AuthFailure");
    let unknown = Keys { id: "AKIAUNKNOWN".to_owned(), ..cloud.root.clone() };
    assert_eq!(cloud.call_as(&unknown, "rds", "Action=DescribeDBInstances").await.code(), "InvalidClientTokenId");
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_and_narrowed_by_the_session() {
    let cloud = Cloud::start().await;
    let arn =
        role(&cloud, "account", &json!({"Effect": "Allow", "Action": ["rds:*", "ec2:Describe*"], "Resource": "*"}))
            .await;
    let assume = format!("Action=AssumeRole&RoleArn={}&RoleSessionName=ses-1", encode(&arn));
    assert_eq!(cloud.call("sts", &assume).await.code(), "AccessDenied", "without the external id");
    assert_eq!(cloud.call("sts", &format!("{assume}&ExternalId=x-2")).await.code(), "AccessDenied", "with another");
    let assume = format!("{assume}&ExternalId=x-1");
    let keys = Keys::of(&cloud.call("sts", &assume).await.ok());
    let who = cloud.call_as(&keys, "sts", WHO).await.ok();
    assert_eq!(who.text("Arn"), "arn:aws:sts::111122223333:assumed-role/account/ses-1");
    cloud.call_as(&keys, "rds", "Action=DescribeDBInstances").await.ok();
    cloud.call_as(&keys, "ec2", "Action=DescribeVpcs").await.ok();
    assert_eq!(cloud.call_as(&keys, "ec2", &cloud.launch_form("")).await.code(), "UnauthorizedOperation");
    let stolen = Keys { token: Some("another".to_owned()), ..keys.clone() };
    assert_eq!(cloud.call_as(&stolen, "sts", WHO).await.code(), "InvalidClientTokenId");

    let policy = json!({"Statement": {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}}).to_string();
    let narrow = format!("{assume}&Policy={}", encode(&policy));
    let narrow = Keys::of(&cloud.call("sts", &narrow).await.ok());
    cloud.call_as(&narrow, "ec2", "Action=DescribeVpcs").await.ok();
    assert_eq!(cloud.call_as(&narrow, "ec2", "Action=DescribeSubnets").await.code(), "UnauthorizedOperation");
    assert_eq!(cloud.call_as(&narrow, "rds", "Action=DescribeDBInstances").await.code(), "AccessDenied");
    let bad = format!("{assume}&Policy=nonsense");
    assert_eq!(cloud.call("sts", &bad).await.code(), "MalformedPolicyDocument");

    cloud.call("iam", "Action=DeleteRolePolicy&RoleName=account&PolicyName=p").await.ok();
    assert_eq!(cloud.call_as(&keys, "ec2", "Action=DescribeVpcs").await.code(), "UnauthorizedOperation", "at once");
}

#[tokio::test]
async fn credentials_end() {
    let cloud = Cloud::start_with(|config| config.session_lifetime_limit = Some(Duration::from_secs(4))).await;
    let arn = cloud.front.bootstrap().coordinator_role_arn.clone();
    let assume = format!("Action=AssumeRole&RoleArn={}&RoleSessionName=ses-1", encode(&arn));
    let keys = Keys::of(&cloud.call("sts", &assume).await.ok());
    cloud.call_as(&keys, "sts", WHO).await.ok();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let reply = cloud.call_as(&keys, "sts", WHO).await;
        if !reply.status.is_success() {
            assert_eq!(reply.code(), "ExpiredToken");
            break;
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(cloud.call_as(&keys, "ec2", "Action=DescribeVpcs").await.code(), "RequestExpired");
    let kms = cloud.json_as(&keys, "kms", "TrentService.ListKeys", &json!({})).await;
    assert_eq!(kms.code(), "ExpiredTokenException");
}

#[tokio::test]
async fn an_instance_is_its_role_and_may_do_nothing() {
    let cloud = Cloud::start_with(|config| config.instance_credential_lifetime = Duration::from_secs(8)).await;
    let id = cloud.call("ec2", &cloud.launch_form("")).await.ok().text("instanceId");
    let metadata = cloud.room.booted.lock().unwrap()[&id].metadata.clone();
    assert_eq!(metadata["meta-data/iam/security-credentials/"], "haulier-worker");
    let keys = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Keys { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: Some(text("Token")) }
    };
    let path = "meta-data/iam/security-credentials/haulier-worker";
    let first = keys(&metadata[path]);
    let who = cloud.call_as(&first, "sts", WHO).await.ok();
    assert_eq!(who.text("Arn"), format!("arn:aws:sts::111122223333:assumed-role/haulier-worker/{id}"));
    assert_eq!(cloud.call_as(&first, "ec2", "Action=DescribeInstances").await.code(), "UnauthorizedOperation");
    let document =
        cloud.room.metadata.lock().unwrap()[&(id.clone(), "dynamic/instance-identity/document".to_owned())].clone();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&document["instanceId"], &document["privateIp"]), (&json!(id), &json!("10.99.0.11")));

    // Renewed long before they end.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let renewed = loop {
        if let Some(body) = cloud.room.metadata.lock().unwrap().get(&(id.clone(), path.to_owned())) {
            break keys(body);
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_ne!(renewed.id, first.id);
    cloud.call_as(&renewed, "sts", WHO).await.ok();
}

#[tokio::test]
async fn secrets_and_keys_ask_the_policies() {
    let cloud = Cloud::start().await;
    let secret = async |name: &str| {
        let body =
            json!({"Name": name, "SecretString": name, "ClientRequestToken": "0123456789abcdef0123456789abcdef"});
        let reply = cloud.json_as(&cloud.root, "secretsmanager", "secretsmanager.CreateSecret", &body).await.ok();
        serde_json::from_str::<Value>(&reply.body).unwrap()["ARN"].as_str().unwrap().to_owned()
    };
    let (open, closed) = (secret("open").await, secret("closed").await);
    let key = cloud.front.bootstrap().kms_key_arn.clone();
    let statement = json!([
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": open},
        {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": key},
    ]);
    let arn = role(&cloud, "reader", &statement).await;
    let assume = format!("Action=AssumeRole&RoleArn={}&RoleSessionName=ses-1&ExternalId=x-1", encode(&arn));
    let keys = Keys::of(&cloud.call("sts", &assume).await.ok());
    let get = async |id: &str| {
        cloud.json_as(&keys, "secretsmanager", "secretsmanager.GetSecretValue", &json!({"SecretId": id})).await
    };
    assert!(get(&open).await.ok().body.contains("open"));
    get("open").await.ok();
    assert_eq!(get(&closed).await.code(), "AccessDeniedException");
    assert_eq!(get("closed").await.code(), "AccessDeniedException");
    assert_eq!(get("absent").await.code(), "AccessDeniedException");

    let plain = json!({"KeyId": "alias/haulier", "Plaintext": "aGFsbG8=", "EncryptionContext": {"repository": "r"}});
    assert_eq!(cloud.json_as(&keys, "kms", "TrentService.Encrypt", &plain).await.code(), "AccessDeniedException");
    let sealed = cloud.json_as(&cloud.root, "kms", "TrentService.Encrypt", &plain).await.ok();
    let sealed: Value = serde_json::from_str(&sealed.body).unwrap();
    let open = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"repository": "r"}});
    assert!(cloud.json_as(&keys, "kms", "TrentService.Decrypt", &open).await.ok().body.contains("aGFsbG8="));
    let other = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"repository": "s"}});
    assert_eq!(cloud.json_as(&keys, "kms", "TrentService.Decrypt", &other).await.code(), "InvalidCiphertextException");
}
