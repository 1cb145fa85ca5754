//! The front as SQL Server instances see it: option groups and their roles, snapshots under way, faults, S3, KMS.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::context::{Context, locked, now};
use super::decisions::databases::{DbInstance, Status};
use super::decisions::faults::{Effect, Subject};
use super::objects;
use super::s3_handler::BucketSetup;
use super::wire::AwsError;
use crate::credentials::{Credential, Service, Session};
use crate::iam::{self, Context as Conditions, Decision};
use crate::sqlserver::{DataKey, KeyFault, Surroundings};

/// What assumes the role of native backup.
const SERVICE: &str = "rds.amazonaws.com";
/// What writes log backups to S3.
const LOG_SERVICE: &str = "backups.rds.amazonaws.com";
/// How long RDS's own sessions last here.
const LIFETIME: SignedDuration = SignedDuration::from_hours(6);

/// The front, from an instance's side.
pub(crate) struct Around(pub(crate) Arc<Context>);

/// Whether a role lets RDS assume it on behalf of a resource.
pub(crate) fn trusts(context: &Context, role_arn: &str, source_arn: &str) -> bool {
    let name = role_arn.rsplit('/').next().unwrap_or_default();
    let Some(role) = context.credentials.role(name).filter(|role| role.arn == role_arn) else { return false };
    let conditions =
        Conditions::new().with("aws:SourceArn", source_arn).with("aws:SourceAccount", context.credentials.account());
    let request = iam::Request { action: "sts:AssumeRole", resource: role_arn, context: &conditions };
    role.trust.decide_for(SERVICE, request) == Decision::Allow
}

impl Around {
    /// The option group of an instance, and the role that it gives in force.
    fn option(&self, instance: &str) -> Option<(String, String)> {
        self.0.read(|world| {
            let database = world.databases.get(instance).ok()?;
            let role = world.option_groups.backup_role(&database.option_group)?;
            Some((database.option_group.clone(), role.to_owned()))
        })
    }

    async fn kms(&self, role: &Credential, action: &'static str, key: &str, body: Value) -> Result<Value, KeyFault> {
        let described = self.0.moto_json("kms", "TrentService.DescribeKey", &json!({"KeyId": key})).await;
        let described = described.map_err(|error| fault(key, &error))?;
        let arn = described["KeyMetadata"]["Arn"].as_str().unwrap_or(key);
        let conditions = Conditions::new();
        let request = iam::Request { action, resource: arn, context: &conditions };
        if iam::authorise(&role.permissions, &role.principal, None, request) != Decision::Allow {
            return Err(KeyFault::Denied { user: role.principal.clone(), action, key: arn.to_owned() });
        }
        let operation = action.trim_start_matches("kms:");
        let answer = self.0.moto_json("kms", &format!("TrentService.{operation}"), &body).await;
        answer.map_err(|error| fault(key, &error))
    }
}

fn fault(key: &str, error: &AwsError) -> KeyFault {
    match error.code.as_str() {
        code if code.contains("NotFoundException") => KeyFault::Missing(key.to_owned()),
        _ => KeyFault::Other(error.to_string()),
    }
}

fn open_key(answer: &Value) -> Result<[u8; 32], KeyFault> {
    let bytes = answer["Plaintext"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let key = bytes.and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| KeyFault::Other("KMS gave no key of 32 bytes".to_owned()))
}

#[async_trait]
impl Surroundings for Around {
    fn region(&self) -> String {
        self.0.config.region.clone()
    }

    fn is_backup_enabled(&self, instance: &str) -> bool {
        self.option(instance).is_some()
    }

    fn backup_role(&self, instance: &str) -> Option<Credential> {
        let (group, role) = self.option(instance)?;
        let sources = [format!("db:{instance}"), format!("og:{group}")];
        if !sources.iter().all(|source| trusts(&self.0, &role, &self.0.arn("rds", source))) {
            return None;
        }
        let role = role.rsplit('/').next().unwrap_or_default().to_owned();
        let session =
            Session { role, name: "RDS-SqlServerBackupRestore".to_owned(), policy: None, expires: now() + LIFETIME };
        self.0.credentials.issue_session(session)
    }

    fn log_writer(&self, instance: &str) -> Credential {
        let source_arn = self.0.arn("rds", &format!("db:{instance}"));
        self.0.credentials.issue_service(Service {
            name: LOG_SERVICE.to_owned(),
            source_arn,
            expires: now() + LIFETIME,
        })
    }

    fn is_encrypted(&self, instance: &str) -> bool {
        let is = |database: &DbInstance| database.settings.kms_key_id.is_some();
        self.0.read(|world| world.databases.get(instance).is_ok_and(is))
    }

    fn bucket(&self, name: &str) -> Option<BucketSetup> {
        self.0.s3.bucket(name)
    }

    fn is_backing_up(&self, instance: &str) -> bool {
        self.0.read(|world| world.databases.get(instance).is_ok_and(|database| database.status == Status::BackingUp))
    }

    fn retention_days(&self, instance: &str) -> u32 {
        self.0.read(|world| world.databases.get(instance).map_or(0, |database| database.settings.backup_retention_days))
    }

    fn has_volume(&self, instance: &str, volume: &str) -> bool {
        let has = |database: &DbInstance| database.settings.additional_volumes.contains_key(volume);
        self.0.read(|world| world.databases.get(instance).is_ok_and(has))
    }

    fn fault(&self, operation: &str, text: &str) -> Option<Effect> {
        let subject = Subject { service: "sqlserver", operation, text, has_stale_answer: false };
        let effect = locked(&self.0.faults).decide(subject);
        if let Some(effect) = &effect {
            tracing::info!(service = "sqlserver", operation, ?effect, "a fault fires");
        }
        effect
    }

    async fn s3(&self, request: Request<Body>) -> Option<Response<Body>> {
        objects::serve(Arc::clone(&self.0), request).await
    }

    async fn data_key(&self, role: &Credential, key: &str) -> Result<DataKey, KeyFault> {
        let body = json!({"KeyId": key, "KeySpec": "AES_256"});
        let answer = self.kms(role, "kms:GenerateDataKey", key, body).await?;
        let sealed = answer["CiphertextBlob"].as_str().unwrap_or_default().to_owned();
        Ok(DataKey { open: open_key(&answer)?, sealed, sealed_by: key.to_owned() })
    }

    async fn open_key(&self, role: &Credential, key: &str, sealed: &str) -> Result<[u8; 32], KeyFault> {
        let answer = self.kms(role, "kms:Decrypt", key, json!({"CiphertextBlob": sealed})).await?;
        // The KMS underneath opens what any of its keys has sealed, whichever is named.
        if answer["KeyId"] != key {
            let text = "The key ID in the request does not identify a CMK that can perform this operation.";
            return Err(KeyFault::Other(text.to_owned()));
        }
        open_key(&answer)
    }
}
