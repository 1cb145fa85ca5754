//! Native backups and restores of SQL Server on the wire.

use haulier_domain::sqlserver::options::{RestoreOptions, Volume};
use jiff::Timestamp;

use crate::convert::{InvalidMessage, from_timestamp, parsed, to_timestamp};
use crate::worker::v1 as worker;

impl From<RestoreOptions> for worker::NativeRestoreOptions {
    fn from(options: RestoreOptions) -> Self {
        let RestoreOptions { keep_cdc, data_file_volume, log_file_volume, until } = options;
        let name = |volume: Option<Volume>| volume.map(|volume| volume.to_string()).unwrap_or_default();
        Self {
            keep_cdc,
            data_file_volume: name(data_file_volume),
            log_file_volume: name(log_file_volume),
            until: until.map(to_timestamp),
        }
    }
}

impl TryFrom<worker::NativeRestoreOptions> for RestoreOptions {
    type Error = InvalidMessage;

    fn try_from(message: worker::NativeRestoreOptions) -> Result<Self, InvalidMessage> {
        let volume = |text: &str, field| match text {
            "" => Ok(None),
            name => parsed(name, "NativeRestoreOptions", field).map(Some),
        };
        Ok(Self {
            keep_cdc: message.keep_cdc,
            data_file_volume: volume(&message.data_file_volume, "data_file_volume")?,
            log_file_volume: volume(&message.log_file_volume, "log_file_volume")?,
            until: message.until.as_ref().map(until).transpose()?,
        })
    }
}

fn until(message: &prost_types::Timestamp) -> Result<Timestamp, InvalidMessage> {
    let invalid = |problem: &str| {
        Err(InvalidMessage { message: "NativeRestoreOptions", field: "until", problem: problem.to_owned() })
    };
    match from_timestamp(message) {
        Some(until) if until.subsec_nanosecond() == 0 => Ok(until),
        Some(_) => invalid("is not of whole seconds"),
        None => invalid("is out of range"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_the_wire_and_an_unknown_volume_does_not() {
        let until = "2026-11-28T01:02:03Z".parse().ok();
        let all = RestoreOptions { keep_cdc: true, data_file_volume: Some(Volume::H), log_file_volume: None, until };
        for options in [all, RestoreOptions::default()] {
            assert_eq!(worker::NativeRestoreOptions::from(options).try_into(), Ok(options));
        }
        let message = worker::NativeRestoreOptions { log_file_volume: "C:".to_owned(), ..Default::default() };
        assert_eq!(RestoreOptions::try_from(message).unwrap_err().field, "log_file_volume");
        for (seconds, nanos) in [(i64::MAX, 0), (0, 1_000_000)] {
            let until = Some(prost_types::Timestamp { seconds, nanos });
            let message = worker::NativeRestoreOptions { until, ..Default::default() };
            assert_eq!(RestoreOptions::try_from(message).unwrap_err().field, "until");
        }
    }
}
