//! The suites of [`Keys`], [`Roles`] and [`Secrets`].

use std::collections::BTreeMap;

use haulier_domain::secret::SecretBytes;

use crate::error::ErrorKind;
use crate::keys::Keys;
use crate::roles::{Role, Roles};
use crate::secrets::Secrets;

/// Runs KMS through its suite, with two symmetric keys of the customer's that exist and are enabled.
pub async fn keys<K: Keys + ?Sized>(keys: &K, key_arn: &str, other_key_arn: &str) {
    let context = BTreeMap::from([("purpose".to_owned(), "conformance".to_owned())]);
    let plain = SecretBytes::new([7; 32]);
    let wrapped = keys.wrap(key_arn, &context, &plain).await.unwrap();
    assert!(!wrapped.windows(32).any(|window| window == [7; 32]), "the key stands in its wrapping");
    assert_eq!(keys.unwrap(key_arn, &context, &wrapped).await.unwrap().expose(), plain.expose());

    let another = BTreeMap::from([("purpose".to_owned(), "another".to_owned())]);
    assert_eq!(keys.unwrap(key_arn, &another, &wrapped).await.unwrap_err().kind, ErrorKind::Invalid);
    // KMS says IncorrectKeyException; others that the caller may not.
    let by_another_key = keys.unwrap(other_key_arn, &context, &wrapped).await.unwrap_err().kind;
    assert!(matches!(by_another_key, ErrorKind::Invalid | ErrorKind::Denied), "{by_another_key:?}");
    let mut damaged = wrapped;
    if let Some(byte) = damaged.last_mut() {
        *byte ^= 1;
    }
    assert_eq!(keys.unwrap(key_arn, &context, &damaged).await.unwrap_err().kind, ErrorKind::Invalid);

    let key = keys.key(key_arn).await.unwrap().unwrap();
    let told = [&key.state, &key.spec, &key.manager].map(String::as_str);
    assert_eq!(told, ["Enabled", "SYMMETRIC_DEFAULT", "CUSTOMER"]);
    let (place, _) = key_arn.rsplit_once('/').unwrap();
    assert_eq!(keys.key(&format!("{place}/00000000-0000-0000-0000-000000000000")).await.unwrap(), None);
}

/// Runs Secrets Manager through its suite, with a secret that exists and one that does not.
pub async fn secrets<S: Secrets + ?Sized>(secrets: &S, arn: &str, text: &str, unknown_arn: &str) {
    assert_eq!(secrets.secret(arn).await.unwrap().expose(), text);
    let unknown = secrets.secret(unknown_arn).await.unwrap_err();
    assert!(unknown.is_not_found(), "{unknown:?}");
    assert!(!format!("{unknown:?}").contains(text));
}

/// Runs IAM through its suite, with a role that exists. What it trusts is compared as JSON: IAM writes it its own way.
pub async fn roles<R: Roles + ?Sized>(roles: &R, name: &str, known: &Role) {
    let role = roles.role(name).await.unwrap().unwrap();
    assert_eq!(role.arn, known.arn);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&role.trust), json(&known.trust));
    assert_eq!(roles.role("there-is-none").await.unwrap(), None);
}
