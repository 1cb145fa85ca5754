use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Request;

use super::*;

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn signed(location: SignatureLocation) -> Request<()> {
    let uri = "http://10.1.2.1:4566/a%20path/?x=1&b=%2F";
    let mut request = Request::post(uri)
        .header("host", "10.1.2.1:4566")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-haulier-csr-sha256", "00ff")
        .body(())
        .unwrap();
    let identity = Credentials::new("ASIAKEY", SECRET, Some("token".into()), None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    if location == SignatureLocation::QueryParams {
        settings.expires_in = Some(Duration::from_secs(60));
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("sts")
        .time(SystemTime::from(now()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let signable = SignableRequest::new("POST", uri, headers, SignableBody::Bytes(BODY.as_bytes())).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

fn verify(request: Request<()>, body: &str, secret: &str, now: Timestamp) -> Result<(), Fault> {
    let (parts, ()) = request.into_parts();
    Signature::find(&parts).ok_or(Fault::Missing)?.verify(&parts, body.as_bytes(), secret, now)
}

#[test]
fn what_the_sdk_signs_is_accepted() {
    for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
        let request = signed(location);
        let (parts, ()) = request.clone().into_parts();
        let signature = Signature::find(&parts).unwrap();
        assert_eq!(signature.access_key_id, "ASIAKEY");
        assert_eq!(signature.service, "sts");
        assert_eq!(signature.session_token.as_deref(), Some("token"));
        assert_eq!(verify(request, BODY, SECRET, now()), Ok(()), "{location:?}");
    }
}

#[test]
fn what_was_changed_is_refused() {
    let headers = || signed(SignatureLocation::Headers);
    assert_eq!(verify(headers(), "Action=Other", SECRET, now()), Err(Fault::Mismatch));
    assert_eq!(verify(headers(), BODY, "another", now()), Err(Fault::Mismatch));
    let mut request = headers();
    request.headers_mut().insert("x-haulier-csr-sha256", "00fe".parse().unwrap());
    assert_eq!(verify(request, BODY, SECRET, now()), Err(Fault::Mismatch));
    let mut request = headers();
    request.headers_mut().insert("host", "elsewhere".parse().unwrap());
    assert_eq!(verify(request, BODY, SECRET, now()), Err(Fault::Mismatch));
    let mut request = headers();
    request.headers_mut().remove("authorization");
    assert_eq!(verify(request, BODY, SECRET, now()), Err(Fault::Missing));
}

#[test]
fn signatures_age() {
    let after = |minutes| now() + jiff::SignedDuration::from_mins(minutes);
    let table = [
        (SignatureLocation::Headers, 14, Ok(())),
        (SignatureLocation::Headers, 16, Err(Fault::Expired)),
        (SignatureLocation::Headers, -16, Err(Fault::Expired)),
        (SignatureLocation::QueryParams, 2, Err(Fault::Expired)),
    ];
    for (location, minutes, expected) in table {
        assert_eq!(
            verify(signed(location), BODY, SECRET, after(minutes)),
            expected,
            "{location:?} after {minutes} min"
        );
    }
}
