//! One API call: which service, which operation, with what.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::{AwsError, Params};

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Query with EC2's own shapes.
    Ec2,
    /// AWS query: RDS, STS, IAM.
    Query,
    /// AWS JSON 1.1: KMS, Secrets Manager.
    Json,
    /// S3's REST with XML.
    S3,
}

impl Protocol {
    /// The protocol of a service, by the name in its credential scope.
    pub(crate) fn of(service: &str) -> Self {
        match service {
            "ec2" => Self::Ec2,
            "rds" | "sts" | "iam" => Self::Query,
            "s3" => Self::S3,
            _ => Self::Json,
        }
    }
}

/// The body of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Payload {
    /// Form parameters.
    Form(Params),
    /// A JSON document.
    Json(Value),
}

/// A call whose shape is known; nothing about it is verified yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// Name in the credential scope, `ec2`.
    pub(crate) service: String,
    /// `RunInstances`.
    pub(crate) operation: String,
    /// Parameters.
    pub(crate) payload: Payload,
}

impl Call {
    /// Reads the operation and parameters of a request to `service`.
    pub(crate) fn read(
        service: &str,
        headers: &HeaderMap,
        query: Option<&str>,
        body: &Bytes,
    ) -> Result<Self, AwsError> {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        if let Some(target) = target {
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let text: &[u8] = if body.is_empty() { b"{}" } else { body };
            let document = serde_json::from_slice(text)
                .map_err(|error| AwsError::new("SerializationException", format!("the body is not JSON: {error}")))?;
            return Ok(Self { service: service.to_owned(), operation, payload: Payload::Json(document) });
        }
        let form = String::from_utf8_lossy(body);
        let params = Params::parse(if form.is_empty() { query.unwrap_or_default() } else { &form });
        let operation = params
            .get("Action")
            .ok_or_else(|| AwsError::new("MissingAction", "The request must contain the parameter Action"))?
            .to_owned();
        Ok(Self { service: service.to_owned(), operation, payload: Payload::Form(params) })
    }

    /// Form parameters; none for a JSON call.
    pub(crate) fn params(&self) -> Params {
        match &self.payload {
            Payload::Form(params) => params.clone(),
            Payload::Json(_) => Params::default(),
        }
    }

    /// A text member of the JSON document.
    pub(crate) fn json_text(&self, name: &str) -> Option<&str> {
        match &self.payload {
            Payload::Json(document) => document.get(name)?.as_str(),
            Payload::Form(_) => None,
        }
    }

    /// How its service speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        Protocol::of(&self.service)
    }

    /// Whether it only reads.
    pub(crate) fn is_read(&self) -> bool {
        ["Describe", "Get", "List"].iter().any(|verb| self.operation.starts_with(verb))
    }
}
