//! What the SDK reports, in the port's terms.

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{CloudError, ErrorKind, Outcome};

/// Turns an SDK error into a [`CloudError`]: which operation, on what, and may it have taken effect.
pub(super) fn failed<E>(
    operation: &'static str,
    target: impl Into<String>,
    error: SdkError<E, HttpResponse>,
) -> CloudError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    if let Some((code, message)) = refused_credentials(&error) {
        let kind = match classify(Some(&code), None) {
            kind @ (ErrorKind::Denied | ErrorKind::Throttled) => kind,
            _ => ErrorKind::Unavailable,
        };
        let operation = if kind == ErrorKind::Denied { "AssumeRole" } else { operation };
        let message = format!("no credentials for the call: {message}");
        let (target, outcome) = (target.into(), Outcome::Determinate);
        return CloudError { operation, target, kind, outcome, code: Some(code), message, source: None };
    }
    let status = error.raw_response().map(|response| response.status().as_u16());
    let (kind, outcome, code, message) = match &error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().map(str::to_owned);
            let message = service.err().message().unwrap_or("no message").to_owned();
            let kind = classify(code.as_deref(), status);
            let outcome = if kind == ErrorKind::Unavailable { Outcome::Indeterminate } else { Outcome::Determinate };
            (kind, outcome, code, message)
        }
        SdkError::ConstructionFailure(_) => {
            (ErrorKind::Invalid, Outcome::Determinate, None, "the request could not be built".to_owned())
        }
        SdkError::TimeoutError(_) => {
            (ErrorKind::Unavailable, Outcome::Indeterminate, None, "no answer in time".to_owned())
        }
        SdkError::DispatchFailure(dispatch) => {
            let reason = if dispatch.is_timeout() {
                "no answer in time"
            } else if dispatch.is_user() {
                "the request could not be sent"
            } else {
                "the connection failed"
            };
            (ErrorKind::Unavailable, Outcome::Indeterminate, None, reason.to_owned())
        }
        _ => (ErrorKind::Unavailable, Outcome::Indeterminate, None, "the answer could not be read".to_owned()),
    };
    // What a service answered is told whole by code and message; only below an answer is there more to know.
    let is_answer = matches!(error, SdkError::ServiceError(_));
    let source = (!is_answer).then(|| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    CloudError { operation, target: target.into(), kind, outcome, code, message, source }
}

/// What STS answered where the call was not even sent, since its credentials could not be had: code and message.
fn refused_credentials(error: &(dyn std::error::Error + 'static)) -> Option<(String, String)> {
    let mut below = error.source();
    let mut is_credentials = false;
    while let Some(cause) = below {
        is_credentials |= cause.is::<CredentialsError>();
        if let Some(answer) = cause.downcast_ref::<ErrorMetadata>().filter(|_| is_credentials) {
            return Some((answer.code()?.to_owned(), answer.message().unwrap_or("no message").to_owned()));
        }
        below = cause.source();
    }
    None
}

/// An answer that lacks what the API promises. The call may well have worked.
pub(super) fn incomplete(operation: &'static str, target: impl Into<String>, lacks: &str) -> CloudError {
    CloudError {
        operation,
        target: target.into(),
        kind: ErrorKind::Unavailable,
        outcome: Outcome::Indeterminate,
        code: None,
        message: format!("the answer has no {lacks}"),
        source: None,
    }
}

/// Error codes of EC2, RDS, S3, KMS, STS and Secrets Manager in our kinds. Codes first, since AWS reuses statuses.
fn classify(code: Option<&str>, status: Option<u16>) -> ErrorKind {
    match code.unwrap_or_default() {
        "InvalidInstanceID.NotFound"
        | "InvalidGroup.NotFound"
        | "InvalidPermission.NotFound"
        | "InvalidSubnetID.NotFound"
        | "DBInstanceNotFound"
        | "DBInstanceNotFoundFault"
        | "DBSnapshotNotFound"
        | "DBSnapshotNotFoundFault"
        | "OptionGroupNotFoundFault"
        | "NoSuchTagSet"
        | "NoSuchKey"
        | "NoSuchUpload"
        | "NoSuchBucket"
        | "NotFound"
        | "NotFoundException"
        | "ResourceNotFoundException"
        | "NoSuchEntity" => ErrorKind::NotFound,
        "DBSnapshotAlreadyExists"
        | "DBInstanceAlreadyExists"
        | "InvalidGroup.Duplicate"
        | "InvalidPermission.Duplicate"
        | "PreconditionFailed"
        | "BucketAlreadyOwnedByYou"
        | "AlreadyExistsException"
        | "ResourceExistsException" => ErrorKind::AlreadyExists,
        "InvalidDBInstanceState"
        | "InvalidDBInstanceStateFault"
        | "InvalidDBSnapshotState"
        | "InvalidDBSnapshotStateFault"
        | "DependencyViolation"
        | "IncorrectInstanceState"
        | "ConditionalRequestConflict"
        | "OperationAborted" => ErrorKind::Conflict,
        "IdempotentParameterMismatch" => ErrorKind::IdempotencyMismatch,
        // Of a bucket: another account has one of that name.
        "BucketAlreadyExists"
        | "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "KMSInvalidStateException" => ErrorKind::Denied,
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacity"
        | "Unsupported"
        | "VcpuLimitExceeded"
        | "InstanceLimitExceeded"
        | "SnapshotQuotaExceeded"
        | "SecurityGroupLimitExceeded"
        | "SecurityGroupsPerInterfaceLimitExceeded"
        | "RulesPerSecurityGroupLimitExceeded"
        | "InsufficientFreeAddressesInSubnet" => ErrorKind::Exhausted,
        "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "TooManyRequestsException"
        | "RequestThrottled" => ErrorKind::Throttled,
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" | "RequestTimeout" => {
            ErrorKind::Unavailable
        }
        _ => match status {
            Some(404) => ErrorKind::NotFound,
            Some(409) => ErrorKind::Conflict,
            Some(412) => ErrorKind::AlreadyExists,
            Some(401 | 403) => ErrorKind::Denied,
            Some(429) => ErrorKind::Throttled,
            Some(400..=499) => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        },
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    /// A call that was not sent, since STS answered like this when credentials for it were asked for.
    fn without_credentials(code: &str) -> CloudError {
        let answer = ErrorMetadata::builder().code(code).message("no").build();
        let cause = ConnectorError::other(Box::new(CredentialsError::provider_error(answer)), None);
        failed::<ErrorMetadata>("DescribeDBInstances", "all", SdkError::dispatch_failure(cause))
    }

    #[test]
    fn credentials_that_sts_refuses_are_a_refusal_and_no_outage() {
        for (code, kind, operation) in [
            ("AccessDenied", ErrorKind::Denied, "AssumeRole"),
            ("ExpiredToken", ErrorKind::Denied, "AssumeRole"),
            ("Throttling", ErrorKind::Throttled, "DescribeDBInstances"),
            ("InternalFailure", ErrorKind::Unavailable, "DescribeDBInstances"),
        ] {
            let error = without_credentials(code);
            assert_eq!((error.kind, error.operation), (kind, operation), "{code}");
            assert_eq!(error.outcome, Outcome::Determinate, "{code}");
            assert_eq!(error.code.as_deref(), Some(code));
        }
        let unreachable = ConnectorError::other("connection refused".into(), None);
        let error = failed::<ErrorMetadata>("X", "y", SdkError::dispatch_failure(unreachable));
        assert_eq!((error.kind, error.outcome), (ErrorKind::Unavailable, Outcome::Indeterminate));
    }

    #[test]
    fn codes_win_over_statuses() {
        let table = [
            (Some("DependencyViolation"), Some(400), ErrorKind::Conflict),
            (Some("InvalidGroup.Duplicate"), Some(400), ErrorKind::AlreadyExists),
            (Some("IdempotentParameterMismatch"), Some(400), ErrorKind::IdempotencyMismatch),
            (Some("InvalidDBInstanceState"), Some(400), ErrorKind::Conflict),
            (Some("RequestLimitExceeded"), Some(503), ErrorKind::Throttled),
            (Some("InsufficientInstanceCapacity"), Some(500), ErrorKind::Exhausted),
            (Some("Unsupported"), Some(400), ErrorKind::Exhausted),
            (Some("BucketAlreadyExists"), Some(409), ErrorKind::Denied),
            (Some("BucketAlreadyOwnedByYou"), Some(409), ErrorKind::AlreadyExists),
            (Some("BucketNotEmpty"), Some(409), ErrorKind::Conflict),
            (Some("SomethingNew"), Some(400), ErrorKind::Invalid),
            (Some("SomethingNew"), Some(500), ErrorKind::Unavailable),
            (None, Some(404), ErrorKind::NotFound),
            (None, None, ErrorKind::Unavailable),
        ];
        for (code, status, kind) in table {
            assert_eq!(classify(code, status), kind, "{code:?} {status:?}");
        }
    }
}
