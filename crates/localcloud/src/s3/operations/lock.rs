//! Object Lock: the bucket's configuration, retention and legal hold of a version, and what a write brings along.

use jiff::Timestamp;
use s3s::dto::{
    self, GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetObjectRetentionInput, GetObjectRetentionOutput, ObjectLockConfiguration,
    ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode,
    ObjectLockRule, PutObjectLegalHoldInput, PutObjectLegalHoldOutput, PutObjectLockConfigurationInput,
    PutObjectLockConfigurationOutput, PutObjectRetentionInput, PutObjectRetentionOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::convert;
use super::settings::change;
use crate::s3::access::Caller;
use crate::s3::checksum::Declared;
use crate::s3::store::{Bucket, DefaultRetention, Error, Lock, Mode, ObjectLock, Period, Retention, Store, Versioning};
use crate::s3::transfer::blocking;

/// Longest periods of a bucket's configuration.
const MOST_DAYS: i32 = 36_500;
const MOST_YEARS: i32 = 100;

/// The permission by which governance is bypassed.
const BYPASS: &str = "s3:BypassGovernanceRetention";

/// What a write says of the protection of its object.
macro_rules! lock_of {
    ($input:expr, $now:expr) => {
        $crate::s3::operations::lock::given(
            $input.object_lock_mode.as_ref().map(|mode| mode.as_str()),
            $input.object_lock_retain_until_date.as_ref(),
            $input.object_lock_legal_hold_status.as_ref().map(|status| status.as_str()),
            $now,
        )
    };
}

/// Sets what a read says of the protection of an object: no more than its caller may ask for.
macro_rules! fill_lock {
    ($output:expr, $caller:expr, $input:expr, $record:expr) => {{
        let may = |action| $caller.demand(action, &$input.bucket, Some(&$input.key)).is_ok();
        if let Some(retention) = $record.lock.retention.as_ref().filter(|_| may("s3:GetObjectRetention")) {
            $output.object_lock_mode = Some(s3s::dto::ObjectLockMode::from_static(retention.mode.name()));
            $output.object_lock_retain_until_date = Some($crate::s3::operations::convert::timestamp(retention.until));
        }
        if let Some(hold) = $record.lock.legal_hold.filter(|_| may("s3:GetObjectLegalHold")) {
            $output.object_lock_legal_hold_status = Some($crate::s3::operations::lock::hold_status(hold));
        }
    }};
}

pub(super) use {fill_lock, lock_of};

pub(super) fn hold_status(hold: bool) -> ObjectLockLegalHoldStatus {
    let status = if hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    ObjectLockLegalHoldStatus::from_static(status)
}

/// The lock that a write's headers ask for. Pure.
pub(super) fn given(
    mode: Option<&str>,
    until: Option<&dto::Timestamp>,
    hold: Option<&str>,
    now: Timestamp,
) -> S3Result<Lock> {
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => Some(retention(mode, until, now)?),
        _ => {
            return Err(s3_error!(
                InvalidArgument,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
            ));
        }
    };
    Ok(Lock { retention, legal_hold: hold.map(parse_hold).transpose()? })
}

fn retention(mode: &str, until: &dto::Timestamp, now: Timestamp) -> S3Result<Retention> {
    let mode = Mode::from_name(mode).ok_or_else(|| s3_error!(InvalidArgument, "Unknown wormMode directive."))?;
    let until = convert::instant(until)?;
    if until <= now {
        return Err(s3_error!(InvalidArgument, "The retain until date must be in the future!"));
    }
    Ok(Retention { mode, until })
}

fn parse_hold(status: &str) -> S3Result<bool> {
    match status {
        ObjectLockLegalHoldStatus::ON => Ok(true),
        ObjectLockLegalHoldStatus::OFF => Ok(false),
        _ => Err(s3_error!(InvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'")),
    }
}

/// The lock that a new object gets: what its write asks for, or the bucket's own retention.
pub(super) fn settle(bucket: &Bucket, given: Lock, now: Timestamp) -> S3Result<Lock> {
    let settings = bucket.settings();
    let Some(of_bucket) = &settings.object_lock else {
        return if given == Lock::default() { Ok(given) } else { Err(no_lock()) };
    };
    let retention = given.retention.or_else(|| of_bucket.default.as_ref().map(|default| default.begin(now)));
    Ok(Lock { retention, ..given })
}

/// S3 takes no bytes for an object under a lock that it cannot verify.
pub(super) fn check_digest(lock: &Lock, declared: &Declared) -> S3Result<()> {
    if *lock == Lock::default() || declared.algorithm.is_some() || declared.wants_md5() {
        return Ok(());
    }
    Err(s3_error!(
        InvalidRequest,
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
    ))
}

fn no_lock() -> S3Error {
    s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration")
}

fn malformed() -> S3Error {
    s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate against our published schema")
}

/// Whether the caller bypasses governance: he says so, and may.
pub(super) fn bypass(caller: &Caller, asked: Option<bool>, bucket: &str, key: &str) -> bool {
    asked == Some(true) && caller.demand(BYPASS, bucket, Some(key)).is_ok()
}

fn locked_bucket(store: &Store, name: &str) -> S3Result<std::sync::Arc<Bucket>> {
    let bucket = store.bucket(name)?;
    if bucket.settings().object_lock.is_none() { Err(no_lock()) } else { Ok(bucket) }
}

pub(super) async fn put_configuration(
    store: &Store,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let input = request.input;
    let configuration = input.object_lock_configuration.ok_or_else(malformed)?;
    let lock = parse_configuration(&configuration)?;
    change(store, &input.bucket, move |settings| {
        if settings.versioning != Versioning::Enabled {
            return Err(Error::InvalidBucketState(
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
            ));
        }
        settings.object_lock = Some(lock);
        Ok(())
    })
    .await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

/// Pure.
fn parse_configuration(configuration: &ObjectLockConfiguration) -> S3Result<ObjectLock> {
    if configuration.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let Some(rule) = &configuration.rule else { return Ok(ObjectLock::default()) };
    let default = rule.default_retention.as_ref().ok_or_else(malformed)?;
    let mode = default.mode.as_ref().and_then(|mode| Mode::from_name(mode.as_str())).ok_or_else(malformed)?;
    let period = match (default.days, default.years) {
        (Some(days), None) => Period::Days(days),
        (None, Some(years)) => Period::Years(years),
        _ => return Err(malformed()),
    };
    match period {
        Period::Days(..=0) | Period::Years(..=0) => {
            Err(s3_error!(InvalidArgument, "Default retention period must be a positive integer value."))
        }
        Period::Days(days) if days > MOST_DAYS => {
            Err(s3_error!(InvalidArgument, "Default retention period too large."))
        }
        Period::Years(years) if years > MOST_YEARS => {
            Err(s3_error!(InvalidArgument, "Default retention period too large."))
        }
        period => Ok(ObjectLock { default: Some(DefaultRetention { mode, period }) }),
    }
}

pub(super) fn get_configuration(
    store: &Store,
    request: &S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let settings = store.bucket(&request.input.bucket)?.settings();
    let Some(lock) = &settings.object_lock else {
        return Err(s3_error!(
            ObjectLockConfigurationNotFoundError,
            "Object Lock configuration does not exist for this bucket"
        ));
    };
    let rule = lock.default.as_ref().map(|default| {
        let (days, years) = match default.period {
            Period::Days(days) => (Some(days), None),
            Period::Years(years) => (None, Some(years)),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(default.mode.name()));
        ObjectLockRule { default_retention: Some(dto::DefaultRetention { days, mode, years }) }
    });
    let enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
    Ok(S3Response::new(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(ObjectLockConfiguration { object_lock_enabled: enabled, rule }),
    }))
}

pub(super) async fn put_retention(
    store: &Store,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let now = store.now();
    let wanted = input.retention.ok_or_else(malformed)?;
    let wanted = match (&wanted.mode, &wanted.retain_until_date) {
        (None, None) => None,
        (Some(mode), Some(until)) => Some(retention(mode.as_str(), until, now)?),
        _ => return Err(malformed()),
    };
    // Conditions of policies look at what the body asks for.
    let mut asked = caller.clone();
    if let Some(wanted) = &wanted {
        asked.add_retention(wanted, now);
    }
    asked.demand("s3:PutObjectRetention", &input.bucket, Some(&input.key))?;
    let bucket = locked_bucket(store, &input.bucket)?;
    let bypass = bypass(&caller, input.bypass_governance_retention, &input.bucket, &input.key);
    blocking(move || {
        bucket
            .retain(&input.key, input.version_id.as_deref(), wanted, now, bypass)
            .map_err(|error| caller.missing_key(&input.bucket, error.into()))
    })
    .await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

pub(super) fn get_retention(
    store: &Store,
    request: &S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let (caller, input) = (convert::caller(request)?, &request.input);
    let object = locked_bucket(store, &input.bucket)?.get(&input.key, input.version_id.as_deref());
    let object = object.map_err(|error| caller.missing_key(&input.bucket, error.into()))?;
    let retention = object.record.lock.retention.as_ref().ok_or(Error::NoSuchLock)?;
    let retention = ObjectLockRetention {
        mode: Some(ObjectLockRetentionMode::from_static(retention.mode.name())),
        retain_until_date: Some(convert::timestamp(retention.until)),
    };
    Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
}

pub(super) async fn put_legal_hold(
    store: &Store,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let caller = convert::caller(&request)?;
    let input = request.input;
    let bucket = locked_bucket(store, &input.bucket)?;
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or_else(malformed)?;
    let hold = parse_hold(status.as_str())?;
    blocking(move || {
        bucket
            .hold(&input.key, input.version_id.as_deref(), hold)
            .map_err(|error| caller.missing_key(&input.bucket, error.into()))
    })
    .await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

pub(super) fn get_legal_hold(
    store: &Store,
    request: &S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let (caller, input) = (convert::caller(request)?, &request.input);
    let object = locked_bucket(store, &input.bucket)?.get(&input.key, input.version_id.as_deref());
    let object = object.map_err(|error| caller.missing_key(&input.bucket, error.into()))?;
    let hold = object.record.lock.legal_hold.ok_or(Error::NoSuchLock)?;
    let legal_hold = ObjectLockLegalHold { status: Some(hold_status(hold)) };
    Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold: Some(legal_hold) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(text: &str) -> dto::Timestamp {
        dto::Timestamp::parse(dto::TimestampFormat::DateTime, text).unwrap()
    }

    #[test]
    fn headers_of_a_write() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let (future, past) = (until("2026-11-21T12:00:00.250Z"), until("2026-11-19T12:00:00Z"));
        let of = |mode, until, hold| given(mode, until, hold, now);
        assert_eq!(of(None, None, None).unwrap(), Lock::default());
        let lock = of(Some("GOVERNANCE"), Some(&future), Some("ON")).unwrap();
        let retention = Retention { mode: Mode::Governance, until: "2026-11-21T12:00:00.25Z".parse().unwrap() };
        assert_eq!(lock, Lock { retention: Some(retention), legal_hold: Some(true) });
        for (mode, until, hold) in [
            (Some("GOVERNANCE"), None, None),
            (None, Some(&future), None),
            (Some("COMPLIANCE"), Some(&past), None),
            (Some("SOMETHING"), Some(&future), None),
            (None, None, Some("PERHAPS")),
        ] {
            let error = of(mode, until, hold).unwrap_err();
            assert_eq!(error.code().as_str(), "InvalidArgument", "{mode:?} {until:?} {hold:?}");
        }
    }

    #[test]
    fn configurations() {
        let of = |mode: Option<&'static str>, days, years| {
            let mode = mode.map(ObjectLockRetentionMode::from_static);
            let default_retention = Some(dto::DefaultRetention { days, mode, years });
            parse_configuration(&ObjectLockConfiguration {
                object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
                rule: Some(ObjectLockRule { default_retention }),
            })
            .map_err(|error| error.code().as_str().to_owned())
        };
        let default = |mode, period| Ok(ObjectLock { default: Some(DefaultRetention { mode, period }) });
        assert_eq!(of(Some("COMPLIANCE"), Some(30), None), default(Mode::Compliance, Period::Days(30)));
        assert_eq!(of(Some("GOVERNANCE"), None, Some(7)), default(Mode::Governance, Period::Years(7)));
        for (mode, days, years, code) in [
            (None, Some(1), None, "MalformedXML"),
            (Some("GOVERNANCE"), None, None, "MalformedXML"),
            (Some("GOVERNANCE"), Some(1), Some(1), "MalformedXML"),
            (Some("GOVERNANCE"), Some(0), None, "InvalidArgument"),
            (Some("GOVERNANCE"), Some(36_501), None, "InvalidArgument"),
            (Some("GOVERNANCE"), None, Some(101), "InvalidArgument"),
        ] {
            assert_eq!(of(mode, days, years), Err(code.to_owned()), "{mode:?} {days:?} {years:?}");
        }
        assert!(parse_configuration(&ObjectLockConfiguration::default()).is_err(), "it cannot be switched off");
    }
}
