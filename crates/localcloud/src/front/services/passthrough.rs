//! What the emulator does right.

use std::sync::Arc;

use http::request::Parts;

use crate::front::context::Context;
use crate::front::wire::{Answer, AwsError, Call};
use crate::moto::MotoRequest;

/// A request as it came, for the emulator.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    /// Method, target and headers.
    pub(crate) parts: Parts,
    /// Body.
    pub(crate) body: bytes::Bytes,
}

/// Passes a call on and hands back the answer.
pub(crate) async fn answer(context: &Arc<Context>, call: &Call, original: Original) -> Result<Answer, AwsError> {
    let target = original.parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let request = MotoRequest {
        service: call.service.clone(),
        method: original.parts.method,
        target,
        headers: original.parts.headers,
        body: original.body,
    };
    let reply = context.moto.send(request).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), operation = call.operation, "the emulator does not answer");
        AwsError::internal(&error)
    })?;
    // The emulator's own failure is a page of HTML, which no SDK can read.
    if reply.content_type.starts_with("text/html") && reply.body.starts_with(b"<!doctype") {
        tracing::error!(operation = call.operation, service = call.service, "the emulator fails; see its log");
        return Err(AwsError::unsupported(&call.operation).with_status(501));
    }
    Ok(Answer { status: reply.status, content_type: reply.content_type, body: reply.body })
}
