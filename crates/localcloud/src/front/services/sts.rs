//! STS: who somebody is, and credentials that can do less.
//!
//! Wholly the front's own, because it verifies what it gives out. After the pages of AssumeRole and GetCallerIdentity
//! of the STS API reference and "Compare AWS STS credentials" of the IAM guide.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::credentials::{Credential, Session};
use crate::front::context::{Context, iso, locked, now};
use crate::front::wire::{Answer, AwsError, Call, Params};
use crate::iam::{self, Context as Conditions, Decision, Policy};

/// Shortest session that can be asked for, and the default.
const LEAST_SECONDS: i64 = 900;
const DEFAULT_SECONDS: i64 = 3600;
/// Largest plain text of a session policy.
const POLICY_LIMIT: usize = 2048;

/// Answers an STS call.
pub(crate) fn answer(context: &Arc<Context>, call: &Call, caller: &Credential) -> Result<Answer, AwsError> {
    match call.operation.as_str() {
        "GetCallerIdentity" => Ok(Answer::query("sts", "GetCallerIdentity", |xml| {
            xml.text("Arn", &caller.principal)
                .text("UserId", &caller.user_id)
                .text("Account", context.credentials.account());
        })),
        "AssumeRole" => assume_role(context, &call.params(), caller),
        operation => Err(AwsError::unsupported(operation)),
    }
}

fn assume_role(context: &Context, params: &Params, caller: &Credential) -> Result<Answer, AwsError> {
    let arn = params.required("RoleArn")?;
    let name = params.required("RoleSessionName")?;
    check_session_name(name)?;
    let role_name = arn.rsplit('/').next().unwrap_or_default();
    let denied = || {
        let text =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.principal);
        AwsError::new("AccessDenied", text).with_status(403)
    };
    let role = context.credentials.role(role_name).filter(|role| role.arn == arn).ok_or_else(denied)?;
    let mut conditions =
        Conditions::new().with("sts:RoleSessionName", name).with("aws:PrincipalArn", &caller.principal);
    if let Some(external_id) = params.get("ExternalId") {
        conditions.add("sts:ExternalId", external_id);
    }
    let request = iam::Request { action: "sts:AssumeRole", resource: arn, context: &conditions };
    // The role must trust the caller, and the caller must be allowed to ask.
    let trusted = role.trust.decide_for(&caller.principal, request);
    let allowed = iam::authorise(&caller.permissions, &caller.principal, None, request);
    if trusted != Decision::Allow || allowed != Decision::Allow {
        return Err(denied());
    }
    let policy = params.get("Policy").map(session_policy).transpose()?;
    let chained = caller.session_token.is_some();
    let longest = locked(&context.iam).longest_session(role_name);
    let asked = params.parsed::<i64>("DurationSeconds")?.unwrap_or(DEFAULT_SECONDS);
    let mut lifetime = SignedDuration::from_secs(session_seconds(asked, longest, chained)?);
    if let Some(limit) = context.config.session_lifetime_limit {
        lifetime = lifetime.min(SignedDuration::try_from(limit).unwrap_or(lifetime));
    }
    let session = Session { role: role_name.to_owned(), name: name.to_owned(), policy, expires: now() + lifetime };
    let credential = context.credentials.issue_session(session).ok_or_else(denied)?;
    Ok(Answer::query("sts", "AssumeRole", |xml| {
        xml.node("Credentials", |xml| {
            xml.text("AccessKeyId", &credential.access_key_id)
                .text("SecretAccessKey", &credential.secret_access_key)
                .optional("SessionToken", credential.session_token.as_ref())
                .optional("Expiration", credential.expires.map(iso));
        });
        xml.node("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &credential.user_id).text("Arn", &credential.principal);
        });
    }))
}

fn session_policy(text: &str) -> Result<Policy, AwsError> {
    if text.len() > POLICY_LIMIT {
        let text = format!(
            "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to {POLICY_LIMIT}"
        );
        return Err(AwsError::new("ValidationError", text));
    }
    Policy::parse(text).map_err(|error| AwsError::new("MalformedPolicyDocument", error.to_string()))
}

/// How long a session lives. `longest` is the role's `MaxSessionDuration`; a session that assumes a role gets an hour.
fn session_seconds(asked: i64, longest: i64, chained: bool) -> Result<i64, AwsError> {
    let refused = if asked < LEAST_SECONDS {
        format!(
            "1 validation error detected: Value '{asked}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to {LEAST_SECONDS}"
        )
    } else if chained && asked > DEFAULT_SECONDS {
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining".to_owned()
    } else if asked > longest {
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".to_owned()
    } else {
        return Ok(asked);
    };
    Err(AwsError::new("ValidationError", refused))
}

fn check_session_name(name: &str) -> Result<(), AwsError> {
    let valid = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter));
    if valid && (2..=64).contains(&name.len()) {
        return Ok(());
    }
    let text = format!(
        "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
    );
    Err(AwsError::new("ValidationError", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_last_as_the_page_of_assume_role_says() {
        for (asked, longest, chained, expected) in [
            (3600, 3600, false, Some(3600)),
            (900, 3600, false, Some(900)),
            (899, 3600, false, None),
            (3601, 3600, false, None),
            (43200, 43200, false, Some(43200)),
            (3601, 43200, true, None),
            (3600, 43200, true, Some(3600)),
        ] {
            assert_eq!(
                session_seconds(asked, longest, chained).ok(),
                expected,
                "{asked} of {longest}, chained {chained}"
            );
        }
    }

    #[test]
    fn session_names() {
        for (name, valid) in
            [("ses-1", true), ("a", false), ("a b", false), (&*"x".repeat(64), true), (&*"x".repeat(65), false)]
        {
            assert_eq!(check_session_name(name).is_ok(), valid, "{name}");
        }
    }

    #[test]
    fn session_policies_are_understood_or_refused() {
        assert_eq!(session_policy("{").unwrap_err().code, "MalformedPolicyDocument");
        assert_eq!(session_policy(&" ".repeat(2049)).unwrap_err().code, "ValidationError");
        session_policy(r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#).unwrap();
    }
}
