//! Where the switchboard for faults reaches into S3.
//!
//! An operation asks once, after its signature and permissions were checked and before it does anything, what is to go
//! wrong with it. A refusal before and a cut of the request leave the world as it was; everything else comes after the
//! effect.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The operation at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Name as in the API reference: `PutObject`, `CompleteMultipartUpload`, …
    pub name: &'a str,
    /// Bucket, if it names one.
    pub bucket: Option<&'a str>,
    /// Key, if it names one.
    pub key: Option<&'a str>,
    /// Path and query as they were sent.
    pub uri: &'a str,
    /// Whether the request has a body.
    pub sends_body: bool,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// S3's error code, `SlowDown`.
    pub code: String,
    /// Text for the reader.
    pub message: String,
}

/// What is to go wrong with one request; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// Wait this long before anything happens.
    pub delay_before: Duration,
    /// Refuse before the effect.
    pub refuse_before: Option<Refusal>,
    /// Take this many bytes of the body as sent, then cut the connection.
    pub cut_request_after: Option<u64>,
    /// Wait this long between the effect and the answer: longer than the client's patience is a time-out after the
    /// effect.
    pub delay_after: Duration,
    /// Answer with an error although it happened.
    pub refuse_after: Option<Refusal>,
    /// Send this many bytes of the answer's body, then cut the connection. With 0 the connection ends without an answer.
    pub cut_response_after: Option<u64>,
}

/// Decides what goes wrong.
pub trait Faults: Send + Sync + 'static {
    /// Asked once for each request.
    fn decide(&self, operation: Operation<'_>) -> Fault;
}

/// A switchboard that comes with a request, in its extensions, and is asked instead of the one S3 was made with: for a
/// front that is made after its S3.
#[derive(Clone)]
pub struct FaultsOfRequest(pub Arc<dyn Faults>);

/// Nothing ever goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn decide(&self, _operation: Operation<'_>) -> Fault {
        Fault::default()
    }
}

/// What was decided, carried with the request from the check of its permissions to its body and its answer.
#[derive(Debug)]
pub(super) struct Decided {
    fault: Mutex<Fault>,
    request_limit: AtomicU64,
}

impl Decided {
    pub(super) fn nothing() -> Self {
        Self { fault: Mutex::default(), request_limit: AtomicU64::new(u64::MAX) }
    }

    pub(super) fn set(&self, fault: Fault) {
        self.request_limit.store(fault.cut_request_after.unwrap_or(u64::MAX), Ordering::Release);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub(super) fn take(&self) -> Fault {
        std::mem::take(&mut *self.fault.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of the request's body after which the connection is cut.
    pub(super) fn request_limit(&self) -> u64 {
        self.request_limit.load(Ordering::Acquire)
    }
}
