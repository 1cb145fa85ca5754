//! Master passwords that RDS manages: kept in Secrets Manager, which is the emulator's.

use rand::RngExt;
use serde_json::json;

use crate::front::context::Context;
use crate::front::decisions::databases::{MasterSecret, Password};
use crate::front::wire::AwsError;

/// A fresh password.
pub(super) fn new_password() -> Password {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-.:;<=>?[]^_{|}~";
    let mut generator = rand::rng();
    Password::new((0..28).map(|_| char::from(ALPHABET[generator.random_range(0..ALPHABET.len())])).collect::<String>())
}

/// Makes the secret of an instance, `rds!db-…`.
pub(super) async fn create(
    context: &Context,
    resource_id: &str,
    user: &str,
    password: &Password,
    kms_key_id: Option<&str>,
) -> Result<MasterSecret, AwsError> {
    let name = format!("rds!{}", resource_id.to_ascii_lowercase());
    let value = json!({"username": user, "password": password.reveal()}).to_string();
    let request = json!({"Name": name, "SecretString": value, "ClientRequestToken": uuid::Uuid::new_v4()});
    let answer = context.moto_json("secretsmanager", "secretsmanager.CreateSecret", &request).await?;
    let arn = answer.get("ARN").and_then(|arn| arn.as_str()).unwrap_or_default().to_owned();
    let kms_key_id = kms_key_id.map_or_else(|| context.arn("kms", "alias/aws/secretsmanager"), str::to_owned);
    Ok(MasterSecret { arn, kms_key_id })
}

/// Deletes it with its instance, at once.
pub(super) async fn delete(context: &Context, secret: &MasterSecret) {
    let request = json!({"SecretId": secret.arn, "ForceDeleteWithoutRecovery": true});
    if let Err(error) = context.moto_json("secretsmanager", "secretsmanager.DeleteSecret", &request).await {
        tracing::warn!(secret = secret.arn, %error, "cannot delete a managed master secret");
    }
}
