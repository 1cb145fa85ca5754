//! One control call from its signature to its answer.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, locked, now};
use super::decisions::faults::{Effect, FaultError, Subject};
use super::refusal;
use super::services::passthrough::Original;
use super::services::{ec2, iam, passthrough, rds, sts};
use super::signature::Signature;
use super::wire::{Answer, AwsError, Call, Payload, Protocol};
use crate::credentials::Credential;

/// What the connection is to do.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Send this.
    Answer(Answer),
    /// End without a word.
    Silence,
}

/// Takes a control call through verification, faults and its service.
pub(crate) async fn process(
    context: Arc<Context>,
    signature: Option<Signature>,
    service: String,
    original: Original,
) -> Outcome {
    match checked(&context, signature, &service, &original).await {
        Ok((call, caller)) => with_faults(&context, &call, &caller, original).await,
        Err(error) => {
            tracing::debug!(service, %error, "a call is refused");
            Outcome::Answer(Answer::error(&service, &error))
        }
    }
}

async fn checked(
    context: &Context,
    signature: Option<Signature>,
    service: &str,
    original: &Original,
) -> Result<(Call, Credential), AwsError> {
    let caller = refusal::authenticate(context, signature.as_ref(), original, Protocol::of(service), now())?;
    let call = Call::read(service, &original.parts.headers, original.parts.uri.query(), &original.body)?;
    refusal::authorise(context, &call, &caller).await?;
    Ok((call, caller))
}

async fn with_faults(context: &Arc<Context>, call: &Call, caller: &Credential, original: Original) -> Outcome {
    let stale = locked(&context.stale).get(call);
    let text = match &call.payload {
        Payload::Form(params) => {
            params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        }
        Payload::Json(document) => document.to_string(),
    };
    let subject =
        Subject { service: &call.service, operation: &call.operation, text: &text, has_stale_answer: stale.is_some() };
    let effect = locked(&context.faults).decide(subject);
    if let Some(effect) = &effect {
        tracing::info!(service = call.service, operation = call.operation, ?effect, "a fault fires");
    }
    match effect {
        // The rest are of services of their own, which come this way only by mistake.
        None
        | Some(Effect::CutAfterBytes(_) | Effect::SqlError { .. } | Effect::TaskError { .. } | Effect::TaskHang) => {
            Outcome::Answer(perform(context, call, caller, original).await)
        }
        Some(Effect::ErrorBefore(error)) => Outcome::Answer(Answer::error(&call.service, &injected(&error))),
        Some(Effect::ErrorAfter(error)) => {
            perform(context, call, caller, original).await;
            Outcome::Answer(Answer::error(&call.service, &injected(&error)))
        }
        Some(Effect::DelayMs(delay)) => {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            Outcome::Answer(perform(context, call, caller, original).await)
        }
        Some(Effect::TimeoutAfter) => {
            perform(context, call, caller, original).await;
            Outcome::Silence
        }
        Some(Effect::Throttle) => Outcome::Answer(Answer::error(&call.service, &throttled(call.protocol()))),
        Some(Effect::StaleRead) => match stale {
            Some(answer) => Outcome::Answer(answer),
            None => Outcome::Answer(perform(context, call, caller, original).await),
        },
    }
}

async fn perform(context: &Arc<Context>, call: &Call, caller: &Credential, original: Original) -> Answer {
    let answer = match call.service.as_str() {
        "ec2" => ec2::answer(context, call, original).await,
        "rds" => rds::answer(context, call, original).await,
        "sts" => sts::answer(context, call, caller),
        "iam" => iam::answer(context, call, original).await,
        "kms" | "secretsmanager" => passthrough::answer(context, call, original).await,
        _ => Err(AwsError::unsupported(&format!("{}:{}", call.service, call.operation))),
    };
    let answer = answer.unwrap_or_else(|error| Answer::error(&call.service, &error));
    tracing::debug!(service = call.service, operation = call.operation, status = answer.status.as_u16(), "answered");
    if answer.is_success() {
        locked(&context.stale).remember(call, &answer);
    }
    answer
}

pub(crate) fn injected(error: &FaultError) -> AwsError {
    AwsError::new(&error.code, "Injected by the local cloud's switchboard").with_status(error.status)
}

/// The throttling error of each protocol.
pub(crate) fn throttled(protocol: Protocol) -> AwsError {
    match protocol {
        Protocol::Ec2 => AwsError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
        Protocol::Query => AwsError::new("Throttling", "Rate exceeded"),
        Protocol::Json => AwsError::new("ThrottlingException", "Rate exceeded"),
        Protocol::S3 => AwsError::new("SlowDown", "Please reduce your request rate.").with_status(503),
    }
}
