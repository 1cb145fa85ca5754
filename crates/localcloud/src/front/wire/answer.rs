//! Answers in each protocol's shape.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use uuid::Uuid;

use super::{AwsError, Protocol, Xml};

/// An answer, buffered: control APIs are small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// `Content-Type`.
    pub(crate) content_type: String,
    /// Body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// A successful EC2 answer; `write` fills the response element.
    pub(crate) fn ec2(operation: &str, write: impl FnOnce(&mut Xml)) -> Self {
        let mut xml = Xml::new();
        xml.text("requestId", Uuid::new_v4());
        write(&mut xml);
        let namespace = "http://ec2.amazonaws.com/doc/2016-11-15/";
        Self::xml(
            StatusCode::OK,
            format!("<{operation}Response xmlns=\"{namespace}\">{}</{operation}Response>", xml.into_string()),
        )
    }

    /// EC2's `<return>true</return>`.
    pub(crate) fn ec2_done(operation: &str) -> Self {
        Self::ec2(operation, |xml| {
            xml.text("return", true);
        })
    }

    /// A successful answer of RDS, STS or IAM; `write` fills the result element.
    pub(crate) fn query(service: &str, operation: &str, write: impl FnOnce(&mut Xml)) -> Self {
        let mut xml = Xml::new();
        xml.node(&format!("{operation}Result"), write).node("ResponseMetadata", |xml| {
            xml.text("RequestId", Uuid::new_v4());
        });
        let namespace = namespace(service);
        Self::xml(
            StatusCode::OK,
            format!("<{operation}Response xmlns=\"{namespace}\">{}</{operation}Response>", xml.into_string()),
        )
    }

    /// An error in the shape of the service's protocol.
    pub(crate) fn error(service: &str, error: &AwsError) -> Self {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let request_id = Uuid::new_v4();
        let mut xml = Xml::new();
        match Protocol::of(service) {
            Protocol::Ec2 => {
                xml.node("Response", |xml| {
                    xml.list("Errors", "Error", [error], |xml, error| {
                        xml.text("Code", &error.code).text("Message", &error.message);
                    });
                    xml.text("RequestID", request_id);
                });
            }
            Protocol::Query => {
                let kind = if error.status >= 500 { "Receiver" } else { "Sender" };
                xml.node("ErrorResponse", |xml| {
                    xml.node("Error", |xml| {
                        xml.text("Type", kind).text("Code", &error.code).text("Message", &error.message);
                    });
                    xml.text("RequestId", request_id);
                });
            }
            Protocol::S3 => {
                xml.node("Error", |xml| {
                    xml.text("Code", &error.code).text("Message", &error.message).text("RequestId", request_id);
                });
            }
            Protocol::Json => {
                let body = json!({"__type": error.code, "message": error.message}).to_string();
                return Self { status, content_type: "application/x-amz-json-1.1".to_owned(), body: body.into() };
            }
        }
        Self::xml(status, xml.into_string())
    }

    fn xml(status: StatusCode, body: String) -> Self {
        let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
        Self { status, content_type: "text/xml;charset=UTF-8".to_owned(), body: body.into() }
    }

    /// Whether the call succeeded.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }
}

fn namespace(service: &str) -> &'static str {
    match service {
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        _ => "http://rds.amazonaws.com/doc/2014-10-31/",
    }
}

impl From<Answer> for Response<Body> {
    fn from(answer: Answer) -> Self {
        let request_id = HeaderValue::from_str(&Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("0"));
        let mut response = Self::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), request_id);
        if let Ok(content_type) = HeaderValue::from_str(&answer.content_type) {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        response
    }
}
