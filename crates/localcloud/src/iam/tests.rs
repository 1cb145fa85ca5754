//! Tables after "Policy evaluation logic" and "Condition operators" of the IAM guide.

use super::*;

const WORKER: &str = "arn:aws:sts::111122223333:assumed-role/worker/ses-1";

fn policy(statements: &str) -> Policy {
    Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap()
}

fn decide(policy: &Policy, action: &str, resource: &str, context: &Context) -> Decision {
    evaluate(std::slice::from_ref(policy), Request { action, resource, context })
}

#[test]
fn explicit_deny_wins_and_silence_denies() {
    let policy = policy(
        r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"},
           {"Effect":"Deny","Action":["s3:Delete*"],"Resource":"*"}"#,
    );
    let context = Context::new();
    let table = [
        ("s3:PutObject", "arn:aws:s3:::b/x", Decision::Allow),
        ("S3:putobject", "arn:aws:s3:::b/x", Decision::Allow),
        ("s3:PutObject", "arn:aws:s3:::other/x", Decision::ImplicitDeny),
        ("s3:DeleteObject", "arn:aws:s3:::b/x", Decision::ExplicitDeny),
        ("kms:Decrypt", "*", Decision::ImplicitDeny),
    ];
    for (action, resource, expected) in table {
        assert_eq!(decide(&policy, action, resource, &context), expected, "{action} on {resource}");
    }
}

#[test]
fn not_action_and_not_resource_cover_the_rest() {
    let policy = policy(r#"{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:s3:::secret/*"}"#);
    let context = Context::new();
    assert_eq!(decide(&policy, "s3:GetObject", "arn:aws:s3:::open/x", &context), Decision::Allow);
    assert_eq!(decide(&policy, "iam:GetRole", "*", &context), Decision::ImplicitDeny);
    assert_eq!(decide(&policy, "s3:GetObject", "arn:aws:s3:::secret/x", &context), Decision::ImplicitDeny);
}

#[test]
fn condition_operators() {
    let present = Context::new().with("s3:if-none-match", "*").with("s3:prefix", "domains/d/").with("aws:TagKeys", "a");
    let many = Context::new().with("aws:TagKeys", "a").with("aws:TagKeys", "b");
    let absent = Context::new();
    let table = [
        (r#"{"StringEquals":{"s3:prefix":"domains/d/"}}"#, &present, true),
        (r#"{"StringEquals":{"S3:Prefix":["x","domains/d/"]}}"#, &present, true),
        (r#"{"StringEquals":{"s3:prefix":"Domains/d/"}}"#, &present, false),
        (r#"{"StringEqualsIgnoreCase":{"s3:prefix":"Domains/d/"}}"#, &present, true),
        (r#"{"StringEquals":{"s3:prefix":"x"}}"#, &absent, false),
        (r#"{"StringEqualsIfExists":{"s3:prefix":"x"}}"#, &absent, true),
        (r#"{"StringEqualsIfExists":{"s3:prefix":"x"}}"#, &present, false),
        (r#"{"StringLike":{"s3:prefix":"domains/*"}}"#, &present, true),
        (r#"{"StringNotLike":{"s3:prefix":"domains/*"}}"#, &present, false),
        (r#"{"StringNotEquals":{"s3:prefix":"x"}}"#, &present, true),
        (r#"{"StringNotEquals":{"s3:prefix":"x"}}"#, &absent, true),
        (r#"{"Null":{"s3:if-none-match":"true"}}"#, &absent, true),
        (r#"{"Null":{"s3:if-none-match":"true"}}"#, &present, false),
        (r#"{"Null":{"s3:if-none-match":false}}"#, &present, true),
        (r#"{"Bool":{"aws:SecureTransport":"false"}}"#, &absent, false),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["b"]}}"#, &many, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["b"]}}"#, &many, false),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, &many, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["b"]}}"#, &absent, true),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["b"]}}"#, &absent, false),
        (r#"{"StringEquals":{"s3:prefix":"domains/d/"},"Null":{"s3:if-none-match":"true"}}"#, &present, false),
    ];
    for (condition, context, expected) in table {
        let policy = policy(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#));
        assert_eq!(decide(&policy, "s3:PutObject", "*", context).allowed(), expected, "{condition}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    for bad in [
        "{",
        r#"{"Version":"2012-10-17"}"#,
        r#"{"Statement":{"Effect":"Maybe","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"*"},"Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"1.2.3.4/8"}}}}"#,
    ] {
        assert!(Policy::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_session_policy_only_narrows() {
    let role = policy(r#"{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"*"}"#);
    let session =
        policy(r#"{"Effect":"Allow","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::b/d/*"}"#);
    let permissions = Permissions::Role { role: vec![role], session: Some(session) };
    let context = Context::new();
    let table = [
        ("s3:PutObject", "arn:aws:s3:::b/d/1", Decision::Allow),
        ("s3:PutObject", "arn:aws:s3:::b/e/1", Decision::ImplicitDeny),
        ("s3:GetObject", "arn:aws:s3:::b/d/1", Decision::ImplicitDeny),
        ("s3:DeleteObject", "arn:aws:s3:::b/d/1", Decision::ImplicitDeny),
    ];
    for (action, resource, expected) in table {
        let request = Request { action, resource, context: &context };
        assert_eq!(authorise(&permissions, WORKER, None, request), expected, "{action} on {resource}");
    }
}

#[test]
fn resource_policies_allow_by_principal_and_deny_root_too() {
    let bucket = policy(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/worker"},"Action":"s3:GetObject","Resource":"*"},
           {"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{"Null":{"s3:if-none-match":"true"}}}"#,
    );
    let context = Context::new();
    let ask = |permissions: &Permissions, principal: &str, action: &str| {
        authorise(
            permissions,
            principal,
            Some(&bucket),
            Request { action, resource: "arn:aws:s3:::b/x", context: &context },
        )
    };
    assert_eq!(ask(&Permissions::None, WORKER, "s3:GetObject"), Decision::Allow);
    assert_eq!(
        ask(&Permissions::None, "arn:aws:sts::111122223333:assumed-role/other/s", "s3:GetObject"),
        Decision::ImplicitDeny
    );
    assert_eq!(ask(&Permissions::Root, "arn:aws:iam::111122223333:root", "s3:PutObject"), Decision::ExplicitDeny);
    assert_eq!(ask(&Permissions::Root, "arn:aws:iam::111122223333:root", "s3:GetObject"), Decision::Allow);
}
