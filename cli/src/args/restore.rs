//! Arguments of `restore database`.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use haulier_domain::sqlserver::options::Volume;
use haulier_proto::worker::v1 as worker;
use jiff::Timestamp;

use super::Start;

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// Restore point: pnt-…
    #[arg(long, value_name = "ID")]
    pub(crate) point: String,
    /// Database to restore, and its name on the target; may be repeated; a '=' within a name is written '=='
    /// [default: every database but postgres, under its own name]
    #[arg(long = "database", value_name = "SOURCE[=TARGET]")]
    pub(crate) databases: Vec<Renamed>,
    /// DB instance to restore into [default: the one the point came from]
    #[arg(long, value_name = "ID")]
    pub(crate) target_instance: Option<String>,
    /// What to do where a database of the target's name exists
    #[arg(long, value_enum, default_value = "refuse")]
    pub(crate) on_clash: OnClash,
    /// Only this schema; may be repeated; needs one --database
    #[arg(long = "schema", value_name = "SCHEMA")]
    pub(crate) schemas: Vec<String>,
    /// Only this table, in SQL quoting; may be repeated; needs one --database
    #[arg(long = "table", value_name = "SCHEMA.TABLE")]
    pub(crate) tables: Vec<String>,
    /// Leave roles and grants as they are on the target
    #[arg(long)]
    pub(crate) without_roles: bool,
    /// SQL Server, points with log backups: the moment whose state to restore, as in 2026-11-28T14:30:00Z or with an offset
    /// [default: the last one]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// SQL Server: keep the configuration of change data capture
    #[arg(long)]
    pub(crate) keep_cdc: bool,
    /// SQL Server: volume of the target that data files go to: D:, H:, I: or J: [default: D:]
    #[arg(long, value_name = "VOLUME")]
    pub(crate) data_file_volume: Option<Volume>,
    /// SQL Server: volume of the target that the log goes to [default: D:]
    #[arg(long, value_name = "VOLUME")]
    pub(crate) log_file_volume: Option<Volume>,
    /// Log in on the target with a Secrets Manager secret's username and password [default: as the point's session did]
    #[arg(long, value_name = "ARN", conflicts_with = "iam_user")]
    pub(crate) secret_arn: Option<String>,
    /// Log in on the target as this user with an IAM token
    #[arg(long, value_name = "USER")]
    pub(crate) iam_user: Option<String>,
    /// Confirm that --on-clash replace drops databases
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) start: Start,
}

/// A moment of whole seconds.
fn moment(text: &str) -> Result<Timestamp, String> {
    let moment: Timestamp = text.parse().map_err(|error| {
        format!("{error}; write it as in 2026-11-28T14:30:00Z, or with an offset as in 2026-11-28T15:30:00+01:00")
    })?;
    if moment.subsec_nanosecond() != 0 {
        return Err("RDS tells no fractions of seconds of its log backups; give whole seconds".to_owned());
    }
    Ok(moment)
}

/// What to do where a database of the target's name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnClash {
    /// Restore nothing
    Refuse,
    /// Take the next free name: orders_restored_1
    Suffix,
    /// Drop the existing database first; needs --yes
    Replace,
}

impl OnClash {
    /// Its number on the wire.
    pub(crate) fn wire(self) -> i32 {
        let wire = match self {
            Self::Refuse => worker::OnClash::Refuse,
            Self::Suffix => worker::OnClash::Suffix,
            Self::Replace => worker::OnClash::Replace,
        };
        wire.into()
    }
}

/// A database and its name on the target, where it is to have another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub(crate) source: String,
    pub(crate) target: Option<String>,
}

impl FromStr for Renamed {
    type Err = String;

    /// `a=b` renames; `a==b` is a database called `a=b`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut names = vec![String::new()];
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter != '=' {
                names.last_mut().into_iter().for_each(|name| name.push(letter));
            } else if letters.next_if_eq(&'=').is_some() {
                names.last_mut().into_iter().for_each(|name| name.push('='));
            } else {
                names.push(String::new());
            }
        }
        let mut names = names.into_iter();
        let (source, target) = (names.next().unwrap_or_default(), names.next());
        if names.next().is_some() {
            return Err("more than one '='; write '==' for one within a name".to_owned());
        }
        if source.is_empty() || target.as_ref().is_some_and(String::is_empty) {
            return Err("a name is missing".to_owned());
        }
        Ok(Self { source, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_an_offset_and_no_fraction() {
        let utc = moment("2026-11-28T14:30:00Z").unwrap();
        assert_eq!(moment("2026-11-28T15:30:00+01:00"), Ok(utc));
        for text in ["2026-11-28T14:30:00", "2026-11-28", "2026-11-28T14:30:00.5Z", "yesterday"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_equals_sign_renames_and_two_are_one_within_a_name() {
        let renamed = |source: &str, target: Option<&str>| {
            Ok(Renamed { source: source.to_owned(), target: target.map(str::to_owned) })
        };
        for (text, want) in [
            ("shop", renamed("shop", None)),
            ("shop=shop2", renamed("shop", Some("shop2"))),
            ("a==b", renamed("a=b", None)),
            ("a==b=c==d", renamed("a=b", Some("c=d"))),
            ("odd name=x y", renamed("odd name", Some("x y"))),
        ] {
            assert_eq!(text.parse(), want, "{text}");
        }
        for text in ["", "=x", "x=", "a=b=c"] {
            assert!(text.parse::<Renamed>().is_err(), "{text}");
        }
    }
}
